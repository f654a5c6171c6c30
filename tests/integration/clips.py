"""Short encoded pictures, made once: programme and test card, cut into access units that can be joined in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamwatch.testcard.scene import picture
from tests.integration.process import finish

FPS = 15
KEY_INTERVAL_S = 2.0
_GOP = round(FPS * KEY_INTERVAL_S)
_DELIMITER = b"\0\0\0\1\x09"
"""Every access unit begins with one (x264's `aud`)."""

Gop = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Clips:
    """What a broadcast can show; each is a row of closed GOPs of two seconds, without B pictures."""

    calm: Sequence[Gop]
    card: Sequence[Gop]
    calm_flv: Path
    """The programme with a sound track, for `-stream_loop`."""
    broken_flv: Path
    """The same with damage in every picture."""


async def make(folder: Path, *, width: int, height: int, seconds: int = 8) -> Clips:
    calm = await _encode(seed=f"{width}", card=False, width=width, height=height, seconds=seconds)
    card = await _encode(seed=f"{width}", card=True, width=width, height=height, seconds=2)
    flv = folder / f"calm-{height}.flv"
    await finish(
        ["ffmpeg", "-loglevel", "error", "-y", "-f", "h264", "-framerate", str(FPS), "-i", "pipe:0",
         "-f", "lavfi", "-i", "sine=frequency=220:sample_rate=44100", "-c:v", "copy", "-c:a", "aac", "-b:a", "32k",
         "-shortest", "-f", "flv", str(flv)],
        feed=calm,
    )  # fmt: skip
    broken = folder / f"broken-{height}.flv"
    await finish(
        ["ffmpeg", "-loglevel", "error", "-y", "-i", str(flv), "-c", "copy", "-bsf:v", "noise=amount=50",
         "-f", "flv", str(broken)]
    )  # fmt: skip
    return Clips(calm=_gops(calm), card=_gops(card), calm_flv=flv, broken_flv=broken)


async def _encode(*, seed: str, card: bool, width: int, height: int, seconds: int) -> bytes:
    """Annex B: has no times, so whatever is joined plays on without a gap."""
    pictures = b"".join(
        picture(seed=seed, t=i / FPS, width=width, height=height, card=card).tobytes() for i in range(seconds * FPS)
    )
    return await finish(
        ["ffmpeg", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
         "-r", str(FPS), "-i", "pipe:0", "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-bf", "0",
         "-g", str(_GOP), "-keyint_min", str(_GOP), "-sc_threshold", "0", "-x264-params", "aud=1",
         "-pix_fmt", "yuv420p", "-f", "h264", "pipe:1"],
        feed=pictures,
    )  # fmt: skip


def _gops(encoded: bytes) -> tuple[Gop, ...]:
    units = [_DELIMITER + unit for unit in encoded.split(_DELIMITER)[1:]]
    assert len(units) % _GOP == 0
    return tuple(tuple(units[i : i + _GOP]) for i in range(0, len(units), _GOP))
