"""Messages that arrived and wait for the daemon: bounded, the oldest dropped and counted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from streamwatch.bus.base import Incoming


class Inbox:
    """A queue for one event loop; `put` never waits."""

    def __init__(self, limit: int) -> None:
        self._waiting: deque[Incoming] = deque()
        self._limit = limit
        self._arrived = asyncio.Event()
        self.dropped = 0

    def put(self, message: Incoming) -> None:
        """Take a message; the oldest makes room."""
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)
        self._arrived.set()

    async def messages(self) -> AsyncIterator[Incoming]:
        """Messages in order, for ever."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()
