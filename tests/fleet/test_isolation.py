"""The stream that breaks watchers is found though nothing names it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.domain.streams import StreamId
from streamwatch.fleet.isolation import LOSSES, SHORT_S, TRIAL_S, Isolation
from streamwatch.fleet.quarantine import Quarantine
from streamwatch.link.messages import Sampled
from tests.fleet.fleets import running, spec


def streams(count: int) -> list[StreamId]:
    return [StreamId(f"s{number}") for number in range(count)]


class Story:
    """One slot, its streams, and a world in which some of them kill."""

    def __init__(self, everyone: Iterable[StreamId], killers: Collection[StreamId], *, lives_s: float = 2.0) -> None:
        self.isolation = Isolation()
        self.everyone = list(everyone)
        self.killers = set(killers)
        self.away: set[StreamId] = set()
        self.lives_s = lives_s
        self.now = 1000.0
        self.deaths = 0

    def watched(self) -> list[StreamId]:
        return [s for s in self.everyone if s not in self.away and s not in self.isolation.held]

    def step(self, reason: str = "silent", *, explained: bool = False) -> StreamId | None:
        """One life up to its end, or one trial that is passed."""
        given = self.watched()
        self.isolation.ready(self.now)
        while not self.killers.intersection(given):
            self.now += self.isolation.trial_s
            if not self.isolation.passed(self.now):
                return None
            given = self.watched()
        self.now += self.lives_s
        self.deaths += 1
        verdict = self.isolation.lost(given, reason=reason, lived_s=self.lives_s, explained=explained)
        if verdict.culprit:
            self.away.add(verdict.culprit)
        return verdict.culprit

    def until_found(self, most: int = 100) -> StreamId:
        for _ in range(most):
            if (culprit := self.step()) is not None:
                return culprit
        raise AssertionError("never found")


@given(st.integers(1, 300), st.data())
def test_one_of_any_number_is_found_in_a_few_lives_and_all_others_return(count: int, data: st.DataObject):
    everyone = streams(count)
    killer = data.draw(st.sampled_from(everyone))
    story = Story(everyone, {killer})
    began = story.now
    assert story.until_found() == killer
    assert story.deaths <= LOSSES + math.ceil(math.log2(count)) + 1
    assert story.now - began <= (math.log2(count) + 1) * TRIAL_S[0] + story.deaths * story.lives_s
    assert set(story.watched()) == set(everyone) - {killer}
    assert not story.isolation.searching


@given(st.integers(2, 100), st.data())
def test_several_are_found_one_after_the_other_and_nobody_innocent(count: int, data: st.DataObject):
    everyone = streams(count)
    killers = set(data.draw(st.lists(st.sampled_from(everyone), unique=True, min_size=2, max_size=5)))
    story = Story(everyone, killers)
    for _ in killers:
        assert story.until_found() in killers
    assert story.away == killers
    assert set(story.watched()) == set(everyone) - killers


def test_two_losses_are_no_reason_to_hold_anybody_back():
    story = Story(streams(10), {StreamId("s3")})
    for _ in range(LOSSES - 1):
        story.step()
    assert story.isolation.held == frozenset()
    story.step()
    assert story.isolation.held == frozenset(streams(10)[5:])


def test_those_who_are_acquitted_are_looked_at_while_the_others_are_tried():
    story = Story(streams(8), {StreamId("s7")})
    for _ in range(LOSSES):
        story.step()
    story.isolation.ready(story.now)
    assert not story.isolation.passed(story.now + TRIAL_S[0] - 0.1)
    assert story.isolation.passed(story.now + TRIAL_S[0])
    assert story.isolation.held == {"s6", "s7"}


def test_one_that_is_tried_again_is_convicted_by_a_single_death():
    story = Story(streams(8), {StreamId("s5")})
    story.until_found()
    story.isolation.ready(story.now)
    story.isolation.probation(StreamId("s5"), story.now)
    story.away.clear()
    assert story.step() == "s5"


def test_one_that_has_become_good_is_not_blamed_for_a_later_death():
    story = Story(streams(8), {StreamId("s5")})
    story.until_found()
    story.isolation.probation(StreamId("s5"), story.now)
    assert story.isolation.passed(story.now + TRIAL_S[0])
    story.away.clear()
    assert story.step() is None
    assert story.isolation.held == frozenset()


def test_long_lives_are_not_what_is_searched_for():
    story = Story(streams(8), {StreamId("s5")}, lives_s=SHORT_S + 1)
    for _ in range(20):
        story.step()
    assert story.isolation.held == frozenset()


def test_losses_that_the_black_box_explains_count_half():
    story = Story(streams(8), {StreamId("s5")})
    for _ in range(2 * LOSSES - 1):
        assert story.step(explained=True) is None
    assert story.isolation.held == frozenset()
    story.step(explained=True)
    assert story.isolation.held


def test_watchers_that_do_not_even_start_say_nothing_about_streams():
    story = Story(streams(8), {StreamId("s5")})
    for _ in range(10):
        assert story.step("start") is None
    assert story.isolation.held == frozenset()
    assert not story.isolation.searching


def test_a_trial_lasts_as_long_as_its_killer_takes():
    story = Story(streams(8), {StreamId("s5")}, lives_s=40)
    story.step()
    assert story.isolation.trial_s == 80
    assert story.until_found() == "s5"


def test_a_death_after_one_on_trial_went_proves_nothing_against_the_rest():
    story = Story(streams(3), {StreamId("s0")})
    for _ in range(LOSSES):
        story.step()
    story.isolation.ready(story.now)
    given_to_it = story.watched()
    assert given_to_it == ["s0", "s1"]
    for gone in given_to_it:
        story.isolation.forget(gone)
    assert story.isolation.held == frozenset()
    assert story.isolation.lost(["s2"], reason="silent", lived_s=1, explained=False).culprit is None


def test_when_nobody_did_it_everybody_returns():
    story = Story(streams(8), {StreamId("s5")})
    for _ in range(LOSSES):
        story.step()
    story.killers.clear()
    story.step()
    assert story.isolation.held == frozenset()
    assert not story.isolation.searching


@given(st.lists(st.tuples(st.sampled_from(["lost", "pass", "forget", "probation"]), st.integers(0, 7))))
def test_whatever_happens_somebody_on_trial_is_looked_at_or_nobody_is_held(happenings: list[tuple[str, int]]):
    isolation, now = Isolation(), 0.0
    known = set(streams(8))
    for what, number in happenings:
        stream = StreamId(f"s{number}")
        now += 200
        match what:
            case "lost":
                given = sorted(known - isolation.held)
                isolation.lost(given, reason="silent", lived_s=1, explained=False)
                isolation.ready(now)
            case "pass":
                isolation.passed(now)
            case "forget":
                known.discard(stream)
                isolation.forget(stream)
            case _ if stream in known and stream not in isolation.held:
                isolation.probation(stream, now)
        assert isolation.held <= known
        assert not isolation.held or set(isolation._trial) & known
    for _ in range(10):
        isolation.ready(now)
        now += 200
        isolation.passed(now)
    assert isolation.held == frozenset()


@pytest.mark.parametrize("address", ["test:crash", "test:exit", "test:leak"])
async def test_a_fleet_finds_what_breaks_its_watchers_and_looks_at_all_others(address: str):
    good = [spec(f"s{number}") for number in range(7)]
    poisoned = [*good[:5], spec("poison", address), *good[5:]]
    async with running(first=poisoned, spare=True, trial_s=(1.5, 1.5)) as (fleet, notes):
        await notes.until(lambda: notes.away() == {"poison"} and len(notes.lost()) >= LOSSES, within_s=40)
        since = len(notes.heard)
        await notes.until(lambda: all(notes.of(Sampled, one.id, since=since) for one in good))
        assert notes.away() == {"poison"}
        assert len(notes.lost()) <= LOSSES + 4
        assert fleet.slots()[0].ready


async def test_a_stream_that_goes_while_it_is_searched_for_lets_the_others_return():
    everyone = [spec("poison", "test:exit"), spec("b"), spec("c")]
    async with running(first=everyone, quarantine=Quarantine(delays_s=(1000.0,))) as (fleet, notes):
        await notes.until(lambda: notes.away() == {"c"})
        fleet.release(StreamId("poison"))
        fleet.release(StreamId("b"))
        await notes.until(lambda: not notes.away() and notes.of(Sampled, "c", since=len(notes.heard) - 3))
