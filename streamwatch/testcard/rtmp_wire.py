"""RTMP on the wire: handshake bytes, messages, and the chunks that carry them. Pure: no socket, no clock.

Both ends of our test servers and the publisher share it. It bounds what it takes, although its peers are local.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from streamwatch.testcard import amf0

VERSION: Final = b"\x03"
HANDSHAKE_SIZE: Final = 1536
DEFAULT_CHUNK: Final = 128
OUR_CHUNK: Final = 65536
"""Large chunks: one header for most messages, and less work for every parser on the way."""
WINDOW: Final = 2_500_000

SET_CHUNK_SIZE, ABORT, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_SIZE, PEER_BANDWIDTH = 1, 2, 3, 4, 5, 6
AUDIO, VIDEO, COMMAND_AMF3, DATA, COMMAND = 8, 9, 17, 18, 20
STREAM_BEGIN, STREAM_EOF, PING, PONG = 0, 1, 6, 7

_CONTROL_CSID, _COMMAND_CSID, _MEDIA_CSID = 2, 3, 6
_EXTENDED = 0xFFFFFF
_MAX_MESSAGE = 4 << 20
_MAX_CHUNK = 0xFFFFFF
_MAX_CHUNK_STREAMS = 16
_HEADER_SIZES = (11, 7, 3, 0)


class WireError(ValueError):
    """The peer does not speak RTMP, or more of it than we take (4 MiB a message, 16 chunk streams)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One RTMP message; `timestamp` in milliseconds."""

    kind: int
    payload: bytes = field(repr=False)
    timestamp: int = 0
    stream_id: int = 0


def hello() -> bytes:
    """The 1536 bytes of the simple handshake: time, zero, random filling."""
    return bytes(8) + os.urandom(HANDSHAKE_SIZE - 8)


def command(name: str, transaction: float, *arguments: amf0.Value, stream_id: int = 0) -> Message:
    """An AMF0 command message."""
    return Message(COMMAND, amf0.encode(name, transaction, *arguments), stream_id=stream_id)


def status(code: str, description: str, *, level: str = "status", stream_id: int = 1) -> Message:
    """The `onStatus` command by which a server tells what became of a stream."""
    info: amf0.Value = {"level": level, "code": code, "description": description}
    return command("onStatus", 0, None, info, stream_id=stream_id)


def user_control(event: int, value: int) -> Message:
    """A user control message with one 32-bit value."""
    return Message(USER_CONTROL, event.to_bytes(2) + value.to_bytes(4))


def number(kind: int, value: int) -> Message:
    """A protocol control message whose body is one 32-bit number."""
    return Message(kind, value.to_bytes(4) + (b"\x02" if kind == PEER_BANDWIDTH else b""))


def chunks(message: Message, chunk_size: int) -> bytes:
    """Write a message as chunks with a full header, so that the same bytes suit every connection."""
    if message.kind in (AUDIO, VIDEO, DATA):
        csid = _MEDIA_CSID
    else:
        csid = _COMMAND_CSID if message.kind == COMMAND else _CONTROL_CSID
    extended = message.timestamp >= _EXTENDED
    stamp = (message.timestamp & 0xFFFFFFFF).to_bytes(4) if extended else b""
    out = bytearray((csid,))
    out += min(message.timestamp, _EXTENDED).to_bytes(3)
    out += len(message.payload).to_bytes(3) + bytes((message.kind,)) + message.stream_id.to_bytes(4, "little") + stamp
    out += message.payload[:chunk_size]
    for at in range(chunk_size, len(message.payload), chunk_size):
        out.append(0xC0 | csid)
        out += stamp  # repeated in continuation chunks, as FFmpeg and nginx-rtmp expect
        out += message.payload[at : at + chunk_size]
    return bytes(out)


@dataclass(slots=True)
class _ChunkStream:
    """What a chunk stream remembers between chunks."""

    timestamp: int = 0
    delta: int = 0
    extended: bool = False
    length: int = 0
    kind: int = 0
    stream_id: int = 0
    body: bytearray = field(default_factory=bytearray)


class ChunkReader:
    """Assembles messages from the bytes of one direction of a connection."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._streams: dict[int, _ChunkStream] = {}
        self._chunk_size = DEFAULT_CHUNK

    def feed(self, data: bytes) -> list[Message]:
        """Take the next bytes; return the messages that are now complete, chunk size changes applied.

        Raises:
            WireError: not RTMP, or beyond our bounds. The connection is of no further use.

        """
        self._rest += data
        messages: list[Message] = []
        at = 0
        while (step := self._chunk(at)) is not None:
            at, message = step
            if message is None:
                continue
            if message.kind == SET_CHUNK_SIZE:
                self._resize(message.payload)
            elif message.kind == ABORT:
                self._streams.pop(int.from_bytes(message.payload), None)
            else:
                messages.append(message)
        del self._rest[:at]
        return messages

    def _resize(self, payload: bytes) -> None:
        size = int.from_bytes(payload[:4])
        if not 1 <= size <= _MAX_CHUNK:
            raise WireError(f"chunk size {size}")
        self._chunk_size = size

    def _chunk(self, at: int) -> tuple[int, Message | None] | None:
        """Read one chunk at `at`: (where the next begins, the message it completes); None when bytes are missing."""
        basic = self._basic_header(at)
        if basic is None:
            return None
        form, csid, at = basic
        stream = self._streams.get(csid)
        if stream is None:
            if len(self._streams) >= _MAX_CHUNK_STREAMS:
                raise WireError("too many chunk streams")
            stream = _ChunkStream()
        size = _HEADER_SIZES[form]
        head = self._rest[at : at + size]
        at += size
        extended = head[:3] == b"\xff\xff\xff" if size else stream.extended
        body_at = at + 4 * extended
        length = int.from_bytes(head[3:6]) if size >= 7 else stream.length  # noqa: PLR2004 - forms 0 and 1
        if length > _MAX_MESSAGE:
            raise WireError(f"message of {length} bytes")
        wanted = min(self._chunk_size, length - len(stream.body))
        if len(head) < size or wanted < 0 or len(self._rest) < body_at + wanted:
            if wanted < 0:
                raise WireError("message shrank while it was sent")
            return None
        self._streams[csid] = stream  # from here on the chunk is whole, so the state may change
        stream.length = length
        self._stamp(stream, form, head, at if extended else None)
        stream.body += self._rest[body_at : body_at + wanted]
        end = body_at + wanted
        if len(stream.body) < stream.length:
            return end, None
        message = Message(stream.kind, bytes(stream.body), stream.timestamp, stream.stream_id)
        stream.body.clear()
        return end, message

    def _basic_header(self, at: int) -> tuple[int, int, int] | None:
        if len(self._rest) <= at:
            return None
        form, csid = self._rest[at] >> 6, self._rest[at] & 0x3F
        # 0 and 1 announce one or two more bytes, the low one first
        more = {0: 1, 1: 2}.get(csid, 0)
        if len(self._rest) <= at + more:
            return None
        if more:
            csid = 64 + int.from_bytes(self._rest[at + 1 : at + 1 + more], "little")
        return form, csid, at + 1 + more

    def _stamp(self, stream: _ChunkStream, form: int, head: bytearray, extended_at: int | None) -> None:
        """Apply the header's type and time. A continuation (form 3 inside a message) changes neither."""
        size = len(head)
        if size:
            stream.extended = extended_at is not None
            value = int.from_bytes(head[:3])
            if extended_at is not None:
                value = int.from_bytes(self._rest[extended_at : extended_at + 4])
            stream.delta = value  # after form 0 too: so the specification has it, and FFmpeg writes it
            stream.timestamp = value if form == 0 else (stream.timestamp + value) & 0xFFFFFFFF
        elif not stream.body:
            stream.timestamp = (stream.timestamp + stream.delta) & 0xFFFFFFFF
        if form <= 1:
            stream.kind = head[6]
        if form == 0:
            stream.stream_id = int.from_bytes(head[7:11], "little")
