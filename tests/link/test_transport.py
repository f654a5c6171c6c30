"""The link over a real socket pair: order, bounds, slowness, hostility and the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamwatch.domain.decisions import Level
from streamwatch.domain.errors import LinkClosed, LinkStalled, LinkViolation
from streamwatch.link.frames import HEADER, FrameParser, encode
from streamwatch.link.messages import MAX_FRAME, MAX_REPORT, FromWatcher, Ready, Sampled, Stop, ToWatcher
from streamwatch.link.transport import Link
from tests.link.examples import CONFIGURE, LARGEST, SMALL, UP, assign, beat, rule_level, sampled, stream_level

Ends = tuple[Link[FromWatcher], Link[ToWatcher]]


@contextlib.asynccontextmanager
async def linked() -> AsyncIterator[Ends]:
    """(daemon's end, watcher's end)."""
    ours, theirs = socket.socketpair()
    daemon = await Link.to_watcher(ours)
    watcher = await Link.to_daemon(theirs.detach())
    try:
        yield daemon, watcher
    finally:
        watcher.abort()
        daemon.abort()
        await watcher.close()
        await daemon.close()


@contextlib.asynccontextmanager
async def raw() -> AsyncIterator[tuple[Link[FromWatcher], socket.socket]]:
    """The daemon's end, and a bare socket where the watcher should be."""
    ours, theirs = socket.socketpair()
    daemon = await Link.to_watcher(ours)
    with theirs:
        try:
            yield daemon, theirs
        finally:
            daemon.abort()
            await daemon.close()


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(HEADER, "big") + body


async def test_every_message_arrives_whole_and_in_order():
    async with linked() as (daemon, watcher):
        up = [message for message in SMALL if isinstance(message, UP)]
        down = [message for message in SMALL if not isinstance(message, UP)]
        for message in up:
            await watcher.send(message)
        for message in down:
            await daemon.send(message)
        assert [await daemon.receive() for _ in up] == up
        assert [await watcher.receive() for _ in down] == down
        assert daemon.statistics().sent == len(down)
        assert daemon.statistics().received == len(up)


async def test_iteration_ends_when_the_other_process_is_gone_and_nothing_said_is_lost():
    async with linked() as (daemon, watcher):
        for n in range(10):
            await watcher.send(sampled(str(n)))
        await watcher.close()
        assert [message.stream async for message in daemon if isinstance(message, Sampled)] == [
            str(n) for n in range(10)
        ]
        with pytest.raises(LinkClosed):
            await daemon.receive()
        with pytest.raises(LinkClosed):
            daemon.post(Stop())
        assert daemon.closed


async def test_a_message_cut_short_is_an_end_not_a_message():
    async with raw() as (daemon, sock):
        sock.sendall(encode(beat(), MAX_REPORT)[:-1])
        sock.shutdown(socket.SHUT_WR)
        with pytest.raises(LinkClosed, match="in the middle of a message"):
            await daemon.receive()


async def test_a_frame_over_the_limit_is_refused_before_its_body_is_read():
    async with raw() as (daemon, sock):
        sock.sendall((MAX_REPORT + 1).to_bytes(HEADER, "big"))  # and not one byte of a body
        with pytest.raises(LinkViolation, match=f"a frame of {MAX_REPORT + 1} bytes"):
            await daemon.receive()
        with pytest.raises(LinkViolation):
            daemon.post(Stop())


async def test_the_watcher_takes_a_configuration_that_is_larger_than_any_report():
    big = CONFIGURE.model_copy(update={"allow_hosts": ("x" * 300,) * 500})
    async with linked() as (daemon, watcher):
        await daemon.send(big)
        assert await watcher.receive() == big


async def test_a_long_list_of_labels_is_accepted_only_while_ready_is_awaited():
    ready = LARGEST[0]
    assert isinstance(ready, Ready)
    async with linked() as (daemon, watcher):
        daemon.accept(MAX_FRAME)
        await watcher.send(ready)
        assert await daemon.receive() == ready
        daemon.accept(MAX_REPORT)
        await watcher.send(ready)
        with pytest.raises(LinkViolation):
            await daemon.receive()


@pytest.mark.parametrize(
    "body",
    [b"{}", b"null", b"[" * 10_000, b'{"type": "stop"}', b'{"type": "beat"}', b"\xff\xfe", b'{"type": "assign"}', b" "],
)
async def test_what_is_no_message_of_a_watcher_is_a_violation(body: bytes):
    async with raw() as (daemon, sock):
        sock.sendall(framed(body))
        with pytest.raises(LinkViolation):
            await daemon.receive()
        with pytest.raises(LinkViolation):
            await daemon.receive()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(1, 60), max_size=8))
@example(b"\x00\x00\x00\x00", [])
@example(framed(b'{"type": "failed", "what": "bug", "detail": ""}') + b"\xff" * 4, [3])
@example(framed(b'{"type":"beat","received":{"rtmp":1e400}}'), [])
@example(framed(b'{"type":"failed","what":"bug","detail":"\\ud800"}'), [])
def test_arbitrary_bytes_raise_nothing_but_a_violation_or_the_end(data: bytes, cuts: list[int]):
    asyncio.run(hostile(data, cuts))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_in_a_frame_raise_nothing_but_a_violation_or_the_end(body: bytes):
    asyncio.run(hostile(framed(body), []))


async def hostile(data: bytes, cuts: list[int]) -> None:
    async with raw() as (daemon, sock):
        start = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # cut off already: as it should be
            for cut in cuts:
                sock.sendall(data[start : start + cut])
                start += cut
                await asyncio.sleep(0)
            sock.sendall(data[start:])
        sock.close()
        with contextlib.suppress(LinkClosed, LinkViolation):
            async with asyncio.timeout(10):
                while True:
                    await daemon.receive()


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.integers(1, 70))
def test_frames_are_the_same_however_the_bytes_are_cut(bodies: list[bytes], step: int):
    data = b"".join(map(framed, bodies))
    parser = FrameParser(50)
    found = [body for at in range(0, len(data), step) for body in parser.feed(data[at : at + step])]
    assert found == bodies
    assert parser.pending == 0


async def test_a_watcher_is_never_held_up_by_a_daemon_that_does_not_read():
    """Thousands of reports are posted at once: levels are coalesced, samples dropped and counted, alarms kept."""
    async with linked() as (daemon, watcher):
        alarm = rule_level(Level.ALARM, stream="alarmed", score=0.9)
        for n in range(6000):
            watcher.post(sampled(f"s{n}"))
            watcher.post(stream_level("busy", gap_aim_s=float(n)))
            if n == 3000:
                watcher.post(alarm)
            if n == 4000:
                watcher.post(rule_level(Level.CALM, stream="alarmed"))
        last = beat(rss_bytes=77)
        watcher.post(last)
        said = watcher.statistics()
        assert said.coalesced > 1000
        assert said.dropped > 1000
        assert said.waiting < 300

        received = []
        while not received or received[-1] != last:
            received.append(await daemon.receive())
        assert alarm in received
        assert received.index(alarm) < received.index(rule_level(Level.CALM, stream="alarmed"))
        newest = [m for m in received if getattr(m, "stream", "") == "busy"][-1]
        assert newest == stream_level("busy", gap_aim_s=5999.0)
        assert sum(isinstance(message, Sampled) for message in received) == 6000 - watcher.statistics().dropped
        assert watcher.statistics().waiting == 0
        assert watcher.statistics().stalled_s == 0.0


async def test_a_send_to_a_process_that_does_not_read_ends_in_time():
    async with raw() as (daemon, _):
        while daemon.statistics().stalled_s == 0:
            daemon.post(assign(name="x" * 10_000))
        with pytest.raises(LinkStalled):
            await daemon.send(Stop(), within_s=0.05)
        assert daemon.statistics().stalled_s > 0


async def test_a_flood_fills_the_sockets_not_the_memory():
    """A daemon that is not receiving stops reading, so the sender is slowed down."""
    async with raw() as (daemon, sock):
        sock.setblocking(False)  # noqa: FBT003
        frame = encode(sampled(), MAX_REPORT)
        sent = 0
        for _ in range(5_000):
            try:
                sent += sock.send(frame * 100)
            except BlockingIOError:
                await asyncio.sleep(0)
        assert sent < 3_000_000
        ahead = daemon._wire._ahead
        assert ahead < 1_000_000
        for _ in range(sent // len(frame)):
            assert isinstance(await daemon.receive(), Sampled)


async def test_closing_sends_what_waits_first():
    async with linked() as (daemon, watcher):

        async def read() -> int:
            return len([message async for message in watcher])

        reading = asyncio.create_task(read(), name="read")
        for n in range(100):
            daemon.post(assign(f"stream-{n}", name="x" * 10_000))
        await daemon.close(within_s=5)
        assert await reading == 100
