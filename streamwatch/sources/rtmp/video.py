"""The body of a video message: FLV's legacy form and that of enhanced RTMP. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from streamwatch.domain.errors import CodecUnsupported
from streamwatch.domain.urls import printable


class What(Enum):
    """What a video message brings."""

    HEADER = "header"
    """The decoder's configuration."""
    PICTURE = "picture"
    END = "end"
    """The broadcaster ended the sequence; another one may begin."""


class Video(NamedTuple):
    """A video message, read."""

    what: What
    codec: str
    """FFmpeg's name."""
    key: bool
    composition_ms: int
    """Presentation time less decoding time."""
    data: bytes


_LEGACY = {2: "flv1", 3: "flashsv", 4: "vp6f", 5: "vp6a", 6: "flashsv2", 7: "h264", 8: "h263", 9: "mpeg4",
           12: "hevc", 13: "av1"}  # fmt: skip
"""12 and 13 are what encoders wrote before there was enhanced RTMP; they have AVC's layout."""
_WITH_HEADERS = frozenset({"h264", "hevc", "av1"})
_FOUR_LETTERS = {b"avc1": "h264", b"hvc1": "hevc", b"vvc1": "vvc", b"av01": "av1", b"vp08": "vp8", b"vp09": "vp9"}
_COMPOSED = frozenset({"h264", "hevc", "vvc"})
_ENHANCED = 0x80
_KEY, _COMMAND = 1, 5
_SEQUENCE_START, _CODED, _SEQUENCE_END, _CODED_X, _MULTITRACK, _MODIFIER = 0, 1, 2, 3, 6, 7
_ONE_TRACK, _MANY_CODECS = 0, 2
_WHAT = {0: What.HEADER, 1: What.PICTURE, 2: What.END, 3: What.PICTURE}


def read(payload: bytes) -> Video | None:
    """Read a video message; None where it brings nothing that we use (metadata, other tracks) or is cut short.

    Raises CodecUnsupported where its codec has no name.
    """
    if len(payload) < 2:  # noqa: PLR2004
        return None
    first = payload[0]
    frame_type = first >> 4 & 0x7
    if first & _ENHANCED:
        return _enhanced(payload, first & 0x0F, frame_type)
    if frame_type == _COMMAND:
        return None
    codec = _LEGACY.get(first & 0x0F)
    if codec is None:
        raise CodecUnsupported(f"FLV's video codec {first & 0x0F} is not decoded here")
    if codec not in _WITH_HEADERS:
        return Video(What.PICTURE, codec, frame_type == _KEY, 0, payload[1:])
    what = _WHAT.get(payload[1]) if payload[1] < _CODED_X else None
    if what is None or len(payload) < 5:  # noqa: PLR2004
        return None
    return Video(what, codec, frame_type == _KEY, int.from_bytes(payload[2:5], signed=True), payload[5:])


def _enhanced(payload: bytes, kind: int, frame_type: int) -> Video | None:
    at = 1
    while kind == _MODIFIER:  # so many bytes that change something of the message: precise times and the like
        size = 1 + int.from_bytes(payload[at : at + 1])
        at += 1
        if size == 256:  # noqa: PLR2004 - the escape to a longer form
            size = 1 + int.from_bytes(payload[at : at + 2])
            at += 2
        at += size
        if at >= len(payload):
            return None
        kind = payload[at] & 0x0F
        at += 1
    if frame_type == _COMMAND:
        return None
    end = len(payload)
    if kind == _MULTITRACK:
        track = _track_zero(payload, at)
        if track is None:
            return None
        kind, name, at, end = track
    else:
        name = payload[at : at + 4]
        at += 4
    what = _WHAT.get(kind)
    if what is None or at > end:
        return None
    codec = _FOUR_LETTERS.get(name)
    if codec is None:
        raise CodecUnsupported(f"{printable(name.decode('ascii', 'replace'), 8)}: this codec is not decoded here")
    composition = 0
    if kind == _CODED and codec in _COMPOSED:
        composition = int.from_bytes(payload[at : at + 3], signed=True)
        at += 3
    return Video(what, codec, frame_type == _KEY, composition, payload[at:end])


def _track_zero(payload: bytes, at: int) -> tuple[int, bytes, int, int] | None:
    """(packet type, codec, begin, end) of the default track of a multitrack message."""
    form, kind = payload[at] >> 4 if at < len(payload) else 0, payload[at] & 0x0F if at < len(payload) else 0
    at += 1
    name = b""
    if form != _MANY_CODECS:
        name = payload[at : at + 4]
        at += 4
    while at < len(payload):
        if form == _MANY_CODECS:
            name = payload[at : at + 4]
            at += 4
        track = payload[at : at + 1]
        at += 1
        size = len(payload) - at
        if form != _ONE_TRACK:
            size = int.from_bytes(payload[at : at + 3])
            at += 3
        if at + size > len(payload):
            return None
        if track == b"\0":
            return kind, name, at, at + size
        at += size
    return None
