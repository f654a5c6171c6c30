"""The watcher in reserve, and who it belongs to."""

from __future__ import annotations

import asyncio

import pytest

from streamwatch.domain.clock import SystemClock
from streamwatch.fleet.spare import Spare
from tests.fleet.fleets import fake
from tests.sandbox.children import alive


@pytest.fixture
async def spare():
    spare = Spare(command=fake(), clock=SystemClock())
    keeping = asyncio.create_task(spare.run(), name="spare")
    spare.want()
    async with asyncio.timeout(20):
        while spare.pid is None:  # noqa: ASYNC110 - it offers nothing to wait for
            await asyncio.sleep(0.01)
    yield spare
    keeping.cancel()
    await asyncio.wait([keeping], timeout=10)


async def test_whoever_is_cancelled_while_taking_the_spare_is_cancelled_and_leaves_no_process(spare: Spare):
    pid = spare.pid
    taking = asyncio.create_task(spare.take(), name="taker")
    await asyncio.sleep(0)  # it waits for the idling to end
    taking.cancel()
    await asyncio.wait([taking], timeout=10)
    assert taking.cancelled()
    assert not alive(pid or 0)
    assert spare.pid is None


async def test_the_spare_is_given_to_one_only(spare: Spare):
    pid = spare.pid
    first, second = await asyncio.gather(spare.take(), spare.take())
    assert first is not None
    assert (first.pid, second) == (pid, None)
    await first.stop()
