"""Access units: what a demuxer gives, and what the bitstream itself says about a picture. Pure."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from streamwatch.domain.media import CodecConfig, MediaTime, Packet
from streamwatch.sources import sps
from streamwatch.sources.annexb import parameter_sets, units

MAX_UNIT = 16 << 20
"""Bytes. A key picture of 2160p at the highest rates has 3 MB."""

_START = b"\x00\x00\x01"
_AUD = {"h264": b"\x00\x00\x01\x09", "hevc": b"\x00\x00\x01\x46\x01"}
_SEARCHED_UNITS = 200
"""NAL units before the first slice that are looked at."""
_H264_SLICES, _H264_IDR, _H264_SEI, _H264_PPS = frozenset({1, 2}), 5, 6, 8
_RECOVERY_POINT = 6
_HEVC_PICTURES_END, _HEVC_KEYS = 32, range(16, 24)
_MPEG2_SEQUENCE, _MPEG2_PICTURE, _MPEG2_INTRA = b"\x00\x00\x01\xb3", b"\x00\x00\x01\x00", 1
_INTRA_HEADS = frozenset({0x88, *range(0xB0, 0xC0)})
"""First macroblock 0, then slice type 7 or 2, as Exp-Golomb writes them."""


class NotMedia(ValueError):
    """The bytes are not what they should be: a segment that is damaged, or no segment at all."""


class NoVideo(ValueError):
    """Well formed, and nothing in it that we could look at; the text says what there is instead."""


class Unit(NamedTuple):
    """One access unit of the video track: a packet that has not been given its time of arrival."""

    config: CodecConfig
    data: bytes
    pts: MediaTime | None
    dts: MediaTime | None
    key: bool

    def packet(self, arrival: float) -> Packet:
        """As a packet that arrived then."""
        return Packet(self.config, self.data, self.pts, self.dts, self.key, arrival)


def begins_unit(codec: str, data: bytes) -> bool:
    """Whether an access unit delimiter comes first, so that a new picture certainly begins here."""
    at = data.find(_START, 0, 8)
    return at >= 0 and not data[:at].strip(b"\x00") and data.startswith(_AUD.get(codec, b"\xff"), at)


def split(codec: str, data: bytes) -> list[bytes]:
    """Cut at access unit delimiters: a muxer may put several pictures into one packet."""
    mark = _AUD.get(codec)
    if mark is None or (at := data.find(mark, 8)) < 0 or not begins_unit(codec, data):
        return [data]
    cuts = [0]
    while at >= 0 and len(cuts) <= _SEARCHED_UNITS:
        cuts.append(at - 1 if data[at - 1] == 0 else at)
        at = data.find(mark, at + 4)
    cuts.append(len(data))
    return [data[a:b] for a, b in pairwise(cuts) if b > a]


def is_key(codec: str, data: bytes, sets: bytes = b"") -> bool:
    """Whether decoding can begin with this Annex B access unit, judged as FFmpeg's parsers do.

    `sets` are the parameter sets in force before it.
    """
    if codec == "h264":
        return _h264_key(data, sets)
    if codec == "hevc":
        return _hevc_key(data)
    at = data.find(_MPEG2_PICTURE)
    return 0 <= at < len(data) - 5 and data[at + 5] >> 3 & 7 == _MPEG2_INTRA


def _h264_key(data: bytes, sets: bytes) -> bool:
    at = data.find(_START)
    recovers = False
    for _ in range(_SEARCHED_UNITS):
        if not 0 <= at < len(data) - 4:
            return False
        kind = data[at + 3] & 0x1F
        if kind == _H264_IDR:
            return True
        if kind in _H264_SLICES:
            return recovers or (data[at + 4] in _INTRA_HEADS and _unmarked_key(data, sets))
        following = data.find(_START, at + 3)
        if kind == _H264_SEI:
            recovers = recovers or _recovers(data[at + 4 : following if following >= 0 else len(data)])
        at = following
    return False


def _recovers(sei: bytes) -> bool:
    """Whether one of these messages is a recovery point: an open group of pictures, or a gradual refresh."""
    sei = sei.replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    for _ in range(_SEARCHED_UNITS):
        numbers = []
        for _ in range(2):
            number = 0
            while at < len(sei) and sei[at] == 0xFF:  # noqa: PLR2004
                number += 255
                at += 1
            if at >= len(sei) - 1:
                return False
            numbers.append(number + sei[at])
            at += 1
        if numbers[0] == _RECOVERY_POINT:
            return True
        at += numbers[1]
    return False


def _unmarked_key(data: bytes, sets: bytes) -> bool:
    """An intra slice where pictures refer to one other at most: what follows does not reach behind it."""
    return _unmarked_keys(parameter_sets("h264", data) or sets)


@lru_cache(maxsize=64)
def _unmarked_keys(sets: bytes) -> bool:
    """Whether these H.264 parameter sets allow it: asked for each picture, and they may be thousands."""
    try:
        found = {unit[0] & 0x1F: unit for unit in units(sets)}
        if 7 not in found or _H264_PPS not in found or sps.h264(found[7]).max_refs > 1:  # noqa: PLR2004
            return False
        bits = sps.Bits(found[_H264_PPS][1:])
        bits.unsigned(), bits.unsigned(), bits.read(2)
        return bits.unsigned() == 0 and bits.unsigned() == 0
    except ValueError:
        return False


def _hevc_key(data: bytes) -> bool:
    at = data.find(_START)
    for _ in range(_SEARCHED_UNITS):
        if not 0 <= at < len(data) - 5:
            return False
        kind = data[at + 3] >> 1 & 0x3F
        if kind < _HEVC_PICTURES_END:
            return kind in _HEVC_KEYS
        at = data.find(_START, at + 3)
    return False


def in_band_config(codec: str, data: bytes, before: CodecConfig | None) -> CodecConfig:
    """The configuration that a key access unit brings along, `before` where it brings nothing new."""
    if codec == "mpeg2video":
        at = data.find(_MPEG2_SEQUENCE)
        width, height = (data[at + 4] << 4 | data[at + 5] >> 4, (data[at + 5] & 15) << 8 | data[at + 6]) \
            if 0 <= at < len(data) - 7 else (0, 0)  # fmt: skip
        sets, size = b"", (width, height)
    else:
        sets = parameter_sets(codec, data)
        size = (0, 0)
    if before is not None and before.codec == codec and (
        (before.extradata == sets and sets) or (not sets and size in ((0, 0), (before.width, before.height)))
    ):  # fmt: skip
        return before
    return CodecConfig(codec, sets, *(sps.size(codec, sets) if sets else size))
