"""What every ledger does."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.coverage import BooksRecord, Bucket, Page
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.database import FILE
from streamwatch.ledger.retention import Due
from streamwatch.ledger.sqlite import SqliteLedger
from streamwatch.ledger.standby import StandbyLedger
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger

LOBBY = StreamId("lobby")


@pytest.fixture
def clock():
    return FakeClock()


DURABLE = ["fake", "sqlite", "standby"]
durable = pytest.mark.parametrize("ledger", DURABLE, indirect=True)


@pytest.fixture(params=[*DURABLE, "memory beside a disk that refuses"])
def ledger(request, tmp_path: Path, clock: FakeClock, monkeypatch):
    if request.param == "fake":
        yield FakeLedger(clock)
        return
    monkeypatch.setattr("streamwatch.ledger.database._BUSY_S", 0.001)
    disk = SqliteLedger(tmp_path / "state", clock=clock)
    shell = sqlite3.connect(tmp_path / "state" / FILE, isolation_level=None)
    if request.param not in ("sqlite", "standby"):
        shell.execute("BEGIN IMMEDIATE")  # reads go on, nothing can be written
    yield disk if request.param == "sqlite" else StandbyLedger(disk, clock=clock)
    shell.close()
    disk.close()


def alert(name="a", seq=1, *, open_=True, stream=LOBBY, at=1.0):
    return Alert(name, stream, "nudity", Severity.HIGH, Kind.CLASSIFIER, seq, open_, f"doc {seq}", changed_at=at)


def event(name="a", seq=1, *, stream=LOBBY, triggered=None, body=None):
    kind = Event.OPENED if seq == 1 else Event.UPDATED
    return AlertEvent(name, seq, kind, Severity.HIGH, stream, body or f"body {seq}", triggered)


def keys(events):
    return [(one.alert_id, one.seq) for one in events]


def test_what_is_committed_is_pending_in_order_until_acknowledged(ledger):
    ledger.commit(alert("a"), event("a"))
    ledger.commit(alert("b"), event("b"))
    ledger.commit(alert("a", 2), event("a", 2))
    assert keys(ledger.pending()) == [("a", 1), ("b", 1), ("a", 2)]
    assert keys(ledger.pending(limit=2)) == [("a", 1), ("b", 1)]
    ledger.acknowledged([event("a", 1)], at=5.0)
    assert keys(ledger.pending()) == [("b", 1), ("a", 2)]


def test_an_event_comes_back_as_it_was_committed(ledger):
    ledger.commit(alert("a"), event("a", triggered=12.5))
    assert ledger.pending() == [event("a", triggered=12.5)]
    assert ledger.alerts() == [alert("a")]


def test_a_stream_may_have_any_name(ledger):
    strange = StreamId("salle de réunion \ud800 \x00 🎥")
    ledger.commit(alert("a", stream=strange), event("a", stream=strange))
    assert ledger.pending()[0].stream == strange
    assert ledger.alerts()[0].stream == strange


def test_closed_alerts_leave_the_open_list(ledger):
    ledger.commit(alert("a"), event("a"))
    ledger.commit(alert("b"), event("b"))
    ledger.commit(alert("a", 2, open_=False), event("a", 2))
    assert [one.id for one in ledger.alerts()] == ["b"]
    assert [one.id for one in ledger.alerts(open_only=False)] == ["a", "b"]


@pytest.mark.parametrize("seq", [1, 3, 7])
def test_a_number_that_is_not_the_next_is_refused_and_changes_nothing(ledger, seq):
    ledger.commit(alert("a"), event("a"))
    with pytest.raises(LedgerError):
        ledger.commit(alert("a", seq), event("a", seq))
    assert ledger.alerts() == [alert("a")]
    assert keys(ledger.pending()) == [("a", 1)]


def test_an_event_of_another_alert_is_refused(ledger):
    with pytest.raises(LedgerError):
        ledger.commit(alert("a"), event("b"))
    assert ledger.alerts() == []


def test_the_body_is_fixed_at_the_first_offer(ledger):
    ledger.commit(alert("a"), event("a", triggered=3.0))
    ledger.offer([event("a", body="with latency")])
    ledger.offer([event("a", body="with latency")])
    with pytest.raises(LedgerError):
        ledger.offer([event("a", body="another latency")])
    [owed] = ledger.pending()
    assert owed.body == "with latency"
    assert owed.triggered is None


def test_offering_an_unknown_event_is_refused(ledger):
    with pytest.raises(LedgerError):
        ledger.offer([event("nobody", body="body")])


def test_the_backlog_counts_and_ages(ledger, clock):
    assert ledger.backlog().pending == 0
    assert ledger.backlog().oldest_s == 0.0
    ledger.commit(alert("a", at=clock.now().timestamp()), event("a"))
    clock.advance(5)
    ledger.commit(alert("b", at=clock.now().timestamp()), event("b"))
    assert ledger.backlog().pending == 2
    assert ledger.backlog().oldest_s == pytest.approx(5.0)
    ledger.acknowledged([event("a", 1)], at=1.0)
    assert ledger.backlog().oldest_s == pytest.approx(0.0)


@durable
def test_the_first_acknowledgement_stands(ledger):
    ledger.commit(alert("a", open_=False), event("a"))
    ledger.acknowledged([event("a", 1)], at=100.0)
    ledger.acknowledged([event("a", 1)], at=500.0)
    for name, at in (("b", 140.0), ("c", 190.0), ("d", 200.0)):
        ledger.commit(alert(name, open_=False), event(name))
        ledger.acknowledged([event(name)], at=at)
    assert ledger.owe_again(within_s=50.0) == 3
    ledger.acknowledged([event(name) for name in "cdb"], at=200.0)
    assert ledger.owe_again(within_s=50.0) == 4, "no gap counts as more than half of it"


def test_what_is_most_severe_is_owed_first_and_each_alert_in_its_order(ledger):
    severities = {"t": Severity.TEST, "l": Severity.LOW, "h": Severity.HIGH, "u": Severity.URGENT, "h2": Severity.HIGH}
    for seq in (1, 2):
        for name, severity in severities.items():
            ledger.commit(replace(alert(name, seq), severity=severity), replace(event(name, seq), severity=severity))
    assert [one.alert_id for one in ledger.pending()] == ["u", "u", "h", "h2", "h", "h2", "l", "l", "t", "t"]
    assert [one.seq for one in ledger.pending()] == [1, 2, 1, 1, 2, 2, 1, 2, 1, 2]
    assert keys(ledger.pending(limit=2)) == [("u", 1), ("u", 2)]


def test_of_what_is_urgent_the_newest_alerts_are_owed_first_and_each_in_its_order(ledger):
    for seq in (1, 2):
        for name in ("01", "02", "03"):
            ledger.commit(
                replace(alert(name, seq), severity=Severity.URGENT), replace(event(name, seq), severity=Severity.URGENT)
            )
    assert keys(ledger.pending()) == [("03", 1), ("03", 2), ("02", 1), ("02", 2), ("01", 1), ("01", 2)]
    assert keys(ledger.pending(limit=3)) == [("03", 1), ("03", 2), ("02", 1)]


def test_a_severity_that_is_raised_takes_along_what_is_owed_of_the_alert(ledger):
    for name in "ab":
        ledger.commit(alert(name), event(name))
    ledger.commit(replace(alert("b", 2), severity=Severity.URGENT), event("b", 2))
    assert keys(ledger.pending()) == [("b", 1), ("b", 2), ("a", 1)]
    assert {one.severity for one in ledger.pending(limit=2)} == {Severity.URGENT}
    assert ledger.find("b").severity is Severity.URGENT


def test_an_escalated_event_comes_back_as_one(ledger):
    ledger.commit(alert("a"), replace(event("a"), escalated=True))
    assert ledger.pending()[0].escalated


def test_several_bodies_are_fixed_or_none(ledger):
    ledger.commit(alert("a"), event("a"))
    ledger.commit(alert("b"), event("b"))
    with pytest.raises(LedgerError):
        ledger.offer([event("a", body="one"), event("nobody")])
    ledger.offer([event("a", body="two"), event("b", body="three")])
    assert [one.body for one in ledger.pending()] == ["two", "three"]


@durable
@pytest.mark.parametrize("set_s", [3600.0, -3600.0])
def test_a_clock_that_was_set_between_acknowledgements_hides_none_of_them(ledger, set_s):
    for name in "abc":
        ledger.commit(alert(name, open_=False), event(name))
    ledger.acknowledged([event("a")], at=10.0)
    ledger.acknowledged([event("b")], at=200.0)
    ledger.acknowledged([event("c")], at=210.0 + set_s)
    assert ledger.owe_again(within_s=60.0) >= 2
    assert {("b", 1), ("c", 1)} <= set(keys(ledger.pending()))


@durable
def test_what_is_owed_again_of_a_raised_alert_keeps_its_order(ledger):
    ledger.commit(replace(alert("a"), severity=Severity.LOW), event("a"))
    ledger.commit(alert("b"), event("b"))
    ledger.acknowledged([event("a")], at=10.0)
    ledger.commit(replace(alert("a", 2), severity=Severity.URGENT), event("a", 2))
    ledger.owe_again([("a", 1)])
    assert keys(ledger.pending()) == [("a", 1), ("a", 2), ("b", 1)]


@durable
def test_events_that_somebody_names_are_owed_again_whatever_the_wall_clock_said(ledger):
    for name in "ab":
        ledger.commit(alert(name, open_=False), event(name))
    ledger.acknowledged([event("a"), event("b")], at=10.0)
    assert ledger.owe_again([("b", 1), ("c", 1)]) == 1
    assert keys(ledger.pending()) == [("b", 1)]


def test_alerts_can_be_left_out_of_what_is_owed(ledger):
    for name in "abc":
        ledger.commit(alert(name), event(name))
    assert keys(ledger.pending(limit=1, without={"a"})) == [("b", 1)]
    assert keys(ledger.pending(without={"a", "c", 'who\'s "that"'})) == [("b", 1)]


@durable
def test_a_broker_that_forgot_us_is_owed_open_alerts_and_the_newest_deliveries_again(ledger):
    for name in ("open", "shut", "mid", "late"):
        ledger.commit(alert(name), event(name))
        ledger.commit(alert(name, 2, open_=name == "open"), event(name, 2))
    for name, first, second in (("open", 10, 10), ("shut", 10, 10), ("mid", 50, 50), ("late", 80, 90)):
        ledger.acknowledged([event(name, 1)], at=float(first))
        ledger.acknowledged([event(name, 2)], at=float(second))
    ledger.commit(alert("new"), event("new"))
    assert ledger.owe_again(within_s=30.0) == 5
    assert keys(ledger.pending()) == [("open", 2), ("mid", 1), ("mid", 2), ("late", 1), ("late", 2), ("new", 1)]


def test_alerts_are_found_open_or_closed(ledger):
    ledger.commit(alert("a"), event("a"))
    ledger.commit(alert("a", 2, open_=False, at=50.0), event("a", 2))
    assert ledger.find("a").seq == 2
    assert ledger.find("b") is None
    assert [one.id for one in ledger.closed_since(50.0)] == ["a"]
    assert ledger.closed_since(50.1) == []


def test_notes_are_kept_replaced_and_forgotten(ledger):
    assert ledger.recall("mutes") is None
    ledger.remember("mutes", "one")
    ledger.remember("mutes", "two")
    assert ledger.recall("mutes") == "two"
    ledger.remember("mutes", None)
    assert ledger.recall("mutes") is None


def test_answers_to_commands_are_kept_for_their_time(ledger, clock):
    assert ledger.seen("r1") is None
    ledger.answered("r1", "digest", b"answer", keep_s=60)
    assert ledger.seen("r1") == ("digest", b"answer")
    clock.advance(61)
    assert ledger.seen("r1") is None


@durable
def test_only_so_many_answers_are_kept_and_those_to_be_forgotten_first_go(ledger, monkeypatch):
    monkeypatch.setattr("streamwatch.ledger.sqlite.MAX_ANSWERS", 3)
    monkeypatch.setattr("streamwatch.ledger.memory.MAX_ANSWERS", 3)
    ledger.answered("long", "d", b"x", keep_s=1000)
    for number in range(5):
        ledger.answered(f"r{number}", "d", b"x", keep_s=60 + number)
    kept = [name for name in ("long", "r0", "r1", "r2", "r3", "r4") if ledger.seen(name) is not None]
    assert kept == ["long", "r3", "r4"]


@durable
def test_pruning_removes_what_is_old_and_owed_to_nobody(ledger):
    ledger.commit(alert("done", at=1.0), event("done"))
    ledger.commit(alert("done", 2, open_=False, at=2.0), event("done", 2))
    ledger.commit(alert("owed", open_=False, at=2.0), event("owed"))
    ledger.commit(alert("open", at=2.0), event("open"))
    ledger.commit(alert("open", 2, at=3.0), event("open", 2))
    ledger.commit(alert("young", open_=False, at=100.0), event("young"))
    for name, seq in (("done", 1), ("done", 2), ("open", 1), ("open", 2)):
        ledger.acknowledged([event(name, seq)], at=5.0)
    ledger.acknowledged([event("young", 1)], at=100.0)
    assert ledger.prune(Due.all(50.0)) == 4, "an alert with two events, and an old event of the open one"
    assert [one.id for one in ledger.alerts(open_only=False)] == ["open", "owed", "young"]
    assert keys(ledger.pending()) == [("owed", 1)]
    assert ledger.prune(Due.all(50.0)) == 0


@durable
def test_a_closed_ledger_raises_what_the_contract_names(ledger):
    ledger.close()
    with pytest.raises(LedgerError):
        ledger.commit(alert("a"), event("a"))
    with pytest.raises(LedgerError):
        ledger.pending()


def page(name="lobby", facts="{}", *buckets: Bucket, kind="stream"):
    return Page(kind, name, facts, tuple(buckets))


def books(at, *pages: Page, gone=(), oldest=()):
    return BooksRecord(at, at + 0.5, at - 1000.0, "boot", tuple(pages), tuple(gone), tuple(oldest))


def loaded(ledger):
    """What is kept: facts and buckets by account."""
    record = ledger.load_books()
    return {(one.kind, one.name): (one.facts, sorted(one.buckets, key=astuple)) for one in record.pages}


@durable
def test_where_no_books_were_kept_there_are_none(ledger):
    assert ledger.load_books() is None


@durable
def test_books_come_back_as_they_were_kept(ledger):
    strange = "salle \ud800 \x00 🎥"
    minute, day = Bucket(60, 100, 59.5, 1.25, 2), Bucket(600, 10, 59.5, 1.25, 2)
    pages = (page("", '{"a": 1}', minute, kind="node"), page("edge", "{}", kind="origin"), page(strange, "{}", day))
    ledger.save_books(books(6000.0, *pages))
    record = ledger.load_books()
    assert (record.at, record.wall, record.monotonic, record.boot) == (6000.0, 6000.5, 5000.0, "boot")
    assert set(record.pages) == set(pages)


@durable
def test_a_record_replaces_facts_and_the_buckets_that_it_names(ledger):
    ledger.save_books(books(10.0, page("a", "1", Bucket(60, 1, 5.0, 0.0, 0), Bucket(60, 2, 5.0, 0.0, 0)), page("b")))
    ledger.save_books(books(20.0, page("a", "2", Bucket(60, 2, 9.0, 3.0, 1)), page("b")))
    assert ledger.load_books().at == 20.0
    assert loaded(ledger) == {
        ("stream", "a"): ("2", [Bucket(60, 1, 5.0, 0.0, 0), Bucket(60, 2, 9.0, 3.0, 1)]),
        ("stream", "b"): ("{}", []),
    }


@durable
def test_streams_that_are_gone_and_buckets_that_are_old_are_forgotten(ledger):
    old, young = Bucket(60, 1, 5.0, 0.0, 0), Bucket(60, 7, 5.0, 0.0, 0)
    ledger.save_books(books(10.0, page("a", "1", old, young), page("b", "1", old), page("b", "o", old, kind="origin")))
    ledger.save_books(books(20.0, page("a", "2"), gone=["b", "never"], oldest=[(60, 7), (600, 0)]))
    assert loaded(ledger) == {("stream", "a"): ("2", [young]), ("origin", "b"): ("o", [])}


@durable
def test_a_stream_that_is_back_at_once_is_kept(ledger):
    ledger.save_books(books(10.0, page("a", "1")))
    ledger.save_books(books(20.0, page("a", "2"), gone=["a"]))
    assert loaded(ledger) == {("stream", "a"): ("2", [])}


@durable
def test_closed_books_raise_what_the_contract_names(ledger):
    ledger.close()
    with pytest.raises(LedgerError):
        ledger.save_books(books(1.0))
    with pytest.raises(LedgerError):
        ledger.load_books()
