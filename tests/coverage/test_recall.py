"""What a restart remembers, and what it must not pretend to know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamwatch.coverage.books import CLAIM_S, Books
from streamwatch.coverage.breaches import BreachEvent
from streamwatch.coverage.recall import LONGEST_DOWN_S
from streamwatch.coverage.rings import DAY, HOUR, Rings, Sums
from streamwatch.coverage.tally import SETTLE_S
from streamwatch.domain.coverage import BooksRecord, Page
from streamwatch.domain.streams import Reason, State, StreamId
from tests.coverage.world import through

A, B = StreamId("a"), StreamId("b")
GAP_S = 10.0
WALL = 1.8e9


def before(until: float = 100.0, *, ended: bool = False) -> BooksRecord:
    """An hour's beginning: `a` is live and looked at every five seconds, `b` was never live."""
    books = Books(offset=WALL)
    for stream in (A, B):
        books.watch(stream, max_gap_s=GAP_S, now=0)
    books.level(A, session="old", live=True, ended=False, reason=None, now=0)
    second = 0.0
    while second < until:
        books.sampled(A, arrival=second, gap_s=5, now=second)
        books.judge(second)
        second += 5
    if ended:
        books.level(A, session="old", live=False, ended=True, reason=None, now=until)
    books.judge(until)
    return books.record(until, wall=WALL + until, boot="boot-1")


def after(record: BooksRecord, *, now: float, wall: float, boot: str = "boot-1", streams=(A, B)) -> Books:
    books = Books(on_breach=HEARD.append)
    HEARD.clear()
    books.restore(record, now=now, wall=wall, boot=boot, new_session=lambda: "new")
    for stream in streams:
        books.watch(stream, max_gap_s=GAP_S, now=now)
    return books


HEARD: list[BreachEvent] = []


def uncovered(books: Books, now: float) -> dict[str, float]:
    """Settled up to now (a whole step)."""
    books.judge(now + SETTLE_S)
    return {reason.value: round(seconds, 2) for reason, seconds in books.uncovered_total.items() if seconds}


def test_a_live_stream_is_live_and_uncovered_by_the_restart_until_a_watcher_speaks() -> None:
    books = after(before(), now=130, wall=WALL + 130)
    [(stream, state, _)] = [one for one in books.judge(130) if one[0] == A]
    assert (stream, state.state, state.reason) == (A, State.UNCOVERED, Reason.RESTART)
    assert state.since == pytest.approx(100)
    books.level(A, session="new", live=False, ended=False, reason=Reason.CONNECTING, now=132)
    books.sampled(A, arrival=140, gap_s=None, now=140)
    assert uncovered(books, 140) == {"restart": 132 - 105, "connecting": 8.0}


def test_its_session_is_a_new_one_because_nobody_saw_whether_it_is_the_same_publication() -> None:
    books = after(before(), now=130, wall=WALL + 130)
    assert books.live_session(A) == "new"
    assert books.live_session(B) == ""


def test_a_restart_within_the_promise_costs_nothing() -> None:
    books = after(before(), now=103, wall=WALL + 103)
    books.level(A, session="new", live=True, ended=False, reason=None, now=103.5)
    books.sampled(A, arrival=104, gap_s=None, now=104.5)
    books.judge(110)
    assert HEARD == []
    assert uncovered(books, 110) == {}


def test_a_stream_that_had_ended_or_never_lived_stays_so() -> None:
    books = after(before(ended=True), now=130, wall=WALL + 130)
    assert books.summary(131).live == 0
    assert uncovered(books, 200) == {}


def test_a_stream_that_ended_while_nobody_was_there_ends_when_its_watcher_finds_out() -> None:
    books = after(before(), now=130, wall=WALL + 130)
    books.judge(130)
    books.level(A, session="new", live=False, ended=True, reason=None, now=140)
    assert [(e.event, e.reason) for e in HEARD] == [("begun", Reason.RESTART), ("ended", Reason.RESTART)]
    assert uncovered(books, 200) == {"restart": 35.0}


def test_ratios_and_totals_go_on() -> None:
    books = after(before(3600), now=3640, wall=WALL + 3640)
    books.level(A, session="new", live=True, ended=False, reason=None, now=3640)
    books.sampled(A, arrival=3640, gap_s=None, now=3641)
    books.judge(3655)
    summary = books.summary(3646)
    assert summary.ratio_1h == pytest.approx(1 - 35 / 3600, abs=0.001)
    assert summary.ratio_24h == pytest.approx(1 - 35 / 3640, abs=0.001)
    assert summary.breaches_1h == 1
    assert books.tally.live_s == pytest.approx(3645, abs=5)


@pytest.mark.parametrize(
    ("boot", "now", "wall", "away_s"),
    [
        ("boot-1", 160, WALL + 160, 60),  # the machine ran on
        ("boot-1", 160, WALL - 5e8, 60),  # ... and somebody set its clock back,
        ("boot-1", 160, WALL + 5e8, 60),  # or forward: its monotonic clock knows better
        ("boot-2", 5, WALL + 160, 60),  # the machine was started again
        ("boot-2", 5, WALL - 5e8, 0),  # ... with a clock that begins anew: nobody knows how long
        ("boot-2", 5, WALL + 5e8, LONGEST_DOWN_S),  # or that jumped: no more than is believable
        ("", 160, WALL + 160, 60),  # a kernel that does not say which run this is
    ],
)
def test_how_long_it_was_away(boot: str, now: float, wall: float, away_s: float) -> None:
    books = after(before(), now=now, wall=wall, boot=boot)
    books.level(A, session="new", live=True, ended=False, reason=None, now=now)
    books.sampled(A, arrival=now, gap_s=None, now=now)
    for later in range(0, 30, 5):
        books.sampled(A, arrival=now + later, gap_s=5, now=now + later)
        books.judge(now + later)
    assert books.uncovered_total[Reason.RESTART] == pytest.approx(max(away_s - 5, 0))


def test_a_breach_that_was_told_is_not_told_to_begin_again() -> None:
    heard: list[BreachEvent] = []
    books = Books(offset=WALL, on_breach=heard.append)
    books.watch(A, max_gap_s=GAP_S, now=0)
    books.level(A, session="old", live=True, ended=False, reason=Reason.STALLED, now=0)
    for second in range(31):
        books.judge(second)
    record = books.record(30, wall=WALL + 30, boot="boot-1")
    again = after(record, now=50, wall=WALL + 50, streams=(A,))
    again.judge(50)
    again.sampled(A, arrival=51, gap_s=None, now=51)
    assert [(e.event, e.session, e.started) for e in heard] == [("begun", "old", 10.0)]
    [ended] = HEARD
    assert (ended.event, ended.session, ended.reason, ended.started) == ("ended", "old", Reason.STALLED, 10.0)
    assert ended.uncovered_s == pytest.approx(41)
    assert again.tally.breaches[Reason.STALLED] + again.tally.breaches[Reason.RESTART] == 1


class Shelf:
    """Where records are kept, as a ledger keeps them: what is not written again stays."""

    def __init__(self, kept: BooksRecord | None = None) -> None:
        self.kept = kept

    def save(self, books: Books, now: float) -> None:
        record = books.record(now, wall=WALL + now, boot="boot-1")
        self.kept = through(record, self.kept)
        books.recorded(record)

    def again(self, now: float, *, streams=(A, B)) -> Books:
        assert self.kept is not None
        return after(self.kept, now=now, wall=WALL + now, streams=streams)


def hours(rings: Rings, now: float) -> list[Sums]:
    return [Sums(*(round(sum_, 2) for sum_ in rings.sums(window, WALL + now))) for window in (HOUR, DAY)]


def test_what_was_uncovered_while_judging_was_held_up_is_remembered() -> None:
    books, shelf = Books(offset=WALL), Shelf()
    books.watch(A, max_gap_s=GAP_S, now=0)
    books.level(A, session="old", live=True, ended=False, reason=None, now=0)
    for second in range(0, 365, 5):
        if not 100 < second < 250:
            books.sampled(A, arrival=second, gap_s=5, now=second)
        if not 60 < second < 300:  # ... of a broker that answers slowly
            books.judge(second)
        shelf.save(books, second)
    again = shelf.again(360)
    assert books.tally.node.sums(HOUR, WALL + 360) == Sums(350, 140, 1)
    assert hours(again.tally.node, 360) == hours(books.tally.node, 360)
    assert again.summary(360).ratio_1h == pytest.approx(books.summary(360).ratio_1h)


@pytest.mark.parametrize("stays", [True, False])
def test_the_restart_of_a_stream_that_is_claimed_late_is_remembered_by_the_next_one(stays) -> None:
    shelf = Shelf(before())
    books = shelf.again(130, streams=(B,))
    for second in range(135, 300, 5):
        if second == 240:  # its origin answers again
            record = books.record(second, wall=WALL + second, boot="boot-1")
            books.watch(A, max_gap_s=GAP_S, now=second)
            books.recorded(record)
        if second == 245 and not stays:
            books.forget(A, second)
        books.judge(second)
        shelf.save(books, second)
    again = shelf.again(295, streams=(A, B) if stays else (B,))
    now = 285 if stays else 245
    assert hours(books.tally.node, 295)[0] == Sums(now, now - 105, 1)
    assert hours(again.tally.node, 295) == hours(books.tally.node, 295)
    assert hours(again.tally.origins["static"], 295) == hours(books.tally.node, 295)
    if stays:
        rings = [one._accounts[A].rings for one in (books, again)]
        assert hours(rings[1], 295) == hours(rings[0], 295)


def test_what_is_off_the_roster_is_forgotten_and_what_comes_later_is_not_claimed() -> None:
    books = after(before(), now=130, wall=WALL + 130, streams=(B,))
    assert books.record(131, wall=WALL + 131, boot="boot-1").gone == ()
    record = books.record(131 + CLAIM_S, wall=WALL + 251, boot="boot-1")
    assert record.gone == (A,)
    books.recorded(record)
    books.watch(A, max_gap_s=GAP_S, now=260)
    assert books.live_session(A) == ""
    assert books.record(261, wall=WALL + 261, boot="boot-1").gone == ()


def test_a_page_that_cannot_be_read_costs_that_page_alone() -> None:
    record = before()
    broken = tuple(replace(page, facts="{") if page.name == B else page for page in record.pages)
    strange = (*broken, Page("stream", "c", '{"live": "perhaps"}'), Page("node", "", "[]"))
    books = after(replace(record, pages=strange), now=130, wall=WALL + 130)
    assert books.live_session(A) == "new"
    assert books.state(B) is not None


def test_facts_are_small_however_much_happened() -> None:
    books = Books(offset=WALL)
    books.watch(A, max_gap_s=0.1, now=0)
    for tick in range(5000):
        now = tick / 250
        reason = Reason.STALLED if tick % 2 else None
        books.level(A, session="s" * 32, live=True, ended=False, reason=reason, now=now)
        books.sampled(A, arrival=now, gap_s=0.1, now=now)
    books.judge(20)
    pages = books.record(20, wall=WALL + 20, boot="boot-1").pages
    assert max(len(page.facts) for page in pages) <= 16_384
    after(books.record(20, wall=WALL + 20, boot="boot-1"), now=30, wall=WALL + 30, streams=(A,)).judge(30)
