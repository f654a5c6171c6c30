"""Parameter sets that travel inside the packets (MPEG-TS, RTSP): how a change of format shows there. Pure."""

from __future__ import annotations

from collections.abc import Iterator

_START = b"\x00\x00\x01"
_SEARCHED = 65536
"""Bytes at the head of a packet in which parameter sets are looked for; longer ones are not worth following."""
_MAX_SETS = 8192
_H264_SETS, _H264_PICTURE = frozenset({7, 8}), frozenset(range(1, 6))
_HEVC_SETS, _HEVC_PICTURES_END = frozenset({32, 33, 34}), 32


def is_annexb(data: bytes) -> bool:
    """Whether a packet begins with a start code rather than with a length."""
    return data[:3] == _START or data[:4] == b"\x00" + _START


def parameter_sets(codec: str, data: bytes) -> bytes:
    """The parameter sets before the first picture, as one Annex B run; empty where there are none.

    `codec` is `h264` or `hevc`; anything else has none.
    """
    if codec not in ("h264", "hevc") or not is_annexb(data):
        return b""
    sets: list[bytes] = []
    for unit in units(data[:_SEARCHED]):
        kind = unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F
        if kind in (_H264_SETS if codec == "h264" else _HEVC_SETS):
            sets.append(unit)
        elif kind in _H264_PICTURE if codec == "h264" else kind < _HEVC_PICTURES_END:
            break
    found = b"".join(b"\x00" + _START + unit for unit in sets)
    return found if len(found) <= _MAX_SETS else b""


def units(data: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B run, without start codes and trailing zeros."""
    at = data.find(_START)
    while at >= 0:
        begin = at + len(_START)
        at = data.find(_START, begin)
        unit = data[begin : at if at >= 0 else len(data)].rstrip(b"\x00")
        if unit:
            yield unit
