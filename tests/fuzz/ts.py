"""MPEG-TS of any form gives units of the bytes that were there, or an error of ours."""

from __future__ import annotations

import functools
from itertools import pairwise

from streamwatch.sources import annexb
from streamwatch.sources.hls.ts import PACKET, TsClock, TsDemuxer
from streamwatch.sources.hls.units import NotMedia, NoVideo, Unit, in_band_config, is_key, split
from tests.fuzz.engine import Target
from tests.sources import media

READS = ("sources.hls.ts", "sources.hls.units", "sources.annexb", "sources.sps")
_CODECS = ("h264", "hevc", "mpeg2video")
_UNITS = 20
"""Pieces of one access unit that are cut apart at most: `split` ends its search."""


@functools.cache
def originals() -> tuple[bytes, ...]:
    return (
        media.encode("mpegts", frames=8, size=(64, 64), options=media.X264_B),
        media.encode("mpegts", frames=8, size=(64, 64), audio=True),
        media.encode("mpegts", frames=8, codec="libx265", size=(64, 64), options=media.X265),
        media.encode("mpegts", frames=8, codec="mpeg2video", size=(64, 64), options={}),
    )


@functools.cache
def heads() -> tuple[bytes, ...]:
    """The first packets of each, with which a thousand inputs a second more are tried, and one whole."""
    return (*(one[: 14 * PACKET] for one in originals()), originals()[0])


def _demuxed(pieces: list[bytes], size: int) -> tuple[list[Unit], bool, bool]:
    """The units, whether the bytes were refused, and whether packets were lost on the way."""
    demuxer, units = TsDemuxer(TsClock()), []
    try:
        for piece in pieces:
            units += demuxer.feed(piece)
            assert sum(map(len, demuxer._parts)) + len(demuxer._rest) <= size, "it holds more than it was given"
        units += demuxer.finish()
    except (NotMedia, NoVideo):
        return units, True, demuxer._lost > 0
    return units, False, demuxer._lost > 0


def check_ts(data: bytes) -> None:
    units, broken, lost = _demuxed([data], len(data))
    assert sum(len(unit.data) for unit in units) <= len(data)
    for unit in units:
        assert unit.data
        assert 0 <= unit.config.width < 1 << 16
        assert unit.config.codec in _CODECS
    step = 1 + (data[-1] << 4 if data else 0) + len(data) // 64
    edges = [*range(0, len(data), step), len(data)]
    again, broken_too, lost_too = _demuxed([data[a:b] for a, b in pairwise(edges)], len(data))
    if lost or lost_too:  # where packets begin again is told by what follows, as far as that has come
        return
    assert broken == broken_too, "how it is cut decides whether it is refused"
    if not broken:
        assert units == again, "how it is cut decides what is read"


def check_units(data: bytes) -> None:
    for codec in _CODECS:
        is_key(codec, data)
        pieces = split(codec, data)
        assert b"".join(pieces) == data
        sets = annexb.parameter_sets(codec, data)
        assert len(sets) <= annexb._MAX_SETS
        assert not sets or annexb.parameter_sets(codec, sets) == sets, "parameter sets read back differ"
        is_key(codec, data, sets)
        config = in_band_config(codec, data, None)
        assert config.codec == codec
        assert len(config.extradata) <= annexb._MAX_SETS
    assert sum(map(len, annexb.units(data))) <= len(data)


def _picture_seeds() -> list[bytes]:
    found = [b"\x00\x00\x01".join([b"", b"\x09\xf0", b"\x67\x42", b"\x06\x06\x01\xc4", b"\x41\x9a"])]
    for one in originals():
        found += [unit.data[:500] for unit in _demuxed([one], len(one))[0][:3]]
    return found


TARGETS = (
    Target("ts", check_ts, heads, READS, brief=1200),
    Target("units", check_units, _picture_seeds, READS[1:], brief=2000),
)
