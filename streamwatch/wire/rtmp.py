"""RTMP on the wire: handshake bytes, messages, and how they are written as chunks. Pure: no socket, no clock."""

from __future__ import annotations

import os
import struct
from typing import Final, NamedTuple

from streamwatch.wire import amf0

VERSION: Final = b"\x03"
HANDSHAKE_SIZE: Final = 1536
DEFAULT_CHUNK: Final = 128
OUR_CHUNK: Final = 65536
"""Large chunks: one header for most messages, and less work for every parser on the way."""
WINDOW: Final = 2_500_000

SET_CHUNK_SIZE, ABORT, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_SIZE, PEER_BANDWIDTH = 1, 2, 3, 4, 5, 6
AUDIO, VIDEO, DATA_AMF3, COMMAND_AMF3, DATA, COMMAND, AGGREGATE = 8, 9, 15, 17, 18, 20, 22
STREAM_BEGIN, STREAM_EOF, SET_BUFFER_LENGTH, PING, PONG = 0, 1, 3, 6, 7

_CONTROL_CSID, _COMMAND_CSID, _MEDIA_CSID = 2, 3, 6
_EXTENDED = 0xFFFFFF


class WireError(ValueError):
    """The peer does not speak RTMP, or more of it than we take."""


class Message(NamedTuple):
    """One RTMP message; `timestamp` in milliseconds, modulo 2^32."""

    kind: int
    payload: bytes
    timestamp: int = 0
    stream_id: int = 0

    def __repr__(self) -> str:
        return f"Message({self.kind}, {len(self.payload)} bytes, {self.timestamp})"


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


def set_buffer_length(stream_id: int, milliseconds: int) -> Message:
    """By which a player says how much it buffers; some servers send nothing before it."""
    return Message(USER_CONTROL, struct.pack(">HII", SET_BUFFER_LENGTH, stream_id, milliseconds))


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
