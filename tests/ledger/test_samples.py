"""Scores of single frames in the ledger: kept as they were, within a size, and gone when they are due."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.domain.media import Aim, Scores
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.database import FILE, ReadOnly
from streamwatch.ledger.hiding import Hiding
from streamwatch.ledger.retention import Due, Keep
from streamwatch.ledger.samples import MAX_LINE, Scored, scored, stored
from streamwatch.ledger.sqlite import SqliteLedger
from tests.fakes.clock import FakeClock

ALL = 2**40


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    made = SqliteLedger(tmp_path, clock=FakeClock())
    yield made
    made.close()


def frame(at: float, stream: str = "lobby", score: float = 0.5) -> Scored:
    return Scored(at, StreamId(stream), "s1", at + 1, at / 2, Aim.KEY, (Scores("det", (("nsfw", score),)),))


def read(folder: Path, since: float = 0.0) -> list[Scored | None]:
    file = ReadOnly(folder)
    try:
        return list(stored(file, since=since))
    finally:
        file.close()


def test_scores_are_read_as_they_were_kept_while_the_daemon_writes(ledger: SqliteLedger, tmp_path: Path) -> None:
    assert read(tmp_path) == []
    kept = [frame(number) for number in range(3)]
    ledger.keep_samples([one.row() for one in kept], before=0.0, limit_bytes=ALL)
    assert read(tmp_path) == kept
    assert read(tmp_path, since=2.0) == kept[2:]
    assert read(tmp_path, since=3.0) == []


def test_after_the_clock_was_set_back_frames_are_read_as_they_came(ledger: SqliteLedger, tmp_path: Path) -> None:
    kept = [frame(at) for at in (100, 101, 50, 51, 102)]
    ledger.keep_samples([one.row() for one in kept], before=0.0, limit_bytes=ALL)
    assert [one.at for one in read(tmp_path, since=60) if one] == [100, 101, 102]


LABELS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=128)
SCORES = st.lists(
    st.tuples(LABELS, st.dictionaries(LABELS, st.floats(0, 1), max_size=40)), max_size=12, unique_by=lambda one: one[0]
)


@settings(max_examples=60)
@given(SCORES, st.floats(-1e9, 1e9), st.text(max_size=200), st.sampled_from(Aim))
def test_whatever_was_scored_a_line_has_room(
    found: list[tuple[str, dict[str, float]]], media_s: float, stream: str, look: Aim
) -> None:
    scores = tuple(Scores(name, tuple(values.items())) for name, values in found)
    one = Scored(5.0, StreamId(stream), "s1", 7.5, media_s, look, scores, corrupt=not found, blind=bool(found))
    row = one.row()
    assert len(row[2]) <= MAX_LINE
    again = scored(row)
    assert again is not None
    if not again.trimmed:
        assert again == one
        return
    everything = {(name, label): score for name, values in found for label, score in values.items()}
    left = {(part.detector, label): score for part in again.scores for label, score in part.values}
    assert left.items() <= everything.items()
    given_up = [score for key, score in everything.items() if key not in left]
    assert not left or min(left.values()) >= max(given_up)


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{}", "null", '{"s":1,"a":"x","m":0,"l":"key","d":{}}', '{"s":1,"a":1,"m":0,"l":"key","d":[1]}',
     '{"s":"","a":1,"m":0,"l":"nowhere","d":{}}', '{"s":"","a":1,"m":0,"l":"key","d":{"x":{"y":"z"}}}'],
)  # fmt: skip
def test_what_a_disk_changed_is_no_frame(line: str) -> None:
    assert scored((1.0, b"lobby", line)) is None


def test_too_many_scores_make_room_for_new_ones(ledger: SqliteLedger, tmp_path: Path) -> None:
    for second in range(40):
        ledger.keep_samples(
            [frame(second * 50 + number).row() for number in range(50)], before=-1.0, limit_bytes=100_000
        )
    left = [one.at for one in read(tmp_path) if one]
    assert left == sorted(left)
    assert left[-1] == 1999
    assert 500 < len(left) < 1000
    ledger.keep_samples([frame(2000).row()] * 50, before=-1.0, limit_bytes=1)
    assert len(read(tmp_path)) == len(left) - 50, "no more than twice what is written goes at a time"


def test_what_is_due_goes_a_little_with_every_piece(ledger: SqliteLedger, tmp_path: Path) -> None:
    ledger.keep_samples([frame(number).row() for number in range(10)], before=0.0, limit_bytes=ALL)
    ledger.keep_samples([frame(10).row()], before=9.0, limit_bytes=ALL)
    assert [one.at for one in read(tmp_path) if one] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    ledger.keep_samples([frame(11).row()] * 5, before=9.0, limit_bytes=ALL)
    assert [one.at for one in read(tmp_path) if one][:2] == [9, 10]


def test_scores_go_when_they_are_due_and_nothing_of_them_is_left(ledger: SqliteLedger, tmp_path: Path) -> None:
    ledger.keep_samples(
        [frame(number, stream="a-name-to-find").row() for number in range(10)], before=0.0, limit_bytes=ALL
    )
    assert ledger.prune(Due(0.0, 0.0, 0.0)) == 0, "not asked about, they stay"
    assert ledger.prune(Due(0.0, 0.0, 0.0, samples=4.0)) == 4
    assert [one.at for one in read(tmp_path) if one] == [4, 5, 6, 7, 8, 9]
    assert Keep().due(100.0).samples == 100.0, "where none are kept, those of before go"
    while ledger.prune(Keep().due(100.0)):
        pass
    assert read(tmp_path) == []
    ledger.close()
    assert all(b"a-name-to-find" not in (tmp_path / name).read_bytes() for name in (FILE, f"{FILE}-wal")
               if (tmp_path / name).exists())  # fmt: skip


def test_where_ids_are_hidden_from_now_on_scores_of_before_go(ledger: SqliteLedger, tmp_path: Path) -> None:
    ledger.keep_samples([frame(1).row()], before=0.0, limit_bytes=ALL)
    assert not ledger.hide(Hiding(names=True)) or read(tmp_path)
    ledger.hide(Hiding(pseudonym=lambda name: f"hidden-{len(name)}", names=True))
    assert read(tmp_path) == []


def test_a_line_holds_scores_and_no_more() -> None:
    facts = json.loads(frame(1.0).row()[2])
    assert facts == {"s": "s1", "a": 2.0, "m": 0.5, "l": "key", "d": {"det": {"nsfw": 0.5}}}
