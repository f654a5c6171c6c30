"""The books against the truth, worked out tick by tick by code that knows nothing of them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.coverage.books import Books
from streamwatch.coverage.breaches import BreachEvent
from streamwatch.coverage.tally import SETTLE_S
from streamwatch.domain.streams import Reason
from tests.coverage.world import TICK_S, Story, Truth, Word, forgotten, play, ticks, truth, world


def together(truths: dict[str, Truth]) -> Truth:
    whole = Truth()
    for one in truths.values():
        whole.live += one.live
        whole.breaches += one.breaches
        whole.uncovered += one.uncovered
    return whole


def counted(books: Books, end: float) -> tuple[float, dict[Reason, float], int]:
    books.tally.settle(books._accounts.values(), end + SETTLE_S)
    tally = books.tally
    return tally.live_s, tally.uncovered_s, sum(tally.breaches.values())


def end_of(story: Story, books: Books) -> float:
    """The end of the story on the clock of these books."""
    return story.length * TICK_S - books.tally.offset


@pytest.mark.parametrize("seed", range(6))
def test_without_restarts_every_second_is_as_the_truth_has_it(seed: int) -> None:
    story = world(seed, restarts=0, minutes=20)
    books = play(story, boots=False)
    live_s, uncovered, breaches = counted(books, end_of(story, books))
    true = together(truth(story.told, story.length))
    assert live_s == pytest.approx(true.live * TICK_S, abs=0.01)
    for reason in Reason:
        assert uncovered[reason] == pytest.approx(true.uncovered[reason] * TICK_S, abs=0.01), reason
    assert breaches == true.breaches
    assert sum(true.uncovered.values()) * TICK_S > 100, "a bad day"


@pytest.mark.parametrize("boots", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_remembered_over_restarts_is_counted_to_the_second(seed: int, boots) -> None:
    story = world(100 + seed, minutes=30)
    books = play(story, boots=boots)
    live_s, uncovered, breaches = counted(books, end_of(story, books))
    true = together(truth(forgotten(story.told), story.length))
    assert live_s == pytest.approx(true.live * TICK_S, abs=0.2)
    for reason in Reason:
        assert uncovered[reason] == pytest.approx(true.uncovered[reason] * TICK_S, abs=0.2), reason
    assert breaches == true.breaches
    assert true.uncovered[Reason.RESTART] > 0


@pytest.mark.parametrize("boots", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_reported_coverage_is_the_truth_within_one_percent_whatever_happens(seed: int, boots) -> None:
    story = world(200 + seed)
    books = play(story, boots=boots)
    live_s, uncovered, _ = counted(books, end_of(story, books))
    true = together(truth(story.told, story.length))
    true_live_s = true.live * TICK_S
    assert 1 - sum(uncovered.values()) / live_s == pytest.approx(true.ratio, abs=0.01)
    for reason in Reason:
        assert uncovered[reason] / live_s == pytest.approx(true.uncovered[reason] / true.live, abs=0.01), reason
    assert live_s == pytest.approx(true_live_s, rel=0.01)
    # and what is read: the hour ends now, and lost no more than the bucket that it ends with
    assert books.summary(end_of(story, books)).ratio_1h == pytest.approx(true.ratio, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_each_stream_has_its_own_truth(seed: int) -> None:
    story = world(300 + seed, streams=5, minutes=20)
    books = play(story, boots=False)
    counted(books, end_of(story, books))
    for stream, true in truth(forgotten(story.told), story.length).items():
        account = books._accounts[stream]
        assert account.live_s == pytest.approx(true.live * TICK_S, abs=0.05)
        assert sum(account.uncovered_s.values()) == pytest.approx(sum(true.uncovered.values()) * TICK_S, abs=0.05)


REASONS = st.sampled_from([None, Reason.STALLED, Reason.DECODE, Reason.BLIND, Reason.OVERLOAD])
SAID = st.one_of(
    st.tuples(st.just("live"), REASONS),
    st.tuples(st.just("reason"), REASONS),
    st.tuples(st.just("ended"), st.none()),
    st.tuples(st.just("lost"), st.none()),
    st.tuples(st.just("frame"), st.integers(0, ticks(8))),
    st.tuples(st.just("gap"), st.sampled_from([ticks(0.2), ticks(1), ticks(3), ticks(10)])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, ticks(4)), SAID), max_size=60))
def test_any_story_is_counted_as_it_was(said: list[tuple[int, tuple[str, object]]]) -> None:
    """Words in any order and sense: what is live, hindered, seen late, promised anew."""
    tick, told, live, ended = 0, [Word(0, "a", "watch", gap=ticks(3))], False, False
    for wait, (kind, value) in said:
        tick += wait
        if kind == "frame":
            told.append(Word(tick, "a", "frame", arrival=max(tick - int(str(value)), 0)))
        elif kind == "gap":
            told.append(Word(tick, "a", "gap", gap=int(str(value))))
        elif kind == "lost":
            if not ended:
                told.append(Word(tick, "a", "lost"))
        elif kind == "reason" and not live:
            continue
        else:
            told.append(Word(tick, "a", kind, value if isinstance(value, Reason) else None))
            live, ended = kind != "ended", kind == "ended"
    story = Story(length=-(-(tick + ticks(5)) // 100) * 100, told=told)
    heard: list[BreachEvent] = []
    books = play(story, boots=False, on_breach=heard.append)
    live_s, uncovered, breaches = counted(books, end_of(story, books))
    true = truth(told, story.length)["a"]
    assert [event.event for event in heard] == [("begun", "ended")[number % 2] for number in range(len(heard))]
    for begun, ended in zip(heard[::2], heard[1::2], strict=False):
        assert begun.session == ended.session
        assert ended.started >= begun.started
        assert ended.uncovered_s >= 0
        assert ended.worst_gap_s >= ended.uncovered_s
    assert live_s == pytest.approx(true.live * TICK_S, abs=0.01)
    assert Counter({r: round(s, 2) for r, s in uncovered.items() if s > 1e-6}) == {
        reason: pytest.approx(count * TICK_S, abs=0.02) for reason, count in true.uncovered.items()
    }
    assert breaches == true.breaches


def test_counters_never_go_down_however_late_frames_are_reported() -> None:
    story = world(7, restarts=0, minutes=10)
    books = Books()
    before: dict[Reason, float] = dict.fromkeys(Reason, 0.0)
    for word in sorted(story.told, key=lambda word: word.tick):
        now = word.tick * TICK_S
        if word.kind == "watch":
            books.watch(word.stream, max_gap_s=word.gap * TICK_S, now=now)
        elif word.kind == "frame":
            books.sampled(word.stream, arrival=word.arrival * TICK_S, gap_s=None, now=now)
        elif word.kind in {"live", "reason"}:
            books.level(word.stream, session="s", live=True, ended=False, reason=word.reason, now=now)
        books.judge(now)
        assert all(books.uncovered_total[reason] >= before[reason] for reason in Reason)
        before = dict(books.uncovered_total)
