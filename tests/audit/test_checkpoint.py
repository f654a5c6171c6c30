"""What checkpoints say against a log that was shortened or written anew."""

import json

import pytest

from streamwatch.audit.chain import Tip, Unreadable
from streamwatch.audit.checkpoint import MAX_BYTES, Checkpoint, checkpoint, compare, read, wanted
from streamwatch.audit.verification import What, verify
from tests.audit.book import AT, tip_of, written

LOG = written(12)


def told(n: int, *, log: list[bytes] = LOG, minute: int = 0) -> Checkpoint:
    at = AT.replace("10:00", f"10:{minute or n:02d}")
    return checkpoint(tip_of(log[:n]), node="edge-1", boot_id="b", at=at, lines=1)


def against(lines: list[bytes], *points: Checkpoint) -> list[tuple[int, What, str]]:
    found = verify(lines, wanted=wanted(points))
    assert found.damages == []
    return [(one.line, one.what, one.text) for one in compare(found, points)]


def test_it_is_small_and_read_as_it_was_written():
    one = told(3)
    assert len(one.payload()) <= MAX_BYTES
    assert read(one.payload()) == one
    assert read(b"streamwatch/v1/edge-1/audit " + one.payload() + b"\n") == one
    assert json.loads(one.payload())["schema"] == "streamwatch.audit/1"
    longest = Checkpoint(node="n" * 64, boot_id="b" * 64, at="2" * 32, n=10**15, hash="f" * 64, lines=10**15)
    assert len(longest.payload()) < 500


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"x" * 5000,
        b"{" * 5000,
        told(3).payload()[:-1],
        told(3).payload().replace(b'"n":3', b'"n":"3"'),
        told(3).payload().replace(b'"n":3', b'"n":3,"more":1'),
        told(3).payload().replace(b"audit/1", b"audit/2"),
        told(3).payload().replace(b'"n":3', b'"n":-3'),
    ],
)
def test_anything_else_is_no_checkpoint(data):
    with pytest.raises(Unreadable):
        read(data)


def test_a_log_as_it_was_fits_every_checkpoint():
    assert against(LOG, told(3), told(12), told(3)) == []


def test_a_tail_that_was_cut_off_is_found():
    [(line, what, text)] = against(LOG[:8], told(3), told(7), told(12))
    assert (line, what) == (8, What.TRUNCATION)
    assert text == (
        "the log ends with n=8, and the checkpoint of 2026-11-21T10:12:00.000Z tells of n=12"
        "; the one of 2026-11-21T10:07:00.000Z, n=7, fits"
    )


def test_a_log_that_was_cut_off_and_went_on_is_found():
    on = [*LOG[:8], *written(6, after=tip_of(LOG[:8]), verb="mute")]
    [(line, what, text)] = against(on, told(7), told(10), told(12))
    assert (line, what) == (10, What.CHANGE)
    assert "n=7, fits" in text


def test_a_log_that_was_written_anew_is_found():
    [(line, what, _)] = against(written(12, verb="mute"), told(5))
    assert (line, what) == (5, What.CHANGE)


def test_a_log_that_is_gone_is_found():
    assert [what for _, what, _ in against([], told(5))] == [What.TRUNCATION]


def test_a_checkpoint_of_nothing_or_of_what_was_deleted_for_its_age_says_nothing():
    nothing = checkpoint(Tip(), node="edge-1", boot_id="b", at=AT, lines=0)
    assert against(LOG, nothing) == []
    found = verify(LOG[4:], wanted=(2, 12))
    assert compare(found, [told(2), told(12)], kept_s=60) == []


def test_a_checkpoint_of_no_time_is_none():
    with pytest.raises(Unreadable):
        read(told(3).payload().replace(AT[:13].encode(), b"yesterday-abc"))


def test_what_was_deleted_for_its_age_before_it_was_old_is_found():
    found = verify(LOG[4:], wanted=(2, 12))
    [damage] = compare(found, [told(2), told(12)])
    assert (damage.line, damage.what) == (1, What.DELETION)
    assert "not old enough: everything before n=5 is missing" in damage.text


def test_a_line_that_is_missing_in_the_middle_is_said_by_the_log_itself():
    found = verify([*LOG[:4], *LOG[5:]], wanted=(5,))
    assert compare(found, [told(5)]) == []
    assert [damage.what for damage in found.damages] == [What.DELETION]
