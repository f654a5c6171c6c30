"""What is deleted, when, and that it is gone from the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.coverage import BooksRecord, Page
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.streams import StreamId, topic_sid
from streamwatch.ledger.hiding import Hiding
from streamwatch.ledger.retention import DAY_S, HOUR_S, Fate, Keep, fate
from streamwatch.ledger.sqlite import SqliteLedger
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger

CANARY = "kanarienvogel"
KEY = b"0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(folder: Path, clock: FakeClock) -> Iterator[SqliteLedger]:
    made = SqliteLedger(folder, clock=clock)
    yield made
    made.close()


def document(verdict: str | None, *, stream: str = CANARY) -> str:
    human = None if verdict is None else {"verdict": verdict}
    part = {"id": stream, "name": stream, "watch_url": f"https://h/{stream}"}
    return json.dumps({"human": human, "stream": part})


def put(
    ledger: SqliteLedger | FakeLedger,
    name: str,
    clock: FakeClock,
    *,
    verdict: str | None = None,
    open_: bool = False,
    owed: bool = False,
) -> None:
    now, body = clock.now().timestamp(), document(verdict)
    ledger.commit(
        Alert(name, StreamId(CANARY), "r", Severity.HIGH, Kind.CLASSIFIER, 1, open_, body, changed_at=now),
        AlertEvent(name, 1, Event.OPENED, Severity.HIGH, StreamId(CANARY), body),
    )
    if not owed:
        ledger.acknowledged([event(name, 1)], at=now)


def event(name: str, seq: int) -> AlertEvent:
    return AlertEvent(name, seq, Event.OPENED, Severity.HIGH, StreamId(CANARY), "")


def left(ledger: SqliteLedger | FakeLedger) -> set[str]:
    return {alert.id for alert in ledger.alerts(open_only=False)}


def sweep(ledger: SqliteLedger | FakeLedger, clock: FakeClock, keep: Keep) -> None:
    while ledger.prune(keep.due(clock.now().timestamp())):
        pass


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_over_months_each_kind_goes_in_its_time_and_what_is_owed_or_open_stays(
    kind: str, ledger: SqliteLedger, clock: FakeClock
) -> None:
    kept: SqliteLedger | FakeLedger = ledger if kind == "sqlite" else FakeLedger(clock)
    for verdict in ("confirm", "escalate", "dismiss", "acknowledge", "proposed_dismissal", "reopen"):
        put(kept, verdict, clock, verdict=verdict)
    put(kept, "unjudged", clock)
    put(kept, "open", clock, open_=True)
    put(kept, "owed", clock, owed=True)
    everything = left(kept)
    keep = Keep(confirmed_s=365 * DAY_S, dismissed_s=24 * HOUR_S, unconfirmed_s=72 * HOUR_S)

    clock.advance(24 * HOUR_S)
    sweep(kept, clock, keep)
    assert left(kept) == everything, "not before its time"
    clock.advance(1)
    sweep(kept, clock, keep)
    assert left(kept) == everything - {"dismiss"}
    clock.advance(48 * HOUR_S)
    sweep(kept, clock, keep)
    assert left(kept) == {"confirm", "escalate", "open", "owed"}
    for _month in range(11):
        clock.advance(30 * DAY_S)
        sweep(kept, clock, keep)
        assert left(kept) == {"confirm", "escalate", "open", "owed"}
    clock.advance(33 * DAY_S)
    sweep(kept, clock, keep)
    assert left(kept) == {"open", "owed"}
    assert [(event.alert_id, event.seq) for event in kept.pending()] == [("owed", 1)]
    kept.acknowledged([event("owed", 1)], at=clock.now().timestamp())
    sweep(kept, clock, keep)
    assert left(kept) == {"open"}, "delivered at last, it goes"


def test_an_alert_confirmed_later_is_kept_as_a_confirmed_one(ledger: SqliteLedger, clock: FakeClock) -> None:
    put(ledger, "a", clock)
    body = document("confirm")
    ledger.commit(
        Alert("a", StreamId(CANARY), "r", Severity.HIGH, Kind.CLASSIFIER, 2, open=False, document=body),
        AlertEvent("a", 2, Event.UPDATED, Severity.HIGH, StreamId(CANARY), body),
    )
    ledger.acknowledged([event("a", 2)], at=0.0)
    clock.advance(100 * HOUR_S)
    ledger.prune(Keep(confirmed_s=1e12).due(clock.now().timestamp()))
    assert left(ledger) == {"a"}


def test_one_step_is_bounded(ledger: SqliteLedger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamwatch.ledger.sqlite._LIMIT", 3)
    for number in range(10):
        put(ledger, f"a{number}", clock)
    clock.advance(100 * HOUR_S)
    ledger.prune(Keep().due(clock.now().timestamp()))
    assert len(left(ledger)) == 7


def found(folder: Path, *words: str) -> list[str]:
    return [
        f"{word} in {path.name}"
        for path in sorted(folder.iterdir())
        for word in words
        if word.encode() in path.read_bytes()
    ]


def test_deleted_is_gone_from_every_byte_of_the_files(ledger: SqliteLedger, folder: Path, clock: FakeClock) -> None:
    for number in range(50):
        put(ledger, f"a{number}", clock)
    ledger.answered("request-of-old", "digest", b"answer-of-old", keep_s=60)
    ledger.remember("note-of-old", "value-of-old")
    ledger.remember("note-of-old", None)
    assert found(folder, CANARY, "request-of-old")
    clock.advance(100 * HOUR_S)
    sweep(ledger, clock, Keep())
    assert found(folder, CANARY, "request-of-old", "answer-of-old", "note-of-old", "value-of-old") == []


def test_a_ledger_of_plain_ids_holds_none_once_they_are_keyed_and_open_alerts_go_on(
    ledger: SqliteLedger, folder: Path, clock: FakeClock
) -> None:
    put(ledger, "open", clock, open_=True, owed=True)
    put(ledger, "closed", clock, verdict="confirm")
    ledger.save_books(BooksRecord(1.0, 1.0, 1.0, "b", (Page("stream", CANARY, "{}", ()), Page("node", "", "{}", ()))))
    ledger.remember("demands/3", json.dumps([CANARY]))
    hidden = Hiding(lambda name: topic_sid(name, KEY), names=True)
    assert ledger.hide(hidden)
    assert found(folder, CANARY) == []
    sid = topic_sid(CANARY, KEY)
    assert [(alert.id, alert.stream) for alert in ledger.alerts()] == [("open", sid)]
    (event,) = ledger.pending()
    assert json.loads(event.body)["stream"] == {"id": sid, "name": "", "watch_url": None}
    books = ledger.load_books()
    assert books is not None
    assert {(page.kind, page.name) for page in books.pages} == {("stream", sid), ("node", "")}
    assert not ledger.hide(hidden), "once"
    assert not ledger.hide(Hiding(lambda name: topic_sid(name, b"another key, as long"), names=True))
    assert ledger.alerts()[0].stream == sid, "another key finds pseudonyms, and leaves them"
    assert not ledger.hide(Hiding())


def test_an_empty_ledger_has_nothing_to_hide(ledger: SqliteLedger) -> None:
    assert not ledger.hide(Hiding(lambda name: topic_sid(name, KEY), names=True))


def test_hidden_names_alone_take_names_and_links_out(ledger: SqliteLedger, clock: FakeClock) -> None:
    put(ledger, "a", clock, open_=True)
    assert ledger.hide(Hiding(names=True))
    part = json.loads(ledger.alerts()[0].document)["stream"]
    assert part == {"id": CANARY, "name": "", "watch_url": None}


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_any_text_has_a_fate(text: str) -> None:
    assert fate(text) is Fate.UNCONFIRMED
