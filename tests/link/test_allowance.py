"""What a watcher may say, and that an honest one is never near it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from streamwatch.domain.decisions import Level
from streamwatch.domain.errors import LinkClosed, LinkViolation
from streamwatch.link.allowance import HEARD, OWN, Allowance
from streamwatch.link.frames import encode
from streamwatch.link.messages import MAX_REPORT, Beat, Message, ScoreLine, StreamLevel
from streamwatch.link.transport import Link
from tests.link.examples import beat, hit, rule_level, sampled, stream_level

STREAMS = 1000
LABELS = tuple((f"label_{number}", 0.1234) for number in range(10))


def size(message: Message) -> int:
    return len(encode(message, MAX_REPORT))


SAMPLE = size(sampled("live/stream-0001", scores=(ScoreLine(detector="card", values=LABELS, infer_s=0.0021),)))
STANDS = size(stream_level("live/stream-0001", codec="h264", width=1920, height=1080, gap_aim_s=2.0))
ALARM = size(rule_level(Level.ALARM, stream="live/stream-0001", hits=(hit(),) * 4, first_seen=hit(), last_seen=hit()))


def test_a_thousand_streams_all_alarmed_are_within_what_their_watcher_may_say():
    own = Allowance(OWN)
    own.spend(STREAMS * (SAMPLE + STANDS + ALARM), 0.0, messages=3 * STREAMS)  # a start says everything at once
    assert own.wait_s(0.0) == 0
    for second in range(1, 600):
        own.spend(STREAMS * SAMPLE // 2 + STREAMS * STANDS // 15 + STREAMS * ALARM // 5, second, messages=800)
        assert own.wait_s(second) == 0


def test_who_keeps_to_its_own_is_heard_however_late_its_words_come():
    """Everything that lies in buffers, some 1.5 MB, may arrive with what is said next."""
    own, heard = Allowance(OWN), Allowance(HEARD)
    late, now = 0, 0.0
    heard.hold(0, now, messages=0)
    for _ in range(20_000):
        wait = own.wait_s(now)
        now += wait
        own.spend(MAX_REPORT, now)
        late += MAX_REPORT
        if late >= 1_500_000:
            heard.hold(late, now, messages=late // MAX_REPORT)
            late = 0


@pytest.mark.parametrize(("bytes_", "messages"), [(HEARD.burst_bytes + 1, 1), (1, HEARD.burst_messages + 1)])
def test_too_much_is_a_violation_and_time_makes_room(bytes_: int, messages: int):
    heard = Allowance(HEARD)
    with pytest.raises(LinkViolation, match="a second"):
        heard.hold(int(bytes_), 0.0, messages=int(messages))
    heard.hold(1, 1.0, messages=1)


def test_a_clock_that_goes_back_gives_nothing():
    heard = Allowance(HEARD)
    heard.hold(int(HEARD.burst_bytes), 10.0, messages=1)
    heard.hold(0, 5.0, messages=0)
    with pytest.raises(LinkViolation):
        heard.hold(1, 10.0, messages=1)


async def linked() -> tuple[Link, Link]:
    ours, theirs = socket.socketpair()
    return await Link.to_watcher(ours), await Link.to_daemon(theirs.detach())


async def test_a_watcher_that_has_too_much_to_say_says_the_newest_of_it_and_lives():
    daemon, watcher = await linked()
    heard: dict[str, int] = {}
    said = asyncio.Event()
    beats = 0

    async def listen() -> None:
        nonlocal beats
        async for message in daemon:
            if isinstance(message, StreamLevel):
                heard[message.stream] = message.width
            beats += isinstance(message, Beat)
            said.set()

    listening = asyncio.create_task(listen())
    for turn in range(30):  # 30,000 levels at once, where 8,000 are allowed
        for number in range(1000):
            watcher.post(stream_level(f"s{number}", width=turn + 1))
        await asyncio.sleep(0)
    watcher.post(beat())
    async with asyncio.timeout(10):
        while not beats or len(heard) < 1000 or set(heard.values()) != {30}:
            await said.wait()
            said.clear()
    assert not daemon.closed
    assert watcher.statistics().coalesced > 10_000
    watcher.abort()
    await listening
    await daemon.close()


async def test_one_that_goes_on_all_the_same_is_cut_off():
    ours, theirs = socket.socketpair()
    daemon = await Link.to_watcher(ours)
    frames = encode(stream_level(), MAX_REPORT) * 100

    async def insist() -> None:
        theirs.setblocking(False)  # noqa: FBT003 - its only parameter
        while True:
            await asyncio.get_running_loop().sock_sendall(theirs, frames)

    insisting = asyncio.create_task(insist())

    async def listen() -> None:
        while True:
            await daemon.receive()

    with pytest.raises(LinkViolation, match="a second"):
        await asyncio.wait_for(listen(), 20)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        await insisting
    with pytest.raises((LinkViolation, LinkClosed)):
        await daemon.receive()
    theirs.close()
    await daemon.close()
