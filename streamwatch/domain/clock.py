"""Time as a dependency: nothing but this file and its fake reads a clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Both clocks are read together only where a wall time is shown to people."""

    def monotonic(self) -> float:
        """Seconds on the machine's monotonic clock; the same for all processes since boot."""
        ...

    def now(self) -> datetime:
        """Wall time, always UTC and aware."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspend the current task."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC, which Linux shares between processes."""
        return time.monotonic()

    def now(self) -> datetime:
        """Wall time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Suspend the current task on the event loop."""
        await asyncio.sleep(seconds)


def rfc3339(at: datetime) -> str:
    """`2026-11-21T10:00:00.120Z`: UTC with milliseconds, the one form of time in what we publish."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
