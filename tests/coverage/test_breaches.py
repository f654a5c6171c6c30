"""Broken promises, told as they begin and end: a story of words and frames in, a list of events out."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from streamwatch.coverage.books import Books
from streamwatch.coverage.breaches import BreachEvent
from streamwatch.coverage.tally import SETTLE_S
from streamwatch.domain.streams import Reason, StreamId

A = StreamId("a")
GAP_S = 10.0


@dataclass
class Story:
    """One live stream with a promise of ten seconds and a first frame at 0, judged four times a second."""

    heard: list[BreachEvent] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.books = Books(on_breach=self.heard.append)
        self.books.watch(A, max_gap_s=GAP_S, now=0)
        self.say(None)
        self.frame(0)

    def until(self, now: float) -> None:
        while self.now < now:
            self.now = min(self.now + 0.25, now)
            self.books.judge(self.now)

    def say(self, reason: Reason | None, *, ended: bool = False) -> None:
        self.books.level(A, session="s", live=not ended, ended=ended, reason=reason, now=self.now)

    def frame(self, arrival: float) -> None:
        self.books.sampled(A, arrival=arrival, gap_s=None, now=self.now)

    @property
    def told(self) -> list[tuple[str, str, float, float | None, float]]:
        return [(e.event, e.reason.value, e.started, e.ended, round(e.uncovered_s, 2)) for e in self.heard]

    def counted(self) -> dict[str, int]:
        self.until(self.now + SETTLE_S + 5)
        return {reason.value: count for reason, count in self.books.tally.breaches.items() if count}


def test_a_breach_is_told_when_it_begins_and_when_a_frame_ends_it() -> None:
    story = Story()
    story.until(5.5)
    story.say(Reason.STALLED)
    story.until(17)
    story.say(None)
    story.frame(16.5)
    story.until(20)
    assert story.told == [("begun", "stalled", 10.0, None, 1.25), ("ended", "stalled", 10.0, 16.5, 6.5)]
    assert story.heard[1].worst_gap_s == pytest.approx(16.5)
    assert story.counted() == {"stalled": 1}


def test_it_is_told_once_however_long_it_lasts_and_whatever_reasons_follow() -> None:
    story = Story()
    for second, reason in ((5, Reason.STALLED), (30, Reason.CODEC), (60, None), (90, Reason.STALLED)):
        story.until(second)
        story.say(reason)
    story.until(200)
    assert [event for event, *_ in story.told] == ["begun"]
    assert story.counted() == {"stalled": 1}


def test_a_moment_beyond_the_promise_is_counted_and_not_told() -> None:
    story = Story()
    for arrival in (10.6, 21.0, 31.4):
        story.until(arrival + 0.2)
        story.frame(arrival)
    assert story.told == []
    assert story.counted() == {"overload": 3}
    assert story.books.uncovered_total[Reason.OVERLOAD] == pytest.approx(1.4)


def test_a_frame_reported_late_that_arrived_in_time_ends_it_as_never_having_been() -> None:
    story = Story()
    story.until(13)
    story.frame(9.5)
    story.until(15)
    assert story.told == [("begun", "overload", 10.0, None, 2.25), ("ended", "overload", 10.0, 10.0, 0.0)]
    story.frame(15)
    assert story.counted() == {}


def test_a_frame_reported_late_shortens_what_goes_on_and_leaves_its_name() -> None:
    story = Story()
    story.until(14.5)
    story.frame(3)  # so it was covered until 13
    story.until(18)
    story.frame(17.5)
    assert story.told == [("begun", "overload", 10.0, None, 2.25), ("ended", "overload", 10.0, 17.5, 4.5)]
    assert story.counted() == {"overload": 1}


def test_a_frame_reported_so_late_that_its_own_promise_is_about_to_break_neither_ends_nor_doubles_it() -> None:
    story = Story()
    story.until(14)
    story.frame(3.5)  # covered until 13.5, half a second ago
    story.until(20)
    story.frame(19.5)
    assert story.told == [("begun", "overload", 10.0, None, 2.25), ("ended", "overload", 10.0, 19.5, 6.0)]
    assert story.heard[1].worst_gap_s == pytest.approx(16)


def test_a_shorter_promise_is_broken_from_when_it_was_made() -> None:
    story = Story()
    story.until(8)
    story.books.watch(A, max_gap_s=3, now=8)
    story.until(9)
    assert story.told == [("begun", "overload", 8.0, None, 0.25)]
    assert story.heard[0].worst_gap_s == pytest.approx(8.25)
    story.frame(9)
    assert story.counted() == {"overload": 1}
    assert story.books.uncovered_total[Reason.OVERLOAD] == pytest.approx(1)


def test_the_end_of_the_stream_or_its_removal_ends_it() -> None:
    story = Story()
    story.until(12)
    story.say(None, ended=True)
    assert story.told[-1] == ("ended", "overload", 10.0, 12.0, 2.0)
    other = Story()
    other.until(12)
    other.books.forget(A, 12.5)
    assert other.told[-1] == ("ended", "overload", 10.0, 12.5, 2.5)


def test_a_longer_promise_ends_it_too() -> None:
    story = Story()
    story.until(13)
    story.books.watch(A, max_gap_s=20, now=13)
    story.until(14)
    assert [event for event, *_ in story.told] == ["begun", "ended"]
    assert story.heard[1].ended_by == "promise"


def test_a_breach_has_the_reason_that_the_watcher_gives_a_moment_later() -> None:
    story = Story()
    story.until(11.5)
    story.say(Reason.BLIND)
    story.until(20)
    story.frame(19)
    assert [(event, reason) for event, reason, *_ in story.told] == [("begun", "blind"), ("ended", "blind")]
    assert story.heard[1].ended_by == "frame"


def test_a_stream_that_ends_unseen_does_not_read_as_a_promise_kept_again() -> None:
    story = Story()
    story.until(15)
    story.say(None, ended=True)
    assert [event.ended_by for event in story.heard] == [None, "end"]


def test_keys_that_come_a_trifle_late_all_the_time_break_nothing_though_their_time_is_counted() -> None:
    story = Story()
    for number in range(1, 20):
        story.until(number * 10.05)
        story.frame(number * 10.05)
    assert story.counted() == {}
    assert story.books.uncovered_total[Reason.OVERLOAD] > 0.5


def test_one_that_began_and_ended_while_the_loop_was_held_up_is_told_whole() -> None:
    story = Story()
    story.until(9)
    story.now = 15.0  # nobody judged for six seconds
    story.frame(14)
    story.until(16)
    assert story.told == [("begun", "overload", 10.0, None, 4.0), ("ended", "overload", 10.0, 14.0, 4.0)]


def test_what_never_was_live_breaks_no_promise() -> None:
    heard: list[BreachEvent] = []
    books = Books(on_breach=heard.append)
    books.watch(A, max_gap_s=GAP_S, now=0)
    for second in range(100):
        books.judge(second)
    assert heard == []


def test_a_stream_that_breaks_again_and_again_is_told_each_time() -> None:
    story = Story()
    for number in range(1, 4):
        story.until(15 * number)
        story.frame(15 * number - 0.5)
    assert [event for event, *_ in story.told] == ["begun", "ended"] * 3
    assert story.counted() == {"overload": 3}
    assert story.books.summary(story.now).breaches_1h == 4, "and the one that lasts now"
