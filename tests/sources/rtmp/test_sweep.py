from __future__ import annotations

import asyncio
import time

import pytest

from streamwatch.sources.rtmp.sweep import CALM, TICK_S, Sweep


class Visited:
    def __init__(self, *answers: int) -> None:
        self.times: list[float] = []
        self.begun = asyncio.Event()
        self.over = asyncio.Event()
        self._answers = list(answers)

    def visit(self) -> int:
        self.times.append(asyncio.get_running_loop().time())
        self.begun.set()
        ticks = self._answers.pop(0)
        if not ticks:
            self.over.set()
        return ticks


async def test_there_is_one_for_a_loop_and_it_rests_when_nobody_wants_a_visit() -> None:
    sweep = Sweep.of_running_loop()
    assert Sweep.of_running_loop() is sweep
    member = Visited(1, 0)
    sweep.add(member)
    await asyncio.wait_for(member.over.wait(), 5)
    assert sweep._timer is None
    assert sweep._members == 0


@pytest.mark.parametrize("ticks", [1, 2, 7, CALM])
async def test_visits_come_when_they_were_asked_for(ticks: int) -> None:
    member = Visited(ticks, ticks, 0)
    Sweep.of_running_loop().add(member)
    await asyncio.wait_for(member.over.wait(), 5)
    first, second, third = member.times
    for gap in (second - first, third - second):
        assert gap <= (ticks + 1) * TICK_S + 0.2  # a busy machine
        if ticks < CALM:  # a calm visit is moved to its group's, which never makes it later
            assert gap >= (ticks - 2) * TICK_S


async def test_members_may_come_while_others_wait() -> None:
    sweep = Sweep.of_running_loop()
    slow, quick = Visited(CALM, 0), Visited(1, 1, 0)
    sweep.add(slow)
    await asyncio.wait_for(slow.begun.wait(), 5)
    sweep.add(quick)
    await asyncio.wait_for(quick.over.wait(), 5)
    assert len(slow.times) == 1
    await asyncio.wait_for(slow.over.wait(), 5)


async def test_everybody_is_visited_again_after_the_loop_was_held_up() -> None:
    sweep = Sweep.of_running_loop()
    members = [Visited(ticks, 0) for ticks in (1, 3, 9, CALM)]
    for member in members:
        sweep.add(member)
    await asyncio.wait_for(asyncio.gather(*(member.begun.wait() for member in members)), 5)
    time.sleep(2 * CALM * TICK_S)  # noqa: ASYNC251 - the loop shall be held up
    await asyncio.wait_for(asyncio.gather(*(member.over.wait() for member in members)), 5)
