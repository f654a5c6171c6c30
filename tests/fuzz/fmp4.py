"""Fragmented MP4 of any form gives units of the bytes that were there, or an error of ours."""

from __future__ import annotations

import contextlib
import functools

from streamwatch.sources.hls import fmp4
from streamwatch.sources.hls.units import NotMedia, NoVideo
from tests.fuzz.engine import Target
from tests.sources import media
from tests.sources.hls.origin import cut_fragments, fragmented

READS = ("sources.hls.fmp4",)
_MOST = 20_000


@functools.cache
def originals() -> tuple[tuple[bytes, ...], ...]:
    """Initialisation segment and fragments, for each kind."""
    kinds = (
        media.encode("mpegts", frames=8, size=(64, 64), options=media.X264_B),
        media.encode("mpegts", frames=8, codec="libx265", size=(64, 64), options=media.X265),
    )
    return tuple(tuple(cut_fragments(fragmented(kind))) for kind in kinds)


@functools.cache
def _tracks() -> tuple[fmp4.Track, ...]:
    tracks = tuple(fmp4.read_track(kind[0]) for kind in originals())
    assert all(tracks)
    return tuple(track for track in tracks if track)


def check_init(data: bytes) -> None:
    with contextlib.suppress(NotMedia, NoVideo):
        track = fmp4.read_track(data)
        assert track is None or len(track.config.extradata) <= len(data)


def check_fragment(data: bytes) -> None:
    for track in _tracks():
        count = total = 0
        with contextlib.suppress(NotMedia):
            for unit in fmp4.units(data, track):
                count += 1
                total += len(unit.data)
                assert 0 < len(unit.data) <= len(data)
        assert count <= _MOST
        with contextlib.suppress(NotMedia):
            found = fmp4.first_key(data, track)
            assert found.offset >= 0
            assert found.size >= 0


TARGETS = (
    Target("fmp4-init", check_init, lambda: [kind[0] for kind in originals()], READS),
    Target(
        "fmp4-fragments",
        check_fragment,
        lambda: [piece[:6000] for kind in originals() for piece in kind[1:]],
        READS,
        brief=2000,
    ),
)
