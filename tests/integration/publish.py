"""Publishers: ffmpeg sends by RTMP what was encoded before, so that many fit on two cores."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Literal

from tests.integration.clips import FPS, Clips
from tests.integration.process import Child

_FFMPEG = ("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "warning")
_FROM_US = ("-f", "h264", "-framerate", str(FPS), "-probesize", "32768", "-i", "pipe:0", "-c", "copy",
            "-bsf:v", "extract_extradata")  # fmt: skip
"""The filter announces a changed picture size to the server as an encoder would: with a new sequence header."""
_MAX_LATE_S = 0.5


class Broadcast(Child):
    """One publication whose picture can be switched while it runs. It changes at the next key picture, as on air."""

    def __init__(self, url: str, clips: Clips) -> None:
        super().__init__("publisher", [*_FFMPEG, *_FROM_US, "-f", "flv", url], feed=True, stop_s=3.0)
        self._clips = clips
        self._what: Literal["calm", "card"] = "calm"
        self._feeding: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await super().start()
        self._feeding = asyncio.create_task(self._play(), name="programme")

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        feeding, self._feeding = self._feeding, None
        if feeding is not None:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            if self.process.stdin is not None and how is not signal.SIGKILL:
                self.process.stdin.close()  # the end of its input ends it in order; it may sleep through a signal
        return await super().stop(how)

    def show(self, what: Literal["calm", "card"], clips: Clips | None = None) -> float:
        """Show this from the next key picture on, perhaps in another size; returns the time now."""
        self._what = what
        self._clips = clips or self._clips
        return time.monotonic()

    def freeze(self) -> float:
        self.send(signal.SIGSTOP)
        return time.monotonic()

    def thaw(self) -> float:
        self.send(signal.SIGCONT)
        return time.monotonic()

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        pipe = self.process.stdin
        assert pipe is not None
        due, number = loop.time(), 0
        with contextlib.suppress(ConnectionError):
            while True:
                gops = self._clips.card if self._what == "card" else self._clips.calm
                for unit in gops[number % len(gops)]:
                    await asyncio.sleep(due - loop.time())  # the pace of the broadcast
                    pipe.write(unit)
                    await pipe.drain()
                    due = max(due + 1 / FPS, loop.time() - _MAX_LATE_S)
                number += 1


def looping(url: str, file: Path) -> Child:
    """A publisher that plays a file over and over."""
    return Child(
        "publisher",
        [*_FFMPEG, "-re", "-stream_loop", "-1", "-i", str(file), "-c", "copy", "-f", "flv", url],
        stop_s=3.0,
    )
