"""The publishers: one process that sends one encoded programme as many streams, each at its own place in it.

`python -m streamwatch.bench.publishers SIZE FILE ADDRESS COUNT MARKER_S` publishes ADDRESS/p00 and so on until it is
stopped, and says `publishing` on standard output once all are on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Final

from streamwatch.bench import clip
from streamwatch.bench.clip import KEY_INTERVAL_S, Clip, Gop
from streamwatch.domain.errors import StreamError
from streamwatch.domain.urls import SafeUrl
from streamwatch.testcard.flv import FlvTag
from streamwatch.testcard.rtmp_publish import publish

_GOLDEN: Final = 0.6180339887498949
"""Multiples of it spread over a span more evenly than chance."""
_START_APART_S: Final = 0.01
_TOGETHER_S: Final = 0.005
"""Tags due within so much go out together."""


def name_of(number: int) -> str:
    """Of a publisher's stream."""
    return f"p{number:02d}"


def programme(made: Clip, number: int, *, marker_every: int) -> Iterator[Gop]:
    """The groups that a publisher shows, without end.

    Each begins elsewhere in the programme, and every so many groups shows the marker, each at another time.
    """
    count = len(made.programme)
    shown = 0
    while True:
        if marker_every and (shown + number * 7) % marker_every == marker_every - 1:
            yield made.marker
        else:
            yield made.programme[(shown + number * 4) % count]
        shown += 1


def phase_s(number: int) -> float:
    """How much later than the first a publisher's key pictures come."""
    return (number * _GOLDEN % 1.0) * KEY_INTERVAL_S


async def live(made: Clip, number: int, *, begin: float, marker_every: int) -> AsyncGenerator[FlvTag, None]:
    """A publisher's tags, each when it is due on the event loop's clock."""
    for header in made.headers:
        yield replace(header, timestamp_ms=0)
    clock = asyncio.get_running_loop().time
    start_ms = 0
    for gop in programme(made, number, marker_every=marker_every):
        for tag in gop.tags:
            due = begin + (start_ms + tag.timestamp_ms) / 1000
            if (wait := due - clock()) > _TOGETHER_S:
                await asyncio.sleep(wait)
            yield replace(tag, timestamp_ms=start_ms + tag.timestamp_ms)
        start_ms += round(1000 * KEY_INTERVAL_S)


async def run(made: Clip, address: str, count: int, *, marker_every: int) -> None:
    """Publish until cancelled. Raises StreamError as soon as one of them breaks."""
    on = 0

    def changed(state: str) -> None:
        nonlocal on
        on += state == "publishing"
        if on == count and state == "publishing":
            print("publishing", flush=True)  # noqa: T201 - whoever started us waits for it

    async def one(number: int, begin: float) -> None:
        await asyncio.sleep(number * _START_APART_S)  # servers queue few new connections at a time
        tags = live(made, number, begin=begin, marker_every=marker_every)
        async with aclosing(tags):
            await publish(SafeUrl(f"{address}/{name_of(number)}"), tags, on_state=changed)

    now = asyncio.get_running_loop().time() + count * _START_APART_S + 0.5
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number, now + phase_s(number)), name=f"publisher {number}")


def main() -> None:
    """Publish what the arguments name."""
    size, path, address, count, marker_s = sys.argv[1:]
    made = clip.load(Path(path), clip.SIZES[size])
    every = round(float(marker_s) / KEY_INTERVAL_S)
    try:
        asyncio.run(run(made, address, int(count), marker_every=every))
    except* StreamError as errors:
        sys.exit(f"publishers: {errors.exceptions[0]}")
    except* KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
