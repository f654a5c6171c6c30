"""The reader against servers that do as they please: real sockets, hand-made bytes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

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
from streamwatch.sources import dial
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.base import Appetite
from streamwatch.sources.rtmp import connection
from streamwatch.sources.rtmp.connection import Rhythm
from streamwatch.sources.rtmp.reader import RtmpReader
from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import ChunkParser
from tests.fakes.sink import CollectingSink
from tests.sources import media, tls
from tests.sources.rtmp.bytes import SEQUENCE, between, control, header, key, message, opening, server_says, status

HELLO = wire.VERSION + bytes(2 * wire.HANDSHAKE_SIZE)
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(talk: Talk, *, secure: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that shakes hands and then does what `talk` says; it hangs up after that."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await talk(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=secure)
    try:
        yield f"rtmp://127.0.0.1:{listening.sockets[0].getsockname()[1]}/live/lobby"
    finally:
        listening.close()
        await listening.wait_closed()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


def says(*pieces: bytes, stays: bool = True) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1 + wire.HANDSHAKE_SIZE)
        for piece in (HELLO, *pieces):
            writer.write(piece)
            await writer.drain()
        if stays:
            await reader.read(-1)

    return talk


async def read(
    url: str,
    sink: CollectingSink,
    *,
    rw_timeout_s: float = 0.4,
    open_limit_s: float = 40,
    policy: AddressPolicy | None = None,
) -> StreamError | None:
    spec = media.spec(url)
    reader = RtmpReader(
        spec,
        policy=policy or AddressPolicy(spec.url),
        clock=SystemClock(),
        rw_timeout_s=rw_timeout_s,
        open_limit_s=open_limit_s,
    )
    try:
        await asyncio.wait_for(reader.run(sink), 10)
    except StreamError as error:
        return error
    return None


async def test_a_whole_stream_from_first_to_last_word() -> None:
    sink = CollectingSink()
    async with server(says(server_says())) as url:
        assert await read(url, sink) is None
    assert [p.key for p in sink.packets] == [True] + [False] * 6
    assert (sink.infos[0].config.width, sink.infos[0].fps, sink.infos[0].transport) == (640, 30.0, "rtmp")


async def test_a_stream_in_pieces_of_one_byte() -> None:
    sink = CollectingSink()
    pieces = [bytes((byte,)) for byte in server_says()]
    async with server(says(*pieces)) as url:
        assert await read(url, sink) is None
    assert len(sink.packets) == 7


MEDIA = opening() + message(9, SEQUENCE, csid=7) + message(9, key(), csid=7)


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (says(), NotPublished),
        (says(opening()), NotPublished),
        (says(opening() + message(9, SEQUENCE, csid=7)), Stalled),
        (says(MEDIA), Stalled),
        (says(MEDIA, stays=False), Dropped),
        (says(opening(), stays=False), Refused),
        (says(opening() + message(20, status("NetStream.Play.StreamNotFound", "error"), csid=5)), Refused),
        (says(opening() + message(9, b"\x14\x01abc", csid=7)), CodecUnsupported),
        (says(opening() + header(0, 7, length=0xFFFFFF, kind=9)), Refused),
        (says(b"\xff" * 4000), Refused),
    ],
    ids=["mute after the handshake", "no media", "header alone", "silent", "hangs up on air", "hangs up", "not found",
         "codec", "message of 16 MB", "noise"],
)  # fmt: skip
async def test_what_goes_wrong_has_its_name(talk: Talk, error: type[StreamError]) -> None:
    async with server(talk) as url:
        assert isinstance(await read(url, CollectingSink()), error)


async def test_a_server_that_accepts_and_says_nothing_is_a_stall() -> None:
    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with server(mute) as url:
        assert isinstance(await read(url, CollectingSink()), Stalled)


async def test_words_without_media_do_not_keep_a_stream_alive() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(MEDIA, stays=False)(reader, writer)
        while True:
            writer.write(message(4, control(wire.PING, 1), csid=2))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with server(chatter) as url:
        assert isinstance(await read(url, CollectingSink()), Stalled)


async def test_a_handshake_that_drips_ends_with_the_limit_of_opening() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in itertools.repeat(3):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with server(drip) as url:
        assert isinstance(await read(url, CollectingSink(), open_limit_s=0.6), NotPublished)


async def test_sound_alone_is_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "NO_VIDEO_S", 0.3)

    async def sound(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(opening(), stays=False)(reader, writer)
        while True:
            writer.write(message(8, b"\xaf\x01" + bytes(30), csid=6))
            await writer.drain()
            await asyncio.sleep(0.02)

    sink = CollectingSink()
    async with server(sound) as url:
        assert isinstance(await read(url, sink), CodecUnsupported)
    assert sink.skipped_bytes == 0


@pytest.mark.parametrize(
    "flood",
    [message(4, control(wire.PING, 1), csid=2) * 3000, message(9, b"\x27", csid=7) * 100_000,
     message(20, status("NetStream.Data.Start"), csid=5) * 3000, message(9, key(3), csid=7) * 4096,
     (message(9, SEQUENCE[:-1] + b"\x01", csid=7) + message(9, SEQUENCE, csid=7)) * 1000,
     header(0, 7) + b"\xc7" * 100_000],
    ids=["pings", "tiny pictures", "statuses", "tiny keys", "formats", "empty chunks"],
)  # fmt: skip
async def test_a_flood_of_messages_is_cut_off(flood: bytes) -> None:
    async with server(says(MEDIA, flood)) as url:
        error = await read(url, CollectingSink())
    assert isinstance(error, Refused), error
    assert error.grace_s == float("inf")


async def test_a_closed_port_may_mean_a_restart_and_a_refused_place_is_never_asked() -> None:
    async with server(says()) as url:
        pass
    closed = await read(url, CollectingSink())
    assert isinstance(closed, Unreachable)
    assert closed.grace_s
    elsewhere = AddressPolicy(media.spec("rtmp://198.51.100.7/live/a").url)
    assert isinstance(await read(url, CollectingSink(), policy=elsewhere), PolicyRefused)


async def test_names_are_resolved_once_and_beside_the_event_loop() -> None:
    loops: list[bool] = []

    def resolve(_host: str, _port: int) -> list[str]:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            loops.append(True)
        loops.append(False)
        return ["127.0.0.1"]

    sink = CollectingSink()
    async with server(says(server_says())) as url:
        named = url.replace("127.0.0.1", "ingest.example")
        policy = AddressPolicy(media.spec(named).url, resolver=resolve)
        assert await read(named, sink, policy=policy) is None
    assert loops == [False]


@pytest.mark.parametrize("size", [300, 200_000])
async def test_rtmps_is_the_same_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    serving, trusting = tls.contexts(tmp_path, "ingest.example")
    monkeypatch.setattr(dial, "_tls", lambda: trusting)
    end = message(20, status("NetStream.Play.UnpublishNotify"), csid=5)
    pictures = b"".join(message(9, body, csid=7) for body in (SEQUENCE, key(size), between(size), key(size)))
    sink = CollectingSink()
    async with server(says(opening() + pictures + end), secure=serving) as url:
        named = url.replace("127.0.0.1", "ingest.example").replace("rtmp:", "rtmps:")
        policy = AddressPolicy(media.spec(named).url, resolver=lambda _host, _port: ["127.0.0.1"])
        assert await read(named, sink, policy=policy, rw_timeout_s=3) is None
    assert [p.size for p in sink.packets] == [size] * 3


def digest(text: str) -> str:
    return b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize(("password", "right"), [("secret", True), ("wrong", False)])
async def test_user_and_password_answer_the_server_s_riddle(*, password: str, right: bool) -> None:
    asked: list[str] = []

    def judge(app: str) -> str:
        said = dict(re.findall(r"(\w+)=([^&]*)", app.partition("?")[2]))
        if "user" not in said:
            return "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
        if "response" not in said:
            return "[ ] : [ authmod=adobe ] : ?reason=needauth&user=ann&salt=Az9&challenge=ZpQ=&opaque=op1"
        expected = digest(digest("annAz9secret") + "op1" + said["challenge"])
        return "" if said["response"] == expected else "[ authmod=adobe ] : ?reason=authfailed&opaque=op1"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1 + wire.HANDSHAKE_SIZE)
        writer.write(HELLO)
        await reader.readexactly(wire.HANDSHAKE_SIZE)
        parser, heard = ChunkParser(), []
        while not heard:
            heard = parser.feed(await reader.read(5000))
        properties = amf0.decode(heard[0].payload)[2]
        assert isinstance(properties, dict)
        app = properties["app"]
        assert isinstance(app, str)
        asked.append(app)
        if refusal := judge(app):
            info: amf0.Value = {"level": "error", "code": "NetConnection.Connect.Rejected", "description": refusal}
            writer.write(message(20, amf0.encode("_error", 1.0, None, info), csid=3))
        else:
            writer.write(server_says())
        await reader.read(-1)

    sink = CollectingSink()
    async with server(talk) as url:
        error = await read(url.replace("//", f"//ann:{password}@"), sink)
    assert len(asked) == 3
    assert password not in "".join(asked)
    assert (error is None) is right
    assert bool(sink.packets) is right


async def test_a_sink_that_fails_is_not_taken_for_the_stream() -> None:
    class Broken(CollectingSink):
        def appetite(self) -> Appetite:
            raise ValueError("a mistake of ours")

    async with server(says(server_says())) as url:
        with pytest.raises(ValueError, match="mistake"):
            await read(url, Broken())


class Distant(CollectingSink):
    """Wants keys, but not soon."""

    def appetite(self) -> Appetite:
        return Appetite(everything=False, key_at=float("inf"), look_at=float("inf"))


async def test_bytes_that_wait_are_read_within_the_calm_interval() -> None:
    sink, sent = Distant(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(MEDIA, stays=False)(reader, writer)
        await sent.wait()
        writer.write(message(9, between(), csid=7) + message(9, key(), csid=7))
        await reader.read(-1)

    async with server(talk) as url:
        task = asyncio.create_task(read(url, sink, rw_timeout_s=2), name="reader under test")
        await sink.reached(1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent.set()
        await sink.reached(2)
        assert loop.time() - began < 0.6  # 0.3 s, and as much for a busy machine
        task.cancel()
        await asyncio.wait({task})
    assert sink.skipped_bytes == len(between())


def test_a_key_is_expected_where_keys_come_evenly() -> None:
    rhythm = Rhythm()
    assert rhythm.key_from == float("-inf")
    rhythm.key(5000, since=100.0)
    rhythm.key(7000, since=102.0)
    assert rhythm.key_from == float("-inf")
    rhythm.key(9000, since=104.0)
    assert rhythm.key_from == pytest.approx(105.9)
    rhythm.key(9500, since=104.5)
    assert rhythm.key_from == float("-inf")
