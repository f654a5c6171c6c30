"""AMF0, the small part of it that RTMP commands use: pure functions between values and bytes.

Known values: number, boolean, string, object (a dict with string keys), null. An ECMA array is read as a dict, a strict
array as a list. Nothing outside these is needed to publish or to play.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = "float | bool | str | dict[str, Value] | list[Value] | None"

_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED, _ECMA_ARRAY, _OBJECT_END, _STRICT_ARRAY, _LONG_STRING = (
    0, 1, 2, 3, 5, 6, 8, 9, 10, 12,
)  # fmt: skip
_MAX_DEPTH = 8
_MAX_ITEMS = 256
_MAX_VALUES = 1024
"""In one message, the ones inside containers too: what an encoder says of its stream are some thirty."""
_SHORT = 0xFFFF


class Amf0Error(ValueError):
    """Bytes that are not AMF0, or more of it than we take (depth 8, 256 entries a container, 1024 values)."""


def encode(*values: Value) -> bytes:
    """Write values one after the other, as the body of a command or data message. Dicts become objects."""
    out = bytearray()
    for value in values:
        _write(out, value)
    return bytes(out)


def decode(data: bytes) -> list[Value]:
    """Read all values of a message body.

    Raises:
        Amf0Error: truncated, of an unknown type, or beyond our bounds.

    """
    values: list[Value] = []
    room = iter(range(_MAX_VALUES))
    at = 0
    try:
        while at < len(data):
            if len(values) >= _MAX_ITEMS:
                raise Amf0Error("too many values")
            value, at = _read(data, at, 0, room)
            values.append(value)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Amf0Error(f"not AMF0 at byte {at}") from error
    return values


def _write(out: bytearray, value: Value) -> None:
    if value is None:
        out.append(_NULL)
    elif isinstance(value, bool):
        out += bytes((_BOOLEAN, value))
    elif isinstance(value, int | float):
        out += struct.pack(">Bd", _NUMBER, value)
    elif isinstance(value, str):
        raw = value.encode()
        out += (
            struct.pack(">BH", _STRING, len(raw)) if len(raw) <= _SHORT else struct.pack(">BI", _LONG_STRING, len(raw))
        )
        out += raw
    elif isinstance(value, dict):
        out.append(_OBJECT)
        for key, item in value.items():
            raw = key.encode()
            out += struct.pack(">H", len(raw)) + raw
            _write(out, item)
        out += b"\x00\x00\x09"
    else:
        out += struct.pack(">BI", _STRICT_ARRAY, len(value))
        for item in value:
            _write(out, item)


def _read(data: bytes, at: int, depth: int, room: Iterator[int]) -> tuple[Value, int]:  # noqa: PLR0911 - one per type
    if depth > _MAX_DEPTH or next(room, None) is None:
        raise Amf0Error("nested too deeply, or too many values")
    kind = data[at]
    at += 1
    match kind:
        case 0:
            return struct.unpack_from(">d", data, at)[0], at + 8
        case 1:
            return data[at] != 0, at + 1
        case 2:
            return _text(data, at, 2)
        case 12:
            return _text(data, at, 4)
        case 5 | 6:
            return None, at
        case 3:
            return _members(data, at, depth, room)
        case 8:
            return _members(data, at + 4, depth, room)  # the count is a hint; the end marker counts
        case 10:
            return _items(data, at, depth, room)
        case _:
            raise Amf0Error(f"unknown AMF0 type {kind}")


def _text(data: bytes, at: int, width: int) -> tuple[str, int]:
    length = int.from_bytes(_slice(data, at, width))
    at += width
    return _slice(data, at, length).decode(), at + length


def _members(data: bytes, at: int, depth: int, room: Iterator[int]) -> tuple[dict[str, Value], int]:
    members: dict[str, Value] = {}
    while data[at : at + 3] != b"\x00\x00\x09":
        if len(members) >= _MAX_ITEMS:
            raise Amf0Error("too many members")
        key, at = _text(data, at, 2)
        members[key], at = _read(data, at, depth + 1, room)
    return members, at + 3


def _items(data: bytes, at: int, depth: int, room: Iterator[int]) -> tuple[list[Value], int]:
    count = int.from_bytes(_slice(data, at, 4))
    if count > _MAX_ITEMS:
        raise Amf0Error("too many items")
    at += 4
    items: list[Value] = []
    for _ in range(count):
        item, at = _read(data, at, depth + 1, room)
        items.append(item)
    return items, at


def _slice(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise Amf0Error("ends in the middle of a value")
    return data[at : at + length]
