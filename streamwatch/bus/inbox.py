"""Messages that arrived and wait for the daemon: bounded, the oldest dropped and counted.

They wait in lanes, so that a flood of one kind drops and delays nothing of another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from streamwatch.bus.base import Incoming

MAX_LANES = 64
"""Lanes with messages in them; what belongs to yet another one shares the last."""
MAX_KIN = 24
"""Of one kind, which is a lane's name up to its first `/`: who invents names takes no lane from others."""
_SHARED = "\0shared"


def one_lane(_topic: str) -> str:
    """All in order of arrival."""
    return ""


class Inbox:
    """A queue for one event loop; `put` never waits."""

    def __init__(self, limit: int, *, lane: Callable[[str], str] = one_lane) -> None:
        """`limit`: messages in one lane; `lane`: the lane of a topic."""
        self._lanes: dict[str, deque[Incoming]] = {}
        self._lane = lane
        self._limit = limit
        self._arrived = asyncio.Event()
        self.dropped = 0

    def put(self, message: Incoming) -> None:
        """Take a message; the oldest of its lane makes room."""
        name = self._room(self._lane(message.topic))
        waiting = self._lanes.setdefault(name, deque())
        if len(waiting) >= self._limit:
            waiting.popleft()
            self.dropped += 1
        waiting.append(message)
        self._arrived.set()

    def _room(self, name: str) -> str:
        """The lane that a message goes to which belongs in this one."""
        if name in self._lanes:
            return name
        if len(self._lanes) >= MAX_LANES:
            return _SHARED
        kind, slash, _ = name.partition("/")
        start = kind + slash
        if slash and sum(one.startswith(start) for one in self._lanes) >= MAX_KIN:
            return start + _SHARED
        return name

    async def messages(self) -> AsyncIterator[Incoming]:
        """Messages for ever: in order within a lane, one of each lane in turn."""
        while True:
            while self._lanes:
                name = next(iter(self._lanes))
                waiting = self._lanes.pop(name)
                message = waiting.popleft()
                if waiting:
                    self._lanes[name] = waiting  # behind the others
                yield message
            self._arrived.clear()
            await self._arrived.wait()
