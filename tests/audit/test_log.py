"""The log on disk: durable, private, in segments, and never silent about what it found."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamwatch.audit.chain import MAX_LINE, Entry, read
from streamwatch.audit.log import TORN_BYTES, AuditError, AuditLog, Fact
from streamwatch.audit.segments import Reading, lines_of, name, segments
from streamwatch.audit.verification import verify
from tests.audit.book import AT, written


def fact(number: int = 0, *, at: str = AT, kind: str = "a.kind") -> Fact:
    return Fact(at, kind, {"number": number})


class Folder:
    """A state folder, and logs that are opened in it, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.troubles: list[str] = []
        self.log = self.again()

    def again(self, **changes: int) -> AuditLog:
        if hasattr(self, "log"):
            self.log.close()
        self.log = AuditLog(self.path, on_trouble=self.troubles.append, **changes)
        return self.log

    def entries(self) -> list[Entry]:
        return [read(data) for data in Reading(self.path).lines()]

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries()]

    def damages(self) -> list[str]:
        reading = Reading(self.path)
        return [f"{reading.where(one.line)}: {one.what}" for one in verify(reading.lines()).damages]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    with capture_logs():
        yield made
    made.log.close()


def test_lines_are_kept_over_a_restart_and_chain_on(folder):
    folder.log.append(fact(1), fact(2))
    assert folder.log.last is None
    folder.again().append(fact(3))
    assert folder.log.last.n == 2
    assert [entry.facts["number"] for entry in folder.entries()] == [1, 2, 3]
    assert folder.log.tip.n == 3
    assert folder.damages() == []
    assert [path.name for path in segments(folder.path)] == ["audit-00001.jsonl"]
    assert (folder.path / name(1)).stat().st_mode & 0o777 == 0o600


def test_every_append_is_forced_to_the_disk(folder, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    folder.log.append(fact(1))
    synced.clear()
    folder.log.append(fact(2), fact(3))
    assert len(synced) == 1


def test_a_full_segment_is_followed_by_another(folder):
    log = folder.again(segment_bytes=1000)
    for number in range(20):
        log.append(fact(number))
    paths = segments(folder.path)
    assert len(paths) > 3
    assert all(path.stat().st_size <= 1000 for path in paths)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert folder.damages() == []
    paths[1].unlink()
    assert folder.damages() == [f"{paths[2]}:1: deletion"]


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_line_that_a_crash_cut_off_is_set_aside_and_told(folder, cut):
    folder.log.append(fact(1), fact(2))
    path = folder.path / name(1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert folder.damages() == [f"{path}:2: torn"]
    folder.again()
    with capture_logs() as logs:
        folder.log.append(fact(3))
    assert "cut off" in logs[0]["what"]
    assert folder.kinds() == ["a.kind", "audit.torn", "a.kind"]
    assert folder.damages() == []
    assert folder.entries()[1].facts["bytes"] == len(whole.splitlines()[1]) + 1 - cut
    aside = path.with_suffix(".torn")
    assert aside.read_bytes() == whole.splitlines()[1][: len(whole.splitlines()[1]) + 1 - cut] + b"\n"
    assert aside.stat().st_mode & 0o777 == 0o600
    assert folder.troubles == []


def test_zeros_that_a_power_cut_left_are_set_aside(folder):
    folder.log.append(fact(1))
    with (folder.path / name(1)).open("ab") as file:
        file.write(b"\0" * 100)
    folder.again().append(fact(2))
    assert folder.kinds() == ["a.kind", "audit.torn", "a.kind"]
    assert folder.damages() == []


def test_lines_that_somebody_spoilt_keep_their_numbers_and_are_told(folder):
    for number in range(4):
        folder.log.append(fact(number))
    path = folder.path / name(1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"kind", b"king"), b"nonsense\n"]))
    folder.again().append(fact(5))
    assert folder.troubles == ["the last 2 lines cannot be read"]
    assert [read(data).n for data in lines_of(path) if b"king" not in data and b"non" not in data] == [1, 2, 5, 6]
    assert folder.damages() == [f"{path}:3: change", f"{path}:4: change"]


def test_a_log_of_nonsense_begins_anew_behind_it(folder):
    (folder.path / name(7)).write_bytes(b"x" * (TORN_BYTES * 2))
    folder.log.append(fact(1))
    assert "does not end with a line" in folder.troubles[0]
    assert [path.name for path in segments(folder.path)] == [name(7), name(8)]
    assert [read(data).kind for data in lines_of(folder.path / name(8))] == ["audit.damaged", "a.kind"]


def test_a_segment_that_is_taken_away_under_the_daemon_is_told_and_the_numbers_go_on(folder):
    folder.log.append(fact(1))
    (folder.path / name(1)).unlink()
    folder.log.append(fact(2))
    assert [(entry.n, entry.kind) for entry in folder.entries()] == [(2, "audit.disturbed"), (3, "a.kind")]
    assert folder.troubles == ["audit-00001.jsonl was removed"]
    assert folder.damages() == [f"{folder.path / name(2)}:1: deletion"]


@pytest.mark.parametrize("how", ["shortened", "lengthened"])
def test_a_segment_that_is_changed_under_the_daemon_is_told(folder, how):
    folder.log.append(fact(1))
    folder.log.append(fact(2))
    path = folder.path / name(1)
    whole = path.read_bytes()
    with path.open("r+b") as file:
        if how == "shortened":
            file.truncate(len(whole.splitlines(keepends=True)[0]))
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"more")
    folder.log.append(fact(3))
    assert folder.troubles == ["audit-00001.jsonl was changed"]
    assert folder.damages()
    told = read(next(lines_of(folder.path / name(2))))
    assert (told.kind, told.n, told.facts["expected"]) == ("audit.disturbed", 3, len(whole))


def full(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """A disk that takes so many bytes more, whoever writes them."""
    real, left = os.write, [after]

    def write(fd: int, data: bytes) -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = real(fd, bytes(data)[: left[0]])
        left[0] -= count
        return count

    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("after", [0, 1, 100, 220])
def test_a_full_disk_leaves_no_half_line_and_the_log_goes_on(folder, after):
    folder.log.append(fact(1))
    with pytest.MonkeyPatch.context() as patch:
        full(patch, after=after)
        with pytest.raises(AuditError, match="No space left"):
            folder.log.append(fact(2), fact(3))
    assert folder.kinds() == ["a.kind"]
    assert folder.log.tip.n == 1
    folder.log.append(fact(4))
    assert folder.damages() == []
    assert [entry.facts["number"] for entry in folder.entries()] == [1, 4]


def test_what_cannot_even_be_taken_back_is_taken_back_later(folder, monkeypatch):
    folder.log.append(fact(1))
    real = os.ftruncate
    with pytest.MonkeyPatch.context() as patch:
        full(patch, after=50)

        def stuck(fd: int, length: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch.setattr(os, "ftruncate", stuck)
        with pytest.raises(AuditError):
            folder.log.append(fact(2))
        with pytest.raises(AuditError):
            folder.log.append(fact(2))
    assert os.ftruncate is real
    folder.log.append(fact(3))
    assert folder.damages() == []
    assert folder.troubles == []


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    log = AuditLog(tmp_path / "none")
    with pytest.raises(AuditError, match="No such file"):
        log.append(fact())
    with pytest.raises(AuditError):
        log.open()
    (tmp_path / "none").mkdir()
    log.append(fact())
    log.close()
    log.close()


def test_a_link_in_the_place_of_a_segment_is_not_followed(folder):
    target = folder.path / "target"
    target.touch()
    (folder.path / name(1)).symlink_to(target)
    with pytest.raises(AuditError):
        folder.log.append(fact())
    assert target.read_bytes() == b""


def days(number: int) -> str:
    return f"2026-11-{number:02d}T00:00:00.000Z"


def test_old_segments_go_one_by_one_and_what_stays_chains_to_what_was_told(folder):
    log = folder.log
    for day in range(1, 6):
        log.append(fact(day, at=days(day)))
        log.age(at=days(day), delete=days(1), close=days(day + 1))  # each day a segment of its own
    assert len(segments(folder.path)) == 6
    log.append(fact(6, at=days(6)))
    (folder.path / name(1)).with_suffix(".torn").touch()
    assert log.age(at=days(7), delete=days(4), close=days(1)) == 1
    assert folder.damages() == []
    assert folder.entries()[0].n == 2
    assert not (folder.path / name(1)).with_suffix(".torn").exists()
    assert log.age(at=days(7), delete=days(4), close=days(1)) == 1
    assert log.age(at=days(7), delete=days(4), close=days(1)) == 0
    assert [entry.n for entry in folder.entries()] == [3, 4, 5, 6, 7, 8]
    assert folder.kinds()[-2:] == ["audit.retention", "audit.retention"]
    assert folder.damages() == []
    (folder.path / name(3)).unlink()
    assert folder.damages() == [f"{folder.path / name(4)}:1: deletion"]


def test_the_present_segment_never_goes(folder):
    folder.log.append(fact(1, at=days(1)))
    assert folder.log.age(at=days(20), delete=days(19), close=days(1)) == 0
    assert folder.log.age(at=days(20), delete=days(19), close=days(18)) == 0
    assert len(segments(folder.path)) == 2
    assert folder.log.age(at=days(20), delete=days(19), close=days(18)) == 0  # nothing stands in it that tells an age
    folder.log.append(fact(2, at=days(20)))
    assert folder.damages() == []


def test_a_crash_between_the_word_and_the_deed_does_no_harm(folder, monkeypatch):
    for day in (1, 2):
        folder.log.append(fact(day, at=days(day)))
        folder.log.age(at=days(day), delete=days(1), close=days(3))
    folder.log.append(fact(3, at=days(3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
        with pytest.raises(AuditError, match="shortened"):
            folder.log.age(at=days(9), delete=days(3), close=days(1))
    assert folder.damages() == []
    assert folder.log.age(at=days(9), delete=days(3), close=days(1)) == 1
    assert folder.damages() == []


def test_over_long_lines_are_read_in_bounds_and_count_as_one(tmp_path):
    path = tmp_path / name(1)
    good = b"".join(written(2))
    path.write_bytes(b"x" * 100_000 + b"\n" + good)
    assert len(next(lines_of(path))) == MAX_LINE + 1
    assert len(list(lines_of(path))) == 3
    path.write_bytes(b"x" * (MAX_LINE + 1) + b"\n" + good)
    assert len(list(lines_of(path))) == 3


def test_segments_are_sorted_by_number_and_others_left_alone(tmp_path):
    for one in ("audit-100000.jsonl", "audit-99999.jsonl", "audit-00001.jsonl", "audit-1.jsonl", "audit-00001.torn"):
        (tmp_path / one).touch()
    found = [path.name for path in segments(tmp_path)]
    assert found == ["audit-00001.jsonl", "audit-99999.jsonl", "audit-100000.jsonl"]
    assert segments(tmp_path / "none") == []
