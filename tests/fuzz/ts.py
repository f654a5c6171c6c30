"""MPEG-TS of any form gives units of the bytes that were there, or an error of ours."""

from __future__ import annotations

import contextlib
import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.sources.hls.ts import TsClock, TsDemuxer
from streamwatch.sources.hls.units import NotMedia, NoVideo, is_key, split
from tests.fuzz.damage import spoiled
from tests.sources import media


@functools.cache
def originals() -> tuple[bytes, ...]:
    return (
        media.encode("mpegts", frames=8, size=(64, 64), options=media.X264_B),
        media.encode("mpegts", frames=8, size=(64, 64), audio=True),
        media.encode("mpegts", frames=8, codec="libx265", size=(64, 64), options=media.X265),
        media.encode("mpegts", frames=8, codec="mpeg2video", size=(64, 64), options={}),
    )


@settings(deadline=None)
@given(st.data(), st.integers(1, 5000))
def fuzz_ts(data: st.DataObject, step: int) -> None:
    whole = data.draw(spoiled(originals()))
    demuxer = TsDemuxer(TsClock())
    units = []
    with contextlib.suppress(NotMedia, NoVideo):
        for at in range(0, len(whole), step):
            units += demuxer.feed(whole[at : at + step])
        units += demuxer.finish()
    assert sum(len(unit.data) for unit in units) <= len(whole)
    for unit in units:
        assert unit.data
        assert 0 <= unit.config.width < 1 << 16
        assert unit.config.codec in {"h264", "hevc", "mpeg2video"}


@settings(deadline=None)
@given(st.sampled_from(["h264", "hevc", "mpeg2video"]), st.data())
def fuzz_pictures(codec: str, data: st.DataObject) -> None:
    raw = data.draw(spoiled([b"\x00\x00\x01".join([b"", b"\x09\xf0", b"\x67\x42", b"\x06\x06\x01\xc4", b"\x41\x9a"])]))
    is_key(codec, raw)
    pieces = split(codec, raw)
    assert b"".join(pieces) == raw
