"""Who is left alone, and for how long."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from streamwatch.domain.streams import StreamId
from streamwatch.fleet.quarantine import DELAYS_S, MEMORY_S, Quarantine, is_grave
from streamwatch.link.messages import Sampled
from tests.fleet.fleets import running, spec

A, B = StreamId("a"), StreamId("b")


def times(quarantine: Quarantine, stream: StreamId, moments: Sequence[float]) -> list[float]:
    return [quarantine.blame([stream], grave=True, now=now)[stream] - now for now in moments]


def test_the_only_suspect_of_a_crash_waits_at_once_and_longer_each_time():
    assert times(Quarantine(), A, range(8)) == [*DELAYS_S, DELAYS_S[-1]]


def test_one_of_several_suspects_waits_only_when_suspected_again():
    quarantine = Quarantine()
    assert quarantine.blame([A, B], grave=True, now=0) == {}
    assert quarantine.blame([A], grave=True, now=1) == {A: 11}
    assert quarantine.until(B) is None


def test_a_watcher_killed_once_is_no_streams_fault():
    quarantine = Quarantine()
    assert quarantine.blame([A], grave=False, now=0) == {}
    assert quarantine.blame([A], grave=False, now=100) == {A: 110}


def test_a_stream_is_freed_once_when_its_time_is_over():
    quarantine = Quarantine()
    quarantine.blame([A], grave=True, now=0)
    assert quarantine.freed(9.9) == ()
    assert quarantine.until(A) == 10
    assert quarantine.freed(10) == (A,)
    assert quarantine.freed(10) == ()
    assert quarantine.until(A) is None


def test_after_long_good_behaviour_it_starts_anew():
    quarantine = Quarantine()
    assert times(quarantine, A, [0, 100, 200]) == [10, 20, 40]
    quarantine.freed(1000)
    assert times(quarantine, A, [240 + MEMORY_S + 1]) == [10]


def test_records_do_not_grow_without_end():
    quarantine = Quarantine()
    for n in range(10_100):
        quarantine.blame([StreamId(str(n))], grave=False, now=0)
    assert len(quarantine._records) == 10_000
    quarantine.blame([A], grave=False, now=MEMORY_S + 1)
    assert len(quarantine._records) == 1


@pytest.mark.parametrize(
    ("reason", "grave"),
    [("signal:SIGSEGV", True), ("hung", True), ("signal:SIGKILL", False), ("exit", False), ("silent", False)],
)
def test_only_faults_and_hanging_are_grave(reason: str, grave: bool):  # noqa: FBT001
    assert is_grave(reason) is grave


@pytest.mark.parametrize(("address", "deaths"), [("test:look-crash", 1), ("test:look-hang", 1), ("test:look-exit", 2)])
async def test_a_stream_that_breaks_watchers_is_left_alone_and_the_others_are_looked_at(address: str, deaths: int):
    async with running(first=[spec("poison", address), spec("b")]) as (fleet, notes):
        await notes.until(lambda: len(notes.lost()) == deaths)
        since = len(notes.heard)
        await notes.until(lambda: notes.of(Sampled, "b", since=since))
        assert notes.quarantined == [("poison", True)]
        assert len(notes.lost()) == deaths
        assert fleet.slots()[0].streams == ("poison", "b")
        fleet.release(StreamId("poison"))
        notes.quarantined.clear()
        fleet.watch(spec("poison"))  # comes back under the same name
        assert notes.quarantined == [("poison", True)]


async def test_a_stream_is_tried_again_when_its_time_is_over_and_waits_longer_if_it_is_still_bad():
    quarantine = Quarantine(delays_s=(0.2, 1000.0))
    async with running(first=[spec("poison", "test:look-crash"), spec("b")], quarantine=quarantine) as (_, notes):
        await notes.until(lambda: len(notes.lost()) == 2)
        since = len(notes.heard)
        await notes.until(lambda: notes.of(Sampled, "b", since=since))
        assert notes.quarantined == [("poison", True), ("poison", False), ("poison", True)]


async def test_a_stream_that_has_become_good_is_watched_again():
    quarantine = Quarantine(delays_s=(0.2,))
    async with running(first=[spec("a", "test:look-crash")], quarantine=quarantine) as (fleet, notes):
        await notes.until(lambda: notes.quarantined)
        fleet.watch(spec("a"))
        await notes.until(lambda: notes.of(Sampled, "a"))


async def test_the_spare_takes_over_and_another_one_is_made():
    async with running(first=[spec("a")], spare=True) as (fleet, notes):

        def spare() -> int | None:
            return fleet.spare_pid

        reserve = await notes.until(spare)
        first = fleet.slots()[0].pid or 0
        since = len(notes.heard)
        os.kill(first, signal.SIGKILL)
        await notes.until(lambda: notes.of(Sampled, "a", since=since))
        assert fleet.slots()[0].pid == reserve
        assert await notes.until(spare) not in {first, reserve}


async def test_a_spare_that_dies_in_reserve_disturbs_nobody():
    async with running(first=[spec("a")], spare=True) as (fleet, notes):
        await notes.until(lambda: fleet.spare_pid)
        os.kill(fleet.spare_pid or 0, signal.SIGKILL)
        await notes.until(lambda: fleet.spare_pid is None)
        os.kill(fleet.slots()[0].pid or 0, signal.SIGKILL)
        since = len(notes.heard)
        await notes.until(lambda: notes.of(Sampled, "a", since=since))
        assert notes.lost() == [(0, "signal:SIGKILL")]
