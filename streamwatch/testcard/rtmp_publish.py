"""A small RTMP publisher of our own: sends FLV tags to any ingest server, every wait bounded.

The server's words, when it refuses, reach the person. What is secret in an address (user, password, query) goes to the
server as written and into no message.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

from streamwatch.domain.clock import Clock, SystemClock
from streamwatch.domain.errors import Dropped, Refused, Stalled, StreamError, Unreachable
from streamwatch.domain.urls import SafeUrl, printable
from streamwatch.testcard.encode import Encoding, live
from streamwatch.testcard.flv import FlvSplitter, FlvTag, TagKind
from streamwatch.testcard.scene import card_frame
from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import ChunkParser

_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 10.0
_SEND_S: Final = 10.0
_OUR_CHUNK: Final = 4096
_BAD_LEVEL: Final = "error"

OnState = Callable[[str], None]
"""Told `connecting`, `publishing`, then `ended` when all was sent."""


def _ignore(_state: str) -> None:
    """Nobody listens."""


async def publish_card(
    url: SafeUrl,
    *,
    width: int = 1280,
    height: int = 720,
    fps: int = 25,
    seconds: float | None = None,
    on_state: OnState = _ignore,
    clock: Clock | None = None,
) -> None:
    """Publish the test card as a live stream with silent sound, for `seconds` or until cancelled.

    Raises:
        StreamError: as `publish`.
        ValueError: a size that cannot be encoded.

    """
    encoding = Encoding(width=width, height=height, fps=fps, bitrate=2_500_000)
    frame = card_frame(width, height)
    encoded = live(encoding, "flv", lambda _: frame, clock=clock or SystemClock(), name="test card", seconds=seconds)
    async with aclosing(encoded), aclosing(_split(encoded)) as tags:
        await publish(url, tags, on_state=on_state)


async def _split(encoded: AsyncIterator[bytes]) -> AsyncGenerator[FlvTag, None]:
    splitter = FlvSplitter()
    async for data in encoded:
        for tag in splitter.feed(data):
            yield tag


async def publish(url: SafeUrl, tags: AsyncIterator[FlvTag], *, on_state: OnState = _ignore) -> None:
    """Publish `tags` to `rtmp[s]://host/app/name` at the pace at which they come; returns when they end.

    Raises:
        Unreachable: no connection.
        Refused: the server said no; the message holds its words.
        Stalled: the server does not answer, or takes no more bytes for 10 s.
        Dropped: the connection broke after publishing began.

    """
    on_state("connecting")
    reader, writer = await _connect(url)
    session = _Session(url, reader, writer)
    try:
        await session.open()
        on_state("publishing")
        await _while_listening(session, tags)
        await session.finish()
        on_state("ended")
    finally:
        writer.transport.abort()  # orderly ends were flushed by finish()


async def _while_listening(session: _Session, tags: AsyncIterator[FlvTag]) -> None:
    """Send until the tags end, or until the server says or does something that ends it."""
    try:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(session.listen(), name="rtmp publisher: listen")
            async for tag in tags:
                await session.send(tag)
            listening.cancel()
    except BaseExceptionGroup as failures:
        errors, others = failures.split(StreamError)
        if errors is None or others is not None:
            raise
        raise errors.exceptions[0] from None


async def _connect(url: SafeUrl) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if url.scheme not in {"rtmp", "rtmps"} or not url.host:
        raise Refused(f"cannot publish to {url}: an address looks like rtmp://host/app/name")
    secure = ssl.create_default_context() if url.scheme == "rtmps" else None
    try:
        async with asyncio.timeout(_CONNECT_S):
            return await asyncio.open_connection(url.host, url.port, ssl=secure)
    except TimeoutError as error:
        raise Unreachable(f"{url}: no connection within {_CONNECT_S:g} s") from error
    except ssl.SSLError as error:
        raise Unreachable(f"{url}: no secure connection: {printable(error.reason or str(error))}") from error
    except OSError as error:
        raise Unreachable(f"{url}: {printable(error.strerror or str(error))}") from error


class _Session:
    """One publication over one connection."""

    def __init__(self, url: SafeUrl, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._url = url
        self._reader = reader
        self._writer = writer
        self._chunks = ChunkParser()
        self._inbox: deque[list[amf0.Value]] = deque()
        self._app, self._name, self._tc_url = target(url)
        self._window = wire.WINDOW
        self._received = 0
        self._acknowledged = 0
        self._stream = 1

    async def open(self) -> None:
        """Handshake, connect, create the stream and publish. Raises as `publish`."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._handshake()
        except TimeoutError as error:
            raise Stalled(f"{self._url}: no RTMP handshake within {_ANSWER_S:g} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Refused(f"{self._url}: closed during the RTMP handshake") from error
        self._say(wire.number(wire.SET_CHUNK_SIZE, _OUR_CHUNK), chunk_size=wire.DEFAULT_CHUNK)
        properties: amf0.Value = {
            "app": self._app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; streamwatch)",
            "tcUrl": self._tc_url,
        }
        self._say(wire.command("connect", 1, properties))
        await self._answer(1)
        self._say(
            wire.command("releaseStream", 2, None, self._name),  # customary; servers that do not know them say so
            wire.command("FCPublish", 3, None, self._name),
            wire.command("createStream", 4, None),
        )
        created = await self._answer(4)
        if created and isinstance(created[-1], float):
            self._stream = int(created[-1])
        self._say(wire.command("publish", 5, None, self._name, "live", stream_id=self._stream))
        await self._answer(5, code="NetStream.Publish.Start")

    async def send(self, tag: FlvTag) -> None:
        """Send one tag. Raises Stalled or Dropped."""
        payload = tag.payload
        if tag.kind is TagKind.DATA:
            payload = amf0.encode("@setDataFrame") + payload
        self._say(wire.Message(int(tag.kind), payload, tag.timestamp_ms, stream_id=self._stream))
        await self._drain()

    async def listen(self) -> None:
        """Take what the server says while we publish. Only ends by an error: Refused or Dropped."""
        while True:
            for values in self._take():
                if values[:1] == ["onStatus"]:
                    self._check(values)
                    code = _info(values).get("code")
                    if code in {"NetStream.Unpublish.Success", "NetConnection.Connect.Closed"}:
                        raise Refused(f"{self._url}: the server ended it: {code}")
            await self._receive("while publishing")

    async def finish(self) -> None:
        """Tell the server that the stream ends, and see the bytes off."""
        self._say(
            wire.command("FCUnpublish", 6, None, self._name),
            wire.command("deleteStream", 7, None, float(self._stream)),
        )
        await self._drain()
        self._writer.close()
        try:
            async with asyncio.timeout(_SEND_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            return  # everything was said; how the server hangs up does not matter

    async def _handshake(self) -> None:
        self._writer.write(wire.VERSION + wire.hello())
        if await self._reader.readexactly(1) != wire.VERSION:
            raise Refused(f"{self._url}: no RTMP server there")
        theirs = await self._reader.readexactly(wire.HANDSHAKE_SIZE)
        self._writer.write(theirs)
        await self._reader.readexactly(wire.HANDSHAKE_SIZE)

    async def _answer(self, transaction: int, *, code: str | None = None) -> list[amf0.Value]:
        """Wait for the `_result` of a command, or for the `onStatus` with `code`. An error raises Refused."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                while True:
                    for values in self._take():
                        if values[:2] == ["_error", transaction] or values[:1] == ["onStatus"]:
                            self._check(values)
                        if (values[:2] == ["_result", transaction] and code is None) or (
                            values[:1] == ["onStatus"] and code is not None and _info(values).get("code") == code
                        ):
                            return values
                    await self._receive("before publishing began", early=True)
        except TimeoutError as error:
            raise Stalled(f"{self._url}: no answer within {_ANSWER_S:g} s") from error

    def _check(self, values: list[amf0.Value]) -> None:
        info = _info(values)
        if values[0] != "_error" and info.get("level") != _BAD_LEVEL:
            return
        words = [str(info[key]) for key in ("code", "description") if info.get(key)]
        raise Refused(f"{self._url}: the server refused: {printable(': '.join(words) or 'without a reason')}")

    async def _receive(self, when: str, *, early: bool = False) -> None:
        """Wait for more bytes and sort out what concerns the connection itself."""
        try:
            data = await self._reader.read(65536)
        except OSError as error:
            raise (Refused if early else Dropped)(f"{self._url}: connection broken {when}") from error
        if not data:
            raise (Refused if early else Dropped)(f"{self._url}: the server closed the connection {when}")
        self._received += len(data)
        try:
            messages = self._chunks.feed(data)
        except wire.WireError as error:
            raise Refused(f"{self._url}: the server does not speak RTMP ({error})") from error
        for message in messages:
            if message.kind == wire.WINDOW_SIZE:
                self._window = max(int.from_bytes(message.payload[:4]), 2)
            elif message.kind == wire.USER_CONTROL and message.payload[:2] == wire.PING.to_bytes(2):
                self._say(wire.user_control(wire.PONG, int.from_bytes(message.payload[2:6])))
            elif message.kind in (wire.COMMAND, wire.COMMAND_AMF3):
                self._inbox.append(_values(message))
        if self._received - self._acknowledged >= self._window // 2:
            self._acknowledged = self._received
            self._say(wire.number(wire.ACKNOWLEDGEMENT, self._received & 0xFFFFFFFF))

    def _take(self) -> Iterator[list[amf0.Value]]:
        """The commands received and not yet looked at; what is not taken stays for the next who asks."""
        while self._inbox:
            yield self._inbox.popleft()

    def _say(self, *messages: wire.Message, chunk_size: int = _OUR_CHUNK) -> None:
        self._writer.write(b"".join(wire.chunks(message, chunk_size) for message in messages))

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_SEND_S):
                await self._writer.drain()
        except TimeoutError as error:
            raise Stalled(f"{self._url}: the server took no bytes for {_SEND_S:g} s") from error
        except OSError as error:
            raise Dropped(f"{self._url}: connection broken while publishing") from error


def target(url: SafeUrl) -> tuple[str, str, str]:
    """(app, stream name with the query, tcUrl) of an address, as encoders split it: the last step is the name.

    Ingest servers read credentials from either place, so user and password stay in the tcUrl, the query with the name.
    """
    parts = urlsplit(url.reveal())
    app, _, name = parts.path.strip("/").rpartition("/")
    if not app:
        app, name = name, ""
    query = f"?{parts.query}" if parts.query else ""
    return app, name + query, f"{parts.scheme}://{parts.netloc}/{app}"


def _values(message: wire.Message) -> list[amf0.Value]:
    try:
        return amf0.decode(message.payload[message.kind == wire.COMMAND_AMF3 :])
    except amf0.Amf0Error:
        return []  # a command we cannot read is a command we did not ask for


def _info(values: list[amf0.Value]) -> dict[str, amf0.Value]:
    return next((value for value in reversed(values[2:]) if isinstance(value, dict)), {})
