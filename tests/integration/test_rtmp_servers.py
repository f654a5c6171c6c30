"""Our RTMP reader against servers that are not ours: nginx-rtmp and node-media-server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import NotPublished, Refused, Stalled, StreamError, Unreachable
from streamwatch.domain.media import Packet
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.base import Appetite
from streamwatch.sources.decoder import PyavDecoder
from streamwatch.sources.rtmp.reader import RtmpReader
from streamwatch.testcard.flv import FlvSplitter, FlvTag
from streamwatch.testcard.rtmp_publish import publish
from tests.fakes.sink import CollectingSink
from tests.integration.clips import Clips
from tests.integration.node_media_server import WORD, NodeMediaServer, installed
from tests.integration.process import Child
from tests.integration.publish import looping
from tests.integration.servers import Nginx
from tests.sources import media

RW_TIMEOUT_S = 2.0


def reader(url: str, *, rw_timeout_s: float = RW_TIMEOUT_S) -> RtmpReader:
    spec = media.spec(url)
    return RtmpReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock(), rw_timeout_s=rw_timeout_s)


@contextlib.asynccontextmanager
async def reading(url: str, sink: CollectingSink) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(reader(url).run(sink), name="reader under test")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=5)


@contextlib.asynccontextmanager
async def on_air(url: str, file: Path) -> AsyncIterator[Child]:
    """A publisher whose stream can be played."""
    async with looping(url, file) as publisher:
        async with asyncio.timeout(15):
            while not await plays(url):
                pass
        yield publisher


async def plays(url: str) -> bool:
    """One attempt: whether the format was told within the read time-out."""
    sink = CollectingSink()
    async with reading(url, sink) as task:
        while not task.done() and not sink.infos:
            await asyncio.wait({task}, timeout=0.05)
    return bool(sink.infos)


async def outcome(task: asyncio.Task[None], *, limit: float = 15) -> StreamError | None:
    """What the reader raised; None where it returned."""
    await asyncio.wait({task}, timeout=limit)
    assert task.done()
    error = task.exception()
    assert error is None or isinstance(error, StreamError), error
    return error


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[Nginx]:
    async with Nginx(tmp_path / "nginx") as server:
        yield server


@pytest.fixture
async def clips(make_clips: Callable[[int, int], Awaitable[Clips]]) -> Clips:
    return await make_clips(640, 360)


async def test_nginx_delivers_what_ffmpeg_published(nginx: Nginx, clips: Clips) -> None:
    url = nginx.publish_url("live", "lobby")
    sink = CollectingSink()
    async with on_air(url, clips.calm_flv), reading(url, sink):
        await sink.reached(40)
    info = sink.infos[0]
    assert (info.config.codec, info.config.width, info.config.height, info.fps) == ("h264", 640, 360, 15)
    assert len(sink.infos) == 1
    assert sink.packets[0].key
    await every_key_is_a_picture(sink.keys)
    sent = {hashlib.sha256(packet.data).digest() for packet in media.packets(clips.calm_flv.read_bytes())}
    assert {hashlib.sha256(packet.data).digest() for packet in sink.packets} <= sent


async def every_key_is_a_picture(keys: list[Packet]) -> None:
    decoder = PyavDecoder(keys[0].config, max_pixels=1 << 22)
    for packet in keys:
        picture = await asyncio.to_thread(decoder.key, packet)
        assert picture is not None
        assert not picture.corrupt


async def test_only_keys_come_where_nothing_else_is_wanted(nginx: Nginx, clips: Clips) -> None:
    url = nginx.publish_url("live", "lobby")
    sink = CollectingSink(wants=False)
    async with on_air(url, clips.calm_flv), reading(url, sink):
        await sink.reached(2)
    assert all(packet.key for packet in sink.packets)
    assert sink.skipped_bytes > 0
    await every_key_is_a_picture(sink.packets)


async def test_the_end_is_told_where_nginx_tells_it(nginx: Nginx, clips: Clips) -> None:
    url = nginx.publish_url("live", "lobby")
    sink = CollectingSink()
    async with on_air(url, clips.calm_flv) as publisher, reading(url, sink) as task:
        await sink.reached(2)
        await publisher.stop()
        assert await outcome(task) is None


async def test_nginx_with_defaults_tells_the_end_too_by_stream_eof(nginx: Nginx, clips: Clips) -> None:
    url = nginx.publish_url("plain", "lobby")
    sink = CollectingSink()
    async with on_air(url, clips.calm_flv) as publisher, reading(url, sink) as task:
        await sink.reached(2)
        await publisher.stop(signal.SIGKILL)
        assert await outcome(task) is None


async def test_a_name_that_nobody_publishes(nginx: Nginx) -> None:
    sink = CollectingSink()
    async with reading(nginx.publish_url("plain", "empty"), sink) as waits:
        assert isinstance(await outcome(waits), NotPublished)
    async with reading(nginx.publish_url("live", "empty"), sink) as refused:  # idle_streams off
        assert isinstance(await outcome(refused), Refused)
    async with reading(nginx.publish_url("nowhere", "empty"), sink) as unknown:
        assert isinstance(await outcome(unknown), Refused)


async def test_a_frozen_publisher_is_a_stall_and_a_dead_server_breaks_off(nginx: Nginx, clips: Clips) -> None:
    url = nginx.publish_url("live", "lobby")
    sink = CollectingSink()
    async with on_air(url, clips.calm_flv) as publisher, reading(url, sink) as task:
        await sink.reached(2)
        publisher.send(signal.SIGSTOP)
        began = time.monotonic()
        assert isinstance(await outcome(task), Stalled)
        assert time.monotonic() - began < RW_TIMEOUT_S + 1
    await nginx.stop(signal.SIGKILL)
    async with reading(url, sink) as task:
        error = await outcome(task)
    assert isinstance(error, Unreachable)
    assert error.grace_s


@pytest.fixture
def modules() -> Path:
    found = installed()
    if isinstance(found, str):
        pytest.skip(found)
    return found


async def test_node_media_server_delivers_and_falls_silent(modules: Path, tmp_path: Path, clips: Clips) -> None:
    async with NodeMediaServer(modules, tmp_path / "nms") as server:
        url = server.url("live", "lobby")
        sink = CollectingSink()
        async with on_air(url, clips.calm_flv) as publisher, reading(url, sink) as task:
            await sink.reached(20)
            assert (sink.infos[0].config.codec, sink.infos[0].config.width) == ("h264", 640)
            await every_key_is_a_picture(sink.keys)
            await publisher.stop()
            assert isinstance(await outcome(task), Stalled)  # it keeps a player, and says nothing
        async with reading(server.url("live", "empty"), sink) as task:
            assert isinstance(await outcome(task), NotPublished)


async def test_a_signature_in_the_query_reaches_node_media_server(modules: Path, tmp_path: Path, clips: Clips) -> None:
    async with NodeMediaServer(modules, tmp_path / "nms", signed=True) as server:
        url = server.url("live", "lobby")
        expires = int(time.time()) + 600
        sign = hashlib.md5(f"/live/lobby-{expires}-{WORD}".encode(), usedforsecurity=False).hexdigest()
        sink = CollectingSink()
        signed = f"{url}?sign={expires}-{sign}"
        async with looping(url, clips.calm_flv):
            async with asyncio.timeout(15):
                while not await plays(signed):
                    pass
            async with reading(signed, sink):
                await sink.reached(2)
            async with reading(f"{url}?sign={expires}-{'0' * 32}", sink) as task:
                assert isinstance(await outcome(task), Refused)


@pytest.mark.parametrize(("codec", "encoder", "options"), [("hevc", "libx265", media.X265)])
async def test_enhanced_rtmp_over_node_media_server(
    modules: Path, tmp_path: Path, codec: str, encoder: str, options: dict[str, str]
) -> None:
    tags = FlvSplitter().feed(await asyncio.to_thread(media.encode, "flv", codec=encoder, options=options))

    async def paced() -> AsyncIterator[FlvTag]:
        for tag in tags:
            yield tag
        await asyncio.Event().wait()

    async with NodeMediaServer(modules, tmp_path / "nms") as server:
        url = server.url("live", "lobby")
        sink = CollectingSink()
        publishing = asyncio.create_task(publish(SafeUrl(url), paced()), name="publish")
        try:
            async with reading(url, sink):
                await sink.reached(25)
        finally:
            publishing.cancel()
            await asyncio.wait({publishing})
    assert sink.infos[0].config.codec == codec
    await every_key_is_a_picture(sink.keys)


class Distant(CollectingSink):
    """Looks at nothing for a while."""

    def appetite(self) -> Appetite:
        return Appetite(everything=False, key_at=float("inf"), look_at=float("inf"))


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def cycles(url: str, count: int, *, at_once: int = 100) -> None:
    async def once() -> None:
        sink = Distant()
        async with reading(url, sink):
            await sink.reached(1)

    for _ in range(0, count, at_once):
        await asyncio.gather(*(once() for _ in range(at_once)))


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
async def test_opening_and_closing_leaves_nothing_behind(nginx: Nginx, clips: Clips, count: int) -> None:
    url = nginx.publish_url("live", "lobby")
    async with on_air(url, clips.calm_flv):
        await cycles(url, 100)
        gc.collect()
        before, files = resident_kb(), descriptors()
        await cycles(url, count)
        gc.collect()
        assert resident_kb() - before < 5 << 10
        assert descriptors() <= files + 1
