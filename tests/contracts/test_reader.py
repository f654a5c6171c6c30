"""What every reader must do; run over the fake, a file, live RTMP and HLS servers, each way of reading them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import Dropped, StreamError
from streamwatch.domain.media import MediaInfo
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.base import Reader
from streamwatch.sources.fallback.reader import PyavReader
from streamwatch.sources.hls.reader import HlsReader
from streamwatch.sources.rtmp.reader import RtmpReader
from streamwatch.testcard.flv import FlvSplitter
from streamwatch.testcard.rtmp_server import RtmpServer
from tests.fakes.reader import FakeReader, Hold
from tests.fakes.sink import CollectingSink
from tests.sources import media
from tests.sources.hls_origin import HlsOrigin

RW_TIMEOUT_S = 1.0


@dataclass
class Case:
    """A stream that delivers `count` packets, then falls silent."""

    reader: Reader
    count: int
    end: Callable[[], Awaitable[None]]
    """Make the server say that the stream ended."""
    break_off: Callable[[], Awaitable[None]] | None
    """Make the connection break; None where there is none to break."""


def _reader(url: str | Path, *, fast: bool = False) -> PyavReader:
    spec = media.spec(url, fast=fast)
    policy = AddressPolicy(spec.url)
    return PyavReader(spec, policy=policy, clock=SystemClock(), rw_timeout_s=RW_TIMEOUT_S)


@asynccontextmanager
async def _fake(_folder: Path) -> AsyncIterator[Case]:
    packets = media.packets(media.encode("flv"))
    over = asyncio.Event()
    failures: list[StreamError] = []

    class _Scripted(FakeReader):
        async def run(self, sink) -> None:
            await super().run(sink)
            await over.wait()
            if failures:
                raise failures[0]

    async def end() -> None:
        over.set()

    async def break_off() -> None:
        failures.append(Dropped("as told"))
        over.set()

    info = MediaInfo(packets[0].config, "file", fps=25)
    yield Case(_Scripted([info, 700, *packets, Hold.TURN]), len(packets), end, break_off)


@asynccontextmanager
async def _file(folder: Path) -> AsyncIterator[Case]:
    async def end() -> None:
        return

    yield Case(_reader(media.write(folder, "a.ts", media.encode("mpegts", audio=True))), 50, end, None)


def _own_rtmp_reader(url: str) -> RtmpReader:
    spec = media.spec(url)
    return RtmpReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock(), rw_timeout_s=RW_TIMEOUT_S)


def _rtmp(_folder: Path) -> AbstractAsyncContextManager[Case]:
    return _rtmp_case(_reader)


def _own_rtmp(_folder: Path) -> AbstractAsyncContextManager[Case]:
    return _rtmp_case(_own_rtmp_reader)


@asynccontextmanager
async def _rtmp_case(make: Callable[[str], Reader]) -> AsyncIterator[Case]:
    tags = FlvSplitter().feed(media.encode("flv"))
    async with RtmpServer() as server:
        feed = server.publish("live/a")

        async def publish() -> None:
            while not server.players("live/a"):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
            for tag in tags:
                feed.send(tag)

        async def end() -> None:
            feed.end()

        async def break_off() -> None:
            server.cut("live/a")

        publishing = asyncio.create_task(publish(), name="publish")
        yield Case(make(server.url("live/a")), 50, end, break_off)
        await publishing


@asynccontextmanager
async def _hls(_folder: Path) -> AsyncIterator[Case]:
    async with HlsOrigin() as origin:
        origin.segments = [media.encode("mpegts", frames=25), media.encode("mpegts", frames=25, first=25)]
        origin.window = 2

        async def end() -> None:
            origin.ended = True

        async def break_off() -> None:
            await origin.stop()

        # It begins with the newest segment, since what is older is not live; and MPEG-TS shows that a picture is
        # complete only by the next one, so that a demuxer holds back two.
        yield Case(_reader(origin.url("live.m3u8")), 23, end, break_off)


@asynccontextmanager
async def _own_hls(_folder: Path) -> AsyncIterator[Case]:
    async with HlsOrigin() as origin:
        origin.segments = [media.encode("mpegts", frames=25), media.encode("mpegts", frames=25, first=25)]
        spec = media.spec(origin.url("live.m3u8"))
        reader = HlsReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock(), rw_timeout_s=RW_TIMEOUT_S)

        async def end() -> None:
            origin.ended = True

        yield Case(reader, 25, end, origin.stop)


@asynccontextmanager
async def _own_hls_heads(_folder: Path) -> AsyncIterator[Case]:
    """One look a segment is enough, whatever the sink of a test collects."""

    class _Heads:
        def __init__(self, reader: Reader) -> None:
            self._reader = reader

        async def run(self, sink: CollectingSink) -> None:
            sink._wants = False
            await self._reader.run(sink)

    async with _own_hls(_folder) as case:
        yield Case(_Heads(case.reader), 1, case.end, case.break_off)


Maker = Callable[[Path], AbstractAsyncContextManager[Case]]


MAKERS: dict[str, Maker] = {
    "fake": _fake,
    "file": _file,
    "rtmp": _rtmp,
    "own rtmp": _own_rtmp,
    "hls": _hls,
    "own hls": _own_hls,
    "own hls, heads": _own_hls_heads,
}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS)
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Case]:
    make: Maker = request.param
    async with make(tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def running(case: Case, sink: CollectingSink) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(case.reader.run(sink), name="reader under test")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=10)


async def test_opened_comes_first_and_names_the_format(case: Case) -> None:
    sink = CollectingSink()
    async with running(case, sink):
        await sink.reached(1)
    assert sink.infos[0].config.codec == "h264"
    assert (sink.infos[0].config.width, sink.infos[0].config.height) == (160, 120)
    assert sink.infos[0].transport in {"rtmp", "hls", "file"}


async def test_packets_come_in_decoding_order_beginning_with_a_key(case: Case) -> None:
    sink = CollectingSink()
    async with running(case, sink):
        await sink.reached(case.count)
    assert sink.packets[0].key
    assert all(packet.data and packet.config.codec == "h264" for packet in sink.packets)
    times = [packet.dts for packet in sink.packets if packet.dts is not None]
    assert len(times) > case.count // 2
    assert times == sorted(times)
    arrivals = [packet.arrival for packet in sink.packets]
    assert arrivals == sorted(arrivals)


async def test_payload_that_nobody_wants_is_told_as_skipped(case: Case) -> None:
    sink = CollectingSink(wants=False)
    async with running(case, sink):
        await sink.reached(1)
        await case.end()
    assert all(packet.key for packet in sink.packets)


async def test_after_a_hole_nothing_but_keys_comes_until_the_next_key(case: Case) -> None:
    class Fickle(CollectingSink):
        def skipped(self, size: int) -> None:
            super().skipped(size)
            self._wants = bool(self.packets)  # something between keys is lost already

    sink = Fickle(wants=False)
    async with running(case, sink) as task:
        await sink.reached(1)
        await case.end()
        await asyncio.wait_for(task, 15)
    times = [packet.dts.seconds for packet in sink.packets if packet.dts is not None]
    assert sink.skipped_bytes
    assert all(packet.key or at - before < 2 / media.FPS
               for packet, before, at in zip(sink.packets[1:], times, times[1:], strict=False))  # fmt: skip


async def test_it_returns_when_the_server_says_that_the_stream_ended(case: Case) -> None:
    sink = CollectingSink()
    async with running(case, sink) as task:
        await sink.reached(case.count)
        await case.end()
        await asyncio.wait_for(task, 15)


async def test_a_broken_connection_is_dropped_not_ended(case: Case) -> None:
    if case.break_off is None:
        pytest.skip("a file has no connection")
    sink = CollectingSink()
    async with running(case, sink) as task:
        await sink.reached(case.count)
        await case.break_off()
        with pytest.raises(Dropped):
            await asyncio.wait_for(task, 15)


async def test_cancelling_ends_within_the_read_time_out(case: Case) -> None:
    sink = CollectingSink()
    abandoned = PyavReader.abandoned
    task = asyncio.create_task(case.reader.run(sink), name="reader under test")
    await sink.reached(1)
    task.cancel()
    began = asyncio.get_running_loop().time()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() - began < 2 * RW_TIMEOUT_S + 1.5
    assert PyavReader.abandoned == abandoned
