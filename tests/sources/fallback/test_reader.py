"""The fallback reader against servers that stall, refuse, lead astray and change their mind."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import av
import numpy as np
import pytest

from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import (
    CodecUnsupported,
    Dropped,
    NotPublished,
    PolicyRefused,
    Refused,
    Stalled,
    StreamError,
    Unreachable,
)
from streamwatch.sources.address import AddressPolicy, Target
from streamwatch.sources.decoder import make_decoder
from streamwatch.sources.fallback import reader as pyav_reader
from streamwatch.sources.fallback import sockets
from streamwatch.sources.fallback.reader import PyavReader
from streamwatch.testcard.flv import FlvSplitter
from streamwatch.testcard.rtmp_server import RtmpServer
from tests.fakes.sink import CollectingSink
from tests.sources import media
from tests.sources.hls_origin import HlsOrigin
from tests.sources.rtsp_origin import RtspOrigin

TS = "mpegts"


def reader(url: str | Path, *, fast: bool = False, allow: tuple[str, ...] = (), open_limit_s: float = 20) -> PyavReader:
    spec = media.spec(url, fast=fast)
    policy = AddressPolicy(spec.url, allow_hosts=allow)
    return PyavReader(spec, policy=policy, clock=SystemClock(), rw_timeout_s=1, open_limit_s=open_limit_s)


async def outcome(made: PyavReader, sink: CollectingSink | None = None) -> StreamError | None:
    try:
        await asyncio.wait_for(made.run(sink or CollectingSink()), 20)
    except StreamError as e:
        return e
    return None


Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[int]:
    """A server that does this with every connection; yields its port and leaves nothing open."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def say_nothing(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def hang_up(_: asyncio.StreamWriter) -> None:
    return


async def talk_rubbish(writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 64)
    await writer.drain()


def drip(head: bytes, drop: bytes) -> Talk:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.2)

    return talk


@pytest.fixture(autouse=True)
def no_thread_left_behind():
    before = PyavReader.abandoned
    yield
    assert PyavReader.abandoned == before


# --- files -----------------------------------------------------------------------------------------------------------


async def test_a_file_plays_in_real_time(tmp_path):
    sink = CollectingSink()
    began = asyncio.get_running_loop().time()
    assert await outcome(reader(media.write(tmp_path, "a.flv", media.encode("flv", frames=25))), sink) is None
    assert asyncio.get_running_loop().time() - began > 0.9
    assert len(sink.packets) == 25
    assert sink.infos[0].fps == pytest.approx(25)
    assert sink.threads == {"read lobby"}


async def test_a_fast_file_counts_media_time_as_arrival(tmp_path):
    sink = CollectingSink()
    path = media.write(tmp_path, "a.mkv", media.encode("matroska", frames=250, options=media.X264_B))
    began = asyncio.get_running_loop().time()
    assert await outcome(reader(path, fast=True), sink) is None
    assert asyncio.get_running_loop().time() - began < 5
    arrivals = [packet.arrival for packet in sink.packets]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] - arrivals[0] == pytest.approx(249 / 25, abs=0.1)


async def test_a_fast_file_waits_for_a_sink_that_scores(tmp_path):
    class SlowSink(CollectingSink):
        turn = threading.Semaphore(0)

        def put(self, packet) -> None:
            assert self.turn.acquire(timeout=10)
            super().put(packet)

    sink = SlowSink()
    path = media.write(tmp_path, "a.ts", media.encode(TS, frames=50))
    task = asyncio.create_task(reader(path, fast=True).run(sink), name="reader")
    for _ in range(3):
        sink.turn.release()
    await sink.reached(3)
    assert len(sink.packets) == 3
    for _ in range(47):
        sink.turn.release()
    await asyncio.wait_for(task, 10)
    assert len(sink.packets) == 50


async def test_only_regular_files_that_hold_media_themselves_are_opened(tmp_path):
    good = media.write(tmp_path, "a.ts", media.encode(TS, frames=5))
    link = tmp_path / "link.ts"
    link.symlink_to(good)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (link, fifo, tmp_path, Path("/dev/zero")):
        assert isinstance(await outcome(reader(path)), PolicyRefused), path
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{good}\n#EXT-X-ENDLIST\n".encode()
    for name, data in (
        ("p.m3u8", playlist),
        ("c.txt", f"ffconcat version 1.0\nfile {good}\n".encode()),
        ("s.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
        ("garbage", bytes(range(256)) * 64),
        ("empty", b""),
    ):
        sink = CollectingSink()
        failure = await outcome(reader(media.write(tmp_path, name, data), fast=True), sink)
        assert isinstance(failure, CodecUnsupported), name
        assert not sink.packets
    assert isinstance(await outcome(reader(tmp_path / "none.ts")), Unreachable)
    assert await outcome(reader(f"file://{good}", fast=True)) is None


async def test_a_file_with_sound_alone_is_no_stream_to_watch(tmp_path):
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as out:
        track = out.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        out.mux(track.encode(frame))
        out.mux(track.encode(None))
    assert isinstance(await outcome(reader(path)), CodecUnsupported)


async def test_a_change_of_size_in_one_connection_decodes_at_the_new_size(tmp_path):
    second = media.encode("flv", size=(320, 240), frames=30, options=media.X264_B)
    path = media.write(tmp_path, "a.flv", media.join_flv(media.encode("flv", frames=30), second))
    sink = CollectingSink()
    await outcome(reader(path, fast=True), sink)
    assert [(i.config.width, i.config.height) for i in sink.infos] == [(160, 120), (320, 240)]
    keys = sink.keys
    assert len({key.config.digest for key in keys}) == 2
    whole = media.full_decode(second)
    picture = make_decoder(keys[-1].config, max_pixels=1 << 20).key(keys[-1])
    assert picture is not None
    assert picture.size == (320, 240)
    assert any(np.array_equal(picture.frame.to_ndarray(format="rgb24"), frame) for frame in whole.values())


async def test_a_change_of_size_inside_mpeg_ts_is_announced(tmp_path):
    data = media.encode(TS, frames=30) + media.encode(TS, frames=30, first=30, size=(320, 240))
    sink = CollectingSink()
    await outcome(reader(media.write(tmp_path, "a.ts", data), fast=True), sink)
    assert [(i.config.width, i.config.height) for i in sink.infos] == [(160, 120), (320, 240)]
    for key in sink.keys:
        picture = make_decoder(key.config, max_pixels=1 << 20).key(key)
        assert picture is not None
        assert picture.size == (key.config.width, key.config.height)


# --- rtmp ------------------------------------------------------------------------------------------------------------


async def test_a_closed_port_is_unreachable_and_may_mean_the_end_later():
    async with serving(say_nothing) as port:
        pass
    failure = await outcome(reader(f"rtmp://127.0.0.1:{port}/live/a"))
    assert isinstance(failure, Unreachable)
    assert failure.grace_s


async def test_a_server_that_says_nothing_has_stalled():
    async with serving(say_nothing) as port:
        for scheme in ("rtmp", "rtmps", "rtsp"):
            assert isinstance(await outcome(reader(f"{scheme}://127.0.0.1:{port}/live/a")), Stalled), scheme


async def test_a_server_that_hangs_up_at_once_refused():
    async with serving(hang_up) as port:
        failure = await outcome(reader(f"rtmp://127.0.0.1:{port}/live/a"))
    assert isinstance(failure, Refused)


async def test_a_name_nobody_publishes_is_connecting_where_the_server_waits_and_refused_where_it_says_so():
    async with RtmpServer() as server:
        assert isinstance(await outcome(reader(server.url("live/none"))), NotPublished)
    async with RtmpServer(unknown_waits=False) as server:
        assert isinstance(await outcome(reader(server.url("live/none"))), Refused)


async def test_a_publisher_that_falls_silent_has_stalled():
    async with RtmpServer() as server:
        feed = server.publish("live/a")
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(server.url("live/a")), sink), name="reader")
        await _players(server)
        for tag in FlvSplitter().feed(media.encode("flv", frames=25)):
            feed.send(tag)
        assert isinstance(await task, Stalled)
        assert len(sink.packets) == 25


async def test_cancelling_a_stream_that_fell_silent_waits_for_no_time_out():
    async with RtmpServer() as server:
        feed = server.publish("live/a")
        sink = CollectingSink()
        spec = media.spec(server.url("live/a"))
        made = PyavReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock(), rw_timeout_s=30)
        task = asyncio.create_task(made.run(sink), name="reader under test")
        await _players(server)
        for tag in FlvSplitter().feed(media.encode("flv", frames=25)):
            feed.send(tag)
        await sink.reached(25)
        began = asyncio.get_running_loop().time()
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()
        assert asyncio.get_running_loop().time() - began < 1


async def test_sound_before_the_first_picture_does_not_hide_the_video():
    tags = FlvSplitter().feed(media.encode("flv", frames=75, audio=True))
    sounds = [tag for tag in tags if tag.kind == 8]
    async with RtmpServer() as server:
        feed = server.publish("live/a")
        sink = CollectingSink()
        task = asyncio.create_task(reader(server.url("live/a")).run(sink), name="reader")

        async def publish() -> None:
            while True:
                for tag in (*sounds[:20], *tags):
                    feed.send(tag)
                    await asyncio.sleep(0.002)

        publishing = asyncio.create_task(publish(), name="publish")
        await sink.reached(10)
        publishing.cancel()
        task.cancel()
        await asyncio.wait({task, publishing})
    assert sink.packets[0].key
    assert sink.infos[0].config.codec == "h264"


async def test_a_second_publisher_with_another_size_is_followed():
    async with RtmpServer() as server:
        feed = server.publish("live/a")
        sink = CollectingSink()
        task = asyncio.create_task(reader(server.url("live/a")).run(sink), name="reader")
        await _players(server)
        both = media.join_flv(media.encode("flv", frames=25), media.encode("flv", frames=25, size=(320, 240)))
        for tag in FlvSplitter().feed(both):
            feed.send(tag)
        await sink.reached(50)
        task.cancel()
        await asyncio.wait({task})
    key = sink.keys[-1]
    assert (key.config.width, key.config.height) == (320, 240)
    picture = make_decoder(key.config, max_pixels=1 << 20).key(key)
    assert picture is not None
    assert picture.size == (320, 240)


async def _players(server: RtmpServer) -> None:
    async with asyncio.timeout(10):
        while not server.players("live/a"):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


async def test_rubbish_instead_of_a_protocol_is_an_error_of_ours():
    async with serving(talk_rubbish) as port:
        for url in (f"rtmp://127.0.0.1:{port}/a/b", f"rtsp://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/a.m3u8"):
            assert isinstance(await outcome(reader(url)), StreamError), url


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def reading_threads(limit_s: float = 10.0) -> int:
    """How many readers' threads do not end within `limit_s`: on a busy machine the last one may be on its way out."""
    reading = [thread for thread in threading.enumerate() if thread.name == "read lobby"]
    for thread in reading:
        await asyncio.to_thread(thread.join, limit_s)
    return sum(thread.is_alive() for thread in reading)


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp"])
async def test_a_server_that_drips_costs_neither_a_thread_nor_a_socket(scheme):
    """FFmpeg's read time-out is for one read: each drop begins it anew."""
    head, drop = (b"\x03", b"\x00") if scheme == "rtmp" else (b"RTSP/1.0 200 OK\r\n", b"X: y\r\n")
    async with serving(drip(head, drop)) as port:
        before = descriptors()
        for _ in range(3):
            failure = await outcome(reader(f"{scheme}://127.0.0.1:{port}/a/b", open_limit_s=2))
            assert isinstance(failure, NotPublished if scheme == "rtmp" else Stalled)
            assert await reading_threads() == 0
        for _ in range(100):
            if descriptors() <= before:
                break
            await asyncio.sleep(0.01)  # the server's side of the last one
        else:
            pytest.fail("descriptors left open")


async def test_an_rtsp_server_that_is_fluent_with_us_and_drips_for_ffmpeg_ends_with_the_opening():
    came = itertools.count()

    async def talk(writer: asyncio.StreamWriter) -> None:
        if next(came):
            await drip(b"RTSP/1.0 200 OK\r\n", b"X: y\r\n")(writer)
        writer.write(b"RTSP/1.0 200 OK\r\n\r\n" * 2)
        await writer.drain()
        await say_nothing(writer)

    async with serving(talk) as port:
        failure = await outcome(reader(f"rtsp://127.0.0.1:{port}/a", open_limit_s=2))
        assert isinstance(failure, Stalled)
        assert await reading_threads() == 0
    assert next(came) == 2


@pytest.mark.parametrize("talk", [say_nothing, drip(b"\x03", b"\x00")])
async def test_cancelling_ends_an_opening_at_once(talk):
    async with serving(talk) as port:
        patient = PyavReader(
            media.spec(f"rtmp://127.0.0.1:{port}/a/b"),
            policy=AddressPolicy(media.spec(f"rtmp://127.0.0.1:{port}/a/b").url),
            clock=SystemClock(),
            rw_timeout_s=30,
        )
        task = asyncio.create_task(patient.run(CollectingSink()), name="reader under test")
        while not marked(patient):  # noqa: ASYNC110 - FFmpeg tells nobody that it connected
            await asyncio.sleep(0.01)
        began = asyncio.get_running_loop().time()
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()
        assert asyncio.get_running_loop().time() - began < 1


def marked(made: PyavReader) -> bool:
    """FFmpeg opened its connection with the reader's mark."""
    return any(c.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * made._mark for c in sockets._connections())


def test_only_the_connection_of_this_reader_is_shut():
    mark, other = sockets.new_mark(), sockets.new_mark()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as ours, socket.create_connection(address) as theirs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, mark)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, other)
            ours.settimeout(0)
            assert not sockets.shut(mark, Target("127.0.0.1", address[1] + 1, ("127.0.0.1",)))
            assert not sockets.shut(mark, Target("127.0.0.1", address[1], ("127.0.0.2",)))
            assert not sockets.shut(sockets.new_mark(), Target("127.0.0.1", address[1], ("127.0.0.1",)))
            with pytest.raises(BlockingIOError):
                ours.recv(1)
            assert sockets.shut(mark, Target("127.0.0.1", address[1], ("127.0.0.1",)))
            assert ours.recv(1) == b""
            assert theirs.send(b"still there") == 11


async def test_threads_left_behind_are_counted_while_they_last_and_too_many_forbid_more(
    monkeypatch, no_thread_left_behind
):
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait(10)
        raise Refused("let go")

    monkeypatch.setattr(pyav_reader, "MAX_ABANDONED", 1)
    monkeypatch.setattr(PyavReader, "_open", hang)
    async with serving(say_nothing) as port:
        url = f"rtmp://127.0.0.1:{port}/a/b"
        spec = media.spec(url)

        def made() -> PyavReader:
            policy = AddressPolicy(spec.url)
            return PyavReader(spec, policy=policy, clock=SystemClock(), rw_timeout_s=0.1, open_limit_s=0.3)

        assert isinstance(await outcome(made()), NotPublished)
        assert PyavReader.abandoned == 1
        refused = await outcome(made())
        assert isinstance(refused, Stalled)
        assert "hang" in str(refused)
        release.set()
        while PyavReader.abandoned:  # noqa: ASYNC110 - a thread that nobody waits for tells nobody
            await asyncio.sleep(0.01)


# --- rtsp ------------------------------------------------------------------------------------------------------------


async def test_an_rtsp_server_that_leads_elsewhere_is_refused_by_name_and_not_followed():
    async with RtspOrigin([]) as other:
        led = f"302 Moved\r\nLocation: rtsp://user:word@127.0.0.1:{other.port}/internal/key"
        async with RtspOrigin([], describe=led) as origin:
            failure = await outcome(reader(origin.url("cam").replace("//", "//me:secret@")))
            assert origin.asked == ["OPTIONS", "DESCRIBE"]
        assert other.asked == []
    assert isinstance(failure, PolicyRefused)
    assert f"127.0.0.1:{other.port}" in str(failure)
    for secret in ("word", "key", "secret"):
        assert secret not in str(failure)


async def test_an_rtsp_redirect_to_nowhere_is_refused_too():
    async with RtspOrigin([], describe="301 Moved") as origin:
        assert isinstance(await outcome(reader(origin.url("cam"))), PolicyRefused)


async def test_rtsp_is_read_over_tcp_without_its_sound():
    packets = media.packets(media.encode(TS))
    async with RtspOrigin(packets) as origin:
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("cam")), sink), name="reader")
        await sink.reached(48)
        assert isinstance(await task, Stalled)
        assert origin.asked.count("SETUP") == 1
    assert sink.infos[0].transport == "rtsp"
    assert sink.packets[0].key
    picture = make_decoder(sink.keys[-1].config, max_pixels=1 << 20).key(sink.keys[-1])
    assert picture is not None
    assert picture.size == (160, 120)


@pytest.mark.parametrize("answer", ["404 Not Found", "401 Unauthorized", "403 Forbidden"])
async def test_an_rtsp_server_that_says_no_refused(answer):
    async with RtspOrigin([], describe=answer) as origin:
        assert isinstance(await outcome(reader(origin.url("cam"))), Refused)


async def test_an_rtsp_connection_that_is_closed_is_no_word_of_an_end():
    async with RtspOrigin(media.packets(media.encode(TS)), hang_up=True) as origin:
        assert isinstance(await outcome(reader(origin.url("cam"))), Dropped)


# --- hls -------------------------------------------------------------------------------------------------------------


def ts_segments(count: int, *, size: tuple[int, int] = (160, 120), first: int = 0) -> list[bytes]:
    return [media.encode(TS, frames=25, first=25 * (first + index), size=size) for index in range(count)]


async def test_hls_follows_the_live_edge_until_the_end():
    async with HlsOrigin() as origin:
        segments = ts_segments(4)
        origin.segments = segments[:2]
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(20)
        origin.segments = segments[:3]
        await sink.reached(45)
        origin.segments = segments
        origin.ended = True
        assert await task is None
    assert len(sink.packets) == 75
    assert sink.packets[0].key
    assert sink.infos[0].burst_s == 1
    assert sink.infos[0].transport == "hls"
    assert "seg0.bin" not in origin.asked  # older than the live edge


async def test_fragmented_mp4_is_read():
    data = _fragments()
    async with HlsOrigin() as origin:
        origin.answers["init.mp4"] = (200, {}, data[0])
        origin.segments = data[1:]
        origin.window = 1
        origin.extra = dict.fromkeys(range(len(data)), '#EXT-X-MAP:URI="init.mp4"')
        origin.ended = False
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(10)
        origin.ended = True
        assert await task is None
    assert sink.packets[0].key
    picture = make_decoder(sink.packets[0].config, max_pixels=1 << 20).key(sink.packets[0])
    assert picture is not None
    assert picture.size == (160, 120)


def _fragments() -> list[bytes]:
    out = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(out, "w", format="mp4", options=flags) as made, av.open(io.BytesIO(media.encode(TS))) as source:
        track = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                made.mux(packet)
    data = out.getvalue()
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"moof"]
    cuts = [start - 4 for start in starts] + [len(data)]
    return [data[: cuts[0]]] + [data[a:b] for a, b in itertools.pairwise(cuts)]


async def test_the_lowest_rendition_of_a_main_playlist_is_read():
    async with HlsOrigin() as origin:
        origin.segments = ts_segments(1, size=(320, 240))
        main = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=1920x1080\nhigh.m3u8\n"
        main += "#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=320x240\nlive.m3u8\n"
        origin.answers["main.m3u8"] = (200, {}, main.encode())
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("main.m3u8")), sink), name="reader")
        await sink.reached(5)
        origin.ended = True
        assert await task is None
    assert "high.m3u8" not in origin.asked
    assert sink.infos[0].renditions == ((1920, 1080), (320, 240))
    assert (sink.infos[0].config.width, sink.infos[0].config.height) == (320, 240)


async def test_a_discontinuity_with_another_size_is_followed():
    async with HlsOrigin() as origin:
        origin.segments = ts_segments(1)
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(20)
        origin.extra[1] = "#EXT-X-DISCONTINUITY"
        origin.segments += ts_segments(1, size=(320, 240))
        origin.ended = True
        assert await task is None
    sizes = [(info.config.width, info.config.height) for info in sink.infos]
    assert sizes == [(160, 120), (320, 240)]
    assert len(sink.packets) == 50


async def test_an_hls_stream_that_was_over_before_we_came_delivers_nothing():
    async with HlsOrigin() as origin:
        origin.segments, origin.ended = ts_segments(2), True
        sink = CollectingSink()
        assert await outcome(reader(origin.url("live.m3u8")), sink) is None
        assert not sink.packets
        assert await outcome(reader(origin.url("live.m3u8"), fast=True), sink) is None
        assert len(sink.packets) == 50  # asked for fast, it is a recording


async def test_a_playlist_that_does_not_grow_is_silence_not_an_end():
    async with HlsOrigin() as origin:
        origin.segments = ts_segments(1)
        sink = CollectingSink()
        task = asyncio.create_task(reader(origin.url("live.m3u8")).run(sink), name="reader")
        await sink.reached(20)
        await origin.until("live.m3u8", times=4)
        assert not task.done()
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()


@pytest.mark.parametrize("status", [404, 410])
async def test_a_playlist_that_is_gone_is_refused_with_three_target_durations_of_grace(status):
    async with HlsOrigin() as origin:
        origin.segments, origin.target_s = ts_segments(1), 2
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(20)
        origin.answers["live.m3u8"] = (status, {}, b"")
        failure = await task
    assert isinstance(failure, Refused)
    assert failure.grace_s == 6


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_other_refusals_never_mean_the_end(status):
    async with HlsOrigin() as origin:
        origin.answers["live.m3u8"] = (status, {}, b"")
        failure = await outcome(reader(origin.url("live.m3u8")))
    assert isinstance(failure, Refused)
    assert failure.grace_s == float("inf")


async def test_a_lost_segment_is_passed_over_and_many_are_an_error():
    async with HlsOrigin() as origin:
        segments = ts_segments(6)
        origin.segments = segments[:1]
        origin.window = 6
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(20)
        origin.gone = {1, 3, 4, 5}
        origin.segments = segments[:3]
        await sink.reached(45)
        origin.segments = segments
        assert isinstance(await task, Dropped)


async def test_an_http_server_that_says_nothing_has_stalled():
    async with serving(say_nothing) as port:
        assert isinstance(await outcome(reader(f"http://127.0.0.1:{port}/live.m3u8")), Stalled)
    async with HlsOrigin() as origin:
        origin.segments = ts_segments(1)
        origin.silent = {"seg0.bin"}
        assert isinstance(await outcome(reader(origin.url("live.m3u8"))), Stalled)


async def test_a_server_that_drips_has_stalled():
    async with serving(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")) as port:
        began = asyncio.get_running_loop().time()
        assert isinstance(await outcome(reader(f"http://127.0.0.1:{port}/a.m3u8")), Stalled)
        assert asyncio.get_running_loop().time() - began < 4


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:{other}/seg0.bin", "file:///etc/passwd", "http://localhost:{other}/seg0.bin",
     "concat:file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "data:text/plain,x"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["segment", "map", "child", "redirect"])
async def test_nothing_leads_to_an_address_that_is_not_allowed(uri, where):
    async with HlsOrigin() as origin, HlsOrigin() as other:
        other.segments = ts_segments(1)
        target = uri.format(other=other.port)
        origin.segments = ts_segments(1)
        if where == "segment":
            origin.uris[0] = target
        elif where == "map":
            origin.extra[0] = f'#EXT-X-MAP:URI="{target}"'
        elif where == "child":
            body = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n".encode()
            origin.answers["live.m3u8"] = (200, {}, body)
        else:
            origin.answers["live.m3u8"] = (302, {"Location": target}, b"")
        sink = CollectingSink()
        failure = await outcome(reader(origin.url("live.m3u8")), sink)
        assert isinstance(failure, PolicyRefused | Refused), failure
        assert not sink.packets
        assert not other.asked
        if target.startswith("http://127.0.0.1"):
            assert f"'127.0.0.1:{other.port}'" in str(failure)


async def test_an_entry_opens_the_way():
    async with HlsOrigin() as origin, HlsOrigin() as other:
        other.segments = origin.segments = ts_segments(1)
        origin.uris[0] = other.url("seg0.bin")
        sink = CollectingSink()
        made = reader(origin.url("live.m3u8"), allow=(f"127.0.0.1:{other.port}",))
        task = asyncio.create_task(outcome(made, sink), name="reader")
        await sink.reached(20)
        origin.ended = True
        assert await task is None
        assert other.asked == ["seg0.bin"]


async def test_redirects_on_the_same_host_are_followed_and_loops_are_not():
    async with HlsOrigin() as origin:
        origin.segments = ts_segments(1)
        origin.answers["a.m3u8"] = (302, {"Location": "/live.m3u8"}, b"")
        origin.answers["loop.m3u8"] = (302, {"Location": "/loop.m3u8"}, b"")
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("a.m3u8")), sink), name="reader")
        await sink.reached(20)
        origin.ended = True
        assert await task is None
        assert isinstance(await outcome(reader(origin.url("loop.m3u8"))), Refused)


async def test_encrypted_segments_are_said_to_be_so():
    async with HlsOrigin() as origin:
        origin.segments = ts_segments(1)
        origin.extra[0] = '#EXT-X-KEY:METHOD=AES-128,URI="key"'
        failure = await outcome(reader(origin.url("live.m3u8")))
    assert isinstance(failure, CodecUnsupported)
    assert "encrypted" in str(failure)


@pytest.mark.parametrize("body", [b"", b"<html>", bytes(range(256)), b"#EXTM3U\n#EXT-X-TARGETDURATION:x\n"])
async def test_what_is_no_playlist_is_unsupported(body):
    async with HlsOrigin() as origin:
        origin.answers["live.m3u8"] = (200, {}, body)
        assert isinstance(await outcome(reader(origin.url("live.m3u8"))), CodecUnsupported)


@pytest.mark.parametrize(
    "body", [b"\x47" + bytes(5000), b"\x00\x00\x00\x08moof" + bytes(100), b"<html>nothing here</html>"]
)
async def test_garbage_segments_are_an_error_of_ours(body):
    async with HlsOrigin() as origin:
        origin.segments = [body]
        origin.ended = False
        sink = CollectingSink()
        task = asyncio.create_task(outcome(reader(origin.url("live.m3u8")), sink), name="reader")
        await origin.until("seg0.bin")
        origin.segments = [body, body]
        origin.ended = True
        assert isinstance(await task, CodecUnsupported | Refused | Dropped)
        assert not sink.packets
