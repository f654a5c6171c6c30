"""The marker: a picture that exists once in the world. The test card, so that it raises an alert, in a random frame.

The frame is as wide as the card's detector takes for letterboxing. Its colours come from the system's random source
anew for each run, so whatever of it is found somewhere came from this very stream, and from no other test's.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from streamwatch.testcard.pattern import test_card
from tests.integration.clips import FPS, Clips, Gop
from tests.integration.process import finish

WIDTH, HEIGHT = 640, 360
BAR = 0.12
"""Share of width and height at each end that is random: at more the detector would no longer know its card."""
NOISY = BAR - 0.01
"""Share that is random for certain, also after scaling has mixed neighbours."""
_CELL = 2
"""Pixels a side of one random colour: finer, and the encoder would smooth it away; coarser, and pieces would repeat."""
_GOP = 2 * FPS
_DELIMITER = b"\0\0\0\1\x09"
_SLICES = frozenset({1, 5})
_SMALL_SLICE = 2000
"""Bytes; a slice of fewer says little more than "as before", in any stream."""

Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Marker:
    """What is broadcast, and what a watcher makes of it."""

    gop: Gop
    """Access units, Annex B, the first a key picture."""
    frames: tuple[VideoFrame, ...]
    """What the decoder gives for them, each different picture once, the key picture first."""
    slices: tuple[bytes, ...]
    """NAL units with the picture's content: the same bytes in FLV, TS, MP4 and Annex B."""

    @property
    def clips(self) -> Clips:
        """For a broadcast that never shows anything else."""
        nowhere = Path("/nonexistent")
        return Clips(calm=(self.gop,), card=(self.gop,), calm_flv=nowhere, broken_flv=nowhere)


def draw() -> Rgb:
    """`HEIGHT x WIDTH x 3` RGB, never the same twice."""
    down, across = round(HEIGHT * BAR), round(WIDTH * BAR)
    cells = (HEIGHT // _CELL, WIDTH // _CELL, 3)
    noise = np.frombuffer(secrets.token_bytes(int(np.prod(cells))), np.uint8).reshape(cells)
    picture = noise.repeat(_CELL, 0).repeat(_CELL, 1)
    picture[down:-down, across:-across] = test_card(WIDTH - 2 * across, HEIGHT - 2 * down)
    return picture


async def make() -> Marker:
    """Draw, encode and decode one. Nothing of it touches a disk."""
    encoded = await finish(
        ["ffmpeg", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}",
         "-r", str(FPS), "-i", "pipe:0", "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-bf", "0",
         "-crf", "20", "-g", str(_GOP), "-keyint_min", str(_GOP), "-sc_threshold", "0", "-x264-params", "aud=1",
         "-pix_fmt", "yuv420p", "-f", "h264", "pipe:1"],
        feed=draw().tobytes() * _GOP,
    )  # fmt: skip
    gop = tuple(_DELIMITER + unit for unit in encoded.split(_DELIMITER)[1:])
    assert len(gop) == _GOP, f"{len(gop)} access units"
    slices = tuple(nal for unit in gop for nal in nal_units(unit) if nal[0] & 0x1F in _SLICES)
    return Marker(gop, _decoded(gop), tuple(nal for nal in slices if len(nal) >= _SMALL_SLICE))


def nal_units(data: bytes) -> list[bytes]:
    """Of Annex B; the bytes between start codes."""
    return [nal.rstrip(b"\0") for nal in data.split(b"\0\0\1") if nal.strip(b"\0")]


def _decoded(gop: Sequence[bytes]) -> tuple[VideoFrame, ...]:
    """Frame by frame as a watcher does that looks between keys; what looks the same is kept once."""
    context = cast("VideoCodecContext", av.CodecContext.create("h264", "r"))
    context.thread_count = 1
    frames = [frame for unit in gop for frame in context.decode(av.Packet(unit))] + context.decode(None)
    different = {bytes(memoryview(cast("memoryview", frame.planes[0]))): frame for frame in reversed(frames)}
    kept = {id(frame) for frame in different.values()}
    return tuple(frame for frame in frames if id(frame) in kept)
