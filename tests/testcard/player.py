"""A player that is not ours: PyAV's own RTMP and HLS, always in a thread and always with a time-out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import av
import numpy as np

from streamwatch.testcard.pattern import test_card as card

OPTIONS = {"rw_timeout": "5000000", "fpsprobesize": "0"}
"""No pictures are counted for a frame rate. (A short `analyzeduration` would open a stream joined between two key
pictures with its sound only.)"""


@dataclass
class Played:
    """What came out, in order of presentation."""

    size: tuple[int, int] = (0, 0)
    kinds: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    cards: list[bool] = field(default_factory=list)
    error: str = ""


def shows_card(picture: np.ndarray) -> bool:
    """Whether a decoded picture is the test card, give or take what compression does."""
    height, width = picture.shape[:2]
    difference = np.abs(picture.astype(np.int16) - card(width, height).astype(np.int16)).mean()
    return bool(difference < 25)


def play(url: str, *, frames: int = 10_000, stop: Callable[[Played], bool] = lambda _: False) -> Played:
    """Blocking: decode up to `frames` pictures, or until the stream ends, fails, or `stop` says so."""
    played = Played()
    try:
        with av.open(url, options=OPTIONS) as container:
            played.kinds = [stream.type for stream in container.streams]
            video = container.streams.video[0]
            played.size = (video.codec_context.width, video.codec_context.height)
            for frame in container.decode(video):
                played.times.append(frame.time)
                if frame.key_frame:
                    played.keys.append(frame.time)
                played.cards.append(shows_card(frame.to_ndarray(format="rgb24")))
                if len(played.times) >= frames or stop(played):
                    break
    except (av.error.FFmpegError, IndexError) as error:  # IndexError: no video, or a track that appeared later
        played.error = type(error).__name__
    return played


async def playing(url: str, *, frames: int = 10_000, stop: Callable[[Played], bool] = lambda _: False) -> Played:
    """`play` without blocking the event loop, which serves the stream."""
    future: asyncio.Future[Played] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def work() -> None:
        played = play(url, frames=frames, stop=stop)
        loop.call_soon_threadsafe(lambda: future.done() or future.set_result(played))

    # a daemon thread: a player that hangs fails its test and does not hold the interpreter
    threading.Thread(target=work, name=f"player {url}", daemon=True).start()
    async with asyncio.timeout(30):
        return await future
