"""Fragmented MP4 of any form gives units of the bytes that were there, or an error of ours."""

from __future__ import annotations

import contextlib
import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.sources.hls import fmp4
from streamwatch.sources.hls.units import NotMedia, NoVideo
from tests.fuzz.damage import spoiled
from tests.sources import media
from tests.sources.hls.origin import cut_fragments, fragmented


@functools.cache
def originals() -> tuple[tuple[bytes, ...], ...]:
    """Initialisation segment and fragments, for each kind."""
    kinds = (
        media.encode("mpegts", frames=8, size=(64, 64), options=media.X264_B),
        media.encode("mpegts", frames=8, codec="libx265", size=(64, 64), options=media.X265),
    )
    return tuple(tuple(cut_fragments(fragmented(kind))) for kind in kinds)


@settings(deadline=None)
@given(st.data())
def fuzz_init(data: st.DataObject) -> None:
    raw = data.draw(spoiled([kind[0] for kind in originals()]))
    with contextlib.suppress(NotMedia, NoVideo):
        track = fmp4.read_track(raw)
        assert track is None or len(track.config.extradata) <= len(raw)


@settings(deadline=None)
@given(st.data())
def fuzz_fragments(data: st.DataObject) -> None:
    init, *fragments = data.draw(st.sampled_from(originals()))
    track = fmp4.read_track(init)
    assert track is not None
    raw = data.draw(spoiled(fragments))
    with contextlib.suppress(NotMedia):
        count = 0
        for unit in fmp4.units(raw, track):
            count += 1
            assert 0 < len(unit.data) <= len(raw)
        assert count <= 20_000
    with contextlib.suppress(NotMedia):
        found = fmp4.first_key(raw, track)
        assert found.offset >= 0
        assert found.size >= 0
