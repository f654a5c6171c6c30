import asyncio
import json
import os
import signal
import sys

import pytest

from streamwatch.testcard.scene import Script
from streamwatch.testcard.studio import StreamPlan, Studio
from tests.testcard.player import playing
from tests.testcard.tags import SMALL

NEVER = Script(first_s=float("inf"))
PLANS = (
    StreamPlan(name="lobby", kind="rtmp", path="live/lobby", encoding=SMALL, card=NEVER),
    StreamPlan(name="hall", kind="hls", path="hall", encoding=SMALL, card=NEVER),
)


@pytest.mark.parametrize("name", ["lobby", "hall"])
async def test_the_card_is_shown_when_it_is_asked_for(name):
    async with Studio(PLANS) as studio:
        await studio.ready()
        assert not any((await playing(studio.urls[name], frames=10)).cards)
        studio.control(f"card {name} on")
        played = await playing(studio.urls[name], stop=lambda p: p.cards[-1])
        assert played.cards[-1]
        studio.control(f"card {name} off")
        played = await playing(studio.urls[name], stop=lambda p: p.cards[0] != p.cards[-1] or not any(p.cards))
        assert not played.cards[-1]


@pytest.mark.parametrize("name", ["lobby", "hall"])
async def test_an_ended_stream_ends_for_its_players_and_can_begin_again(name):
    async with Studio(PLANS) as studio, asyncio.TaskGroup() as group:
        await studio.ready()
        player = group.create_task(playing(studio.urls[name]))
        if name == "lobby":
            await studio.rtmp.until_played("live/lobby")
        assert (await playing(studio.urls[name], frames=25)).times  # meanwhile the player has got some, too
        studio.end(name)
        assert (await player).error == ""
        studio.begin(name)
        await studio.ready()
        assert len((await playing(studio.urls[name], frames=10)).times) == 10


async def test_a_frozen_rtmp_stream_delivers_again_when_it_is_resumed():
    async with Studio(PLANS) as studio, asyncio.TaskGroup() as group:
        await studio.ready()
        studio.freeze("lobby")
        player = group.create_task(playing(studio.urls["lobby"], frames=5))
        await studio.rtmp.until_played("live/lobby")
        studio.resume("lobby")
        assert len((await player).times) == 5


async def test_orders_that_make_no_sense_are_answered():
    async with Studio(PLANS) as studio:
        for order in ("", "dance", "card lobby maybe", "end cellar", "begin lobby", "card", "end lobby now"):
            with pytest.raises(ValueError, match=r"orders|no stream|on already"):
                studio.control(order)
        studio.control("vanish hall")
        with pytest.raises(ValueError, match="off"):
            studio.control("freeze hall")


async def studio_process(card="script"):
    options = ("--json", "--width=160", "--height=96", f"--card={card}")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streamwatch.testcard.studio", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def answer(process):
    async with asyncio.timeout(30):
        return json.loads(await process.stdout.readline())


async def test_as_a_process_it_says_where_it_is_obeys_and_ends_with_its_standard_input():
    process = await studio_process(card="off")
    ready = await answer(process)
    assert ready["type"] == "ready"
    assert set(ready["streams"]) == {"lobby", "hall"}
    for url in ready["streams"].values():
        assert len((await playing(url, frames=5)).times) == 5
    process.stdin.write(b"card lobby on\n")
    assert await answer(process) == {"type": "done", "order": "card lobby on"}
    assert (await playing(ready["streams"]["lobby"], stop=lambda p: p.cards[-1])).cards[-1]
    process.stdin.write(b"sing\n" + b"x" * 5000 + b"\nend lobby\n")
    assert (await answer(process))["type"] == "error"
    assert (await answer(process)) == {"type": "done", "order": "end lobby"}
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0


async def test_a_termination_signal_ends_it_in_order():
    process = await studio_process()
    await answer(process)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() == 0
    process.stdin.close()


async def test_it_does_not_outlive_a_parent_that_is_killed():
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'streamwatch.testcard.studio', '--json'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        child = int(await parent.stdout.readline())
    handle = os.pidfd_open(child)
    try:
        gone = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, gone.set)
        parent.kill()
        await parent.wait()
        async with asyncio.timeout(10):
            await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
