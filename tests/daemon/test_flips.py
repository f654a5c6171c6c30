"""Which changes of a stream's state have a line of their own, and which are summed up."""

from __future__ import annotations

from streamwatch.daemon.flips import MOST, WITHIN_S, Flipping, Flips
from streamwatch.domain.streams import Reason, State, StreamId, StreamState

LOBBY, HALL = StreamId("lobby"), StreamId("hall")


def state(now: float, reason: Reason | None = Reason.OVERLOAD) -> StreamState:
    return StreamState(State.COVERED if reason is None else State.UNCOVERED, reason, now)


def said(flips: Flips, times: list[float], stream: StreamId = LOBBY) -> list[bool]:
    return [flips.says(stream, state(now), "", now) for now in times]


def test_a_few_changes_are_all_said_and_forgotten_after_a_minute() -> None:
    flips = Flips()
    assert said(flips, [0, 1, 2, 3]) == [True] * MOST
    assert flips.over(WITHIN_S - 1) == []
    assert flips.over(WITHIN_S) == []
    assert len(flips) == 0
    assert said(flips, [70, 71]) == [True, True]


def test_what_is_too_often_is_summed_up_with_the_newest_state() -> None:
    flips = Flips()
    assert said(flips, [0, 1, 2, 3, 4, 5]) == [True] * 4 + [False] * 2
    assert not flips.says(LOBBY, state(6, Reason.NO_KEYS), "keys", 6)
    assert flips.over(59) == []
    assert flips.over(60) == [Flipping(LOBBY, 3, state(6, Reason.NO_KEYS), "keys")]


def test_while_it_goes_on_there_are_sums_only_and_once_it_is_calm_lines_again() -> None:
    flips = Flips()
    lines, sums = 0, []
    for now in range(600):
        lines += flips.says(LOBBY, state(now), "", now)
        sums += [one.changes for one in flips.over(now)]
    assert lines == MOST
    assert len(sums) == 9
    assert lines + sum(sums) == 540 + 1, "nothing is lost but what the minute that runs will say"
    flips.over(600)
    assert said(flips, [601]) == [False]
    [last] = flips.over(660)
    assert last.changes == 1
    assert said(flips, [700]) == [True]


def test_streams_are_counted_apart_and_one_that_is_gone_is_forgotten() -> None:
    flips = Flips()
    said(flips, [0, 1, 2, 3, 4, 5])
    assert said(flips, [6], HALL) == [True]
    flips.forget(LOBBY)
    assert [one.stream for one in flips.over(100)] == []
    assert len(flips) == 0
