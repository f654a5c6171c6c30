"""What a process outside said, as it came: tests wait for an entry, never for a span of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    at: float
    """`time.monotonic()` when it was read."""
    what: T


class Journal(Generic[T]):
    """Grows; whoever waits is woken by every entry."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Entry[T]] = []
        self._news = asyncio.Event()

    def add(self, what: T) -> None:
        assert len(self.entries) < _ENTRIES, f"{self.name} says too much"
        self.entries.append(Entry(time.monotonic(), what))
        self._news.set()

    def all(self, wanted: Callable[[T], bool]) -> list[T]:
        return [entry.what for entry in self.entries if wanted(entry.what)]

    async def until(
        self, wanted: Callable[[T], bool], *, limit: float, what: str, since: int = 0, count: int = 1
    ) -> Entry[T]:
        """The `count`th entry from number `since` on that is wanted, at once or when it comes."""
        looked, found = since, 0
        try:
            async with asyncio.timeout(limit):
                while True:
                    self._news.clear()
                    while looked < len(self.entries):
                        entry = self.entries[looked]
                        looked += 1
                        found += wanted(entry.what)
                        if found == count:
                            return entry
                    await self._news.wait()
        except TimeoutError:
            newest = "\n  ".join(str(entry.what)[:300] for entry in self.entries[-8:])
            raise AssertionError(f"{self.name}: {what} did not come within {limit:g} s; newest:\n  {newest}") from None


async def eventually(check: Callable[[], bool], *, limit: float, what: str, every: float = 0.05) -> float:
    """Seconds until `check` holds. Only for what offers nothing to wait for: a port, another process."""
    begun = time.monotonic()
    while not check():
        waited = time.monotonic() - begun
        assert waited < limit, f"{what}: not within {limit:g} s"
        await asyncio.sleep(every)
    return time.monotonic() - begun
