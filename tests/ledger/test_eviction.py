"""What goes when the ledger is too large, and what never does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.eviction import Evicted
from streamwatch.ledger.sqlite import SqliteLedger
from tests.fakes.clock import FakeClock

LOBBY = StreamId("lobby")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    made = SqliteLedger(tmp_path / "state", clock=FakeClock())
    yield made
    made.close()


def put(
    ledger: SqliteLedger, name: str, severity: Severity, *, steps: int = 1, open_: bool = False, told: bool = True
) -> None:
    for seq in range(1, steps + 1):
        kind = Event.OPENED if seq == 1 else Event.UPDATED if seq < steps else Event.CLOSED
        alert = Alert(name, LOBBY, "r", severity, Kind.CLASSIFIER, seq, open_, "d" * 900, changed_at=float(seq))
        event = AlertEvent(name, seq, kind, severity, LOBBY, "b" * 900)
        ledger.commit(alert, event)
        if told:
            ledger.acknowledged([event], at=1.0)


def shrink(ledger: SqliteLedger, limit_bytes: int) -> Evicted:
    """Until nothing more goes, as the daemon calls it; all that went."""
    steps, alerts, owed = 0, Counter(), Counter()
    while gone := ledger.evict(limit_bytes=limit_bytes):
        steps += gone.steps
        alerts += gone.alerts
        owed += gone.owed
    return Evicted(steps, alerts, owed, stuck=gone.stuck)


def names(ledger: SqliteLedger) -> set[str]:
    return {alert.id for alert in ledger.alerts(open_only=False)}


def test_a_ledger_with_room_is_left_alone(ledger: SqliteLedger) -> None:
    put(ledger, "a", Severity.TEST)
    assert not ledger.evict(limit_bytes=ledger.size())
    assert names(ledger) == {"a"}


def test_tests_go_before_alerts_and_what_is_owed_stays(ledger: SqliteLedger) -> None:
    for number in range(600):
        put(ledger, f"t{number}", Severity.TEST)
        put(ledger, f"h{number}", Severity.HIGH)
    put(ledger, "owed", Severity.HIGH, told=False)
    put(ledger, "open", Severity.LOW, open_=True)
    before = ledger.size()
    gone = shrink(ledger, round(before * 0.9))
    assert set(gone.alerts) == {Severity.TEST}
    assert "closed test alerts" in gone.words
    assert {name[0] for name in names(ledger)} >= {"h", "o"}
    assert sum(name.startswith("h") for name in names(ledger)) == 600
    assert ledger.size() <= before * 0.9
    assert {event.alert_id for event in ledger.pending()} == {"owed"}


def test_steps_that_newer_ones_replaced_go_first(ledger: SqliteLedger) -> None:
    put(ledger, "a", Severity.HIGH, steps=400, open_=True)
    put(ledger, "t", Severity.TEST)
    gone = shrink(ledger, round(ledger.size() * 0.8))
    assert gone.steps == 399
    assert not gone.alerts
    assert names(ledger) == {"a", "t"}


def test_of_what_nobody_was_told_only_what_a_newer_step_repeats_goes(ledger: SqliteLedger) -> None:
    put(ledger, "a", Severity.HIGH, steps=300, open_=True, told=False)
    gone = shrink(ledger, 50_000)
    assert gone.owed == {Severity.HIGH: 298}
    assert "298 undelivered high messages" in gone.words
    assert [event.key for event in ledger.pending()] == [("a", 1), ("a", 300)]


def test_an_open_or_owed_grave_alert_is_never_given_up(ledger: SqliteLedger) -> None:
    for number in range(50):
        put(ledger, f"u{number}", Severity.URGENT, told=False)
        put(ledger, f"h{number}", Severity.HIGH, told=False)
        put(ledger, f"o{number}", Severity.TEST, open_=True, told=False)
        put(ledger, f"t{number}", Severity.TEST, told=False)
        put(ledger, f"l{number}", Severity.LOW, told=False)
    gone = shrink(ledger, 10_000)
    assert set(gone.owed) == {Severity.TEST, Severity.LOW}
    assert {name[0] for name in names(ledger)} == {"u", "h", "o"}
    assert len(names(ledger)) == 150
    assert gone.stuck


def test_what_must_stay_is_not_in_the_way_of_what_lies_behind_it(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamwatch.ledger.eviction._LOOKED_AT", 50)
    for number in range(100):
        put(ledger, f"h{number}", Severity.HIGH, told=False)
    put(ledger, "long", Severity.HIGH, steps=80, told=False)
    gone = shrink(ledger, 1000)
    assert gone.owed == {Severity.HIGH: 78}
    assert gone.stuck


def test_what_was_acknowledged_a_moment_ago_stays(ledger: SqliteLedger) -> None:
    now = FakeClock().now().timestamp()
    for number in range(20):
        put(ledger, f"h{number}", Severity.HIGH, told=False)
    ledger.acknowledged(ledger.pending(), at=now - 10)
    gone = shrink(ledger, 1000)
    assert not gone
    assert gone.stuck
