"""What a long run watches beside the properties: that each input comes to an end, and that memory does."""

from __future__ import annotations

import resource
import signal
from types import FrameType
from typing import Self

ENDLESS_S = 10.0
"""Processor seconds; the slowest good input takes a thousandth of it."""
MOST_GROWN = 64 << 20
"""Bytes that a process may grow by after it has warmed up, in however many inputs."""
_WARM = 20_000
_TICKS = 10


class Stuck(BaseException):
    """An input that does not come to an end. No Exception: a parser that catches those must not swallow it."""


class Grown(AssertionError):
    """Memory that is not given back."""


class Alarm:
    """Raises Stuck in the main thread when one input (`number`) takes too much processor time."""

    def __init__(self) -> None:
        self.number = 0
        self._seen, self._ticks = -1, 0

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGVTALRM, self._tick)
        signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS_S / _TICKS, ENDLESS_S / _TICKS)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self._before)

    def _tick(self, _: int, __: FrameType | None) -> None:
        self._ticks = self._ticks + 1 if self.number == self._seen else 0
        self._seen = self.number
        if self._ticks >= _TICKS:
            raise Stuck


class Memory:
    """Compares what the process holds with what it held when it was warm."""

    def __init__(self) -> None:
        self._warm = 0

    def look(self, number: int) -> None:
        """Raise Grown where it grew too much. Call it now and then."""
        if number < _WARM:
            return
        now = held()
        self._warm = self._warm or now
        if now - self._warm > MOST_GROWN:
            raise Grown(f"memory grew from {self._warm >> 20} to {now >> 20} MiB in {number} inputs")


def held() -> int:
    """Bytes of memory this process has resident."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - every few hundred inputs
        return int(file.read().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
