"""The common ways of watching a stream, measured on the same streams: one process each, in steady state."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from streamwatch.bench import proc
from streamwatch.bench.bare import SIDE
from streamwatch.bench.measure import Figures, Told
from streamwatch.bench.programs import Child, environment, python
from streamwatch.bench.site import Site
from streamwatch.domain.errors import OutsideError

WARM_S: Final = 10.0
"""Connecting, probing and waiting for a key picture are over by then."""
_RAW: Final = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-y", "/dev/null")
_QUIET: Final = ("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error")
_MIB: Final = 1024 * 1024


class Rival(NamedTuple):
    """A way of watching that needs no streamwatch."""

    name: str
    says: str
    command: Callable[[str, float], list[str]]
    """From an address and the seconds between two pictures."""


def _ffmpeg_full(url: str, gap_s: float) -> list[str]:
    return [*_QUIET, "-i", url, "-an", "-vf", f"fps=1/{gap_s:g},scale={SIDE}:{SIDE}:flags=area", *_RAW]


def _ffmpeg_keys(url: str, gap_s: float) -> list[str]:
    del gap_s  # it decodes every key picture, whatever is asked for
    keys = ("-skip_frame", "nokey", "-threads", "1")
    return [*_QUIET, *keys, "-i", url, "-an", "-vf", f"scale={SIDE}:{SIDE}:flags=area", "-vsync", "passthrough", *_RAW]


RIVALS: Final = (
    Rival("opencv", "OpenCV read()", lambda url, gap_s: python("streamwatch.bench.bare", "opencv", url, f"{gap_s:g}")),
    Rival("pyav", "PyAV, every frame", lambda url, gap_s: python("streamwatch.bench.bare", "pyav", url, f"{gap_s:g}")),
    Rival("ffmpeg", "ffmpeg, every frame", _ffmpeg_full),
    Rival("nokey", "ffmpeg -skip_frame nokey -threads 1", _ffmpeg_keys),
)


async def measure(
    rival: Rival, site: Site, *, streams: int, gap_s: float, window_s: float, core: int, told: Told
) -> Figures:
    """Processor seconds per stream and minute, and memory of one process. Raises OutsideError where one ends early."""
    async with contextlib.AsyncExitStack() as stack:
        children = [
            Child(
                f"{rival.says} {number}",
                rival.command(site.url(number), gap_s),
                cores=frozenset({core}),
                env=environment(),
            )
            for number in range(streams)
        ]
        for child in children:
            await stack.enter_async_context(child)
        told(f"{rival.says}: starting")
        await asyncio.sleep(WARM_S)
        begun, before = time.monotonic(), _used(children)
        told(f"{rival.says}: measuring {streams} streams")
        await asyncio.sleep(window_s)
        seconds, after = time.monotonic() - begun, _used(children)
        memory = [found for child in children if (found := proc.memory(child.pid)) is not None]
    minutes = streams * seconds / 60
    return {
        "streams": streams,
        "window_s": seconds,
        "cpu": (after - before) / minutes,
        "rss_mb": sum(one.rss for one in memory) / len(memory) / _MIB,
        "stream_mb": sum(one.own for one in memory) / len(memory) / _MIB,
    }


def _used(children: list[Child]) -> float:
    total = 0.0
    for child in children:
        used = proc.usage(child.pid) if child.running else None
        if used is None:
            raise OutsideError(f"{child.name} ended: {' / '.join(child.last_words) or 'it says nothing'}")
        total += used.cpu_s
    return total
