"""A reader that plays a script."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import Enum, auto

from streamwatch.domain.errors import StreamError
from streamwatch.domain.media import MediaInfo, Packet
from streamwatch.sources.base import PacketSink


class Hold(Enum):
    """Steps that wait."""

    FOR_EVER = auto()
    """Silence until cancelled."""
    TURN = auto()
    """Let the event loop go round once."""


Step = MediaInfo | Packet | int | StreamError | Hold
"""Opened, put, skipped bytes, raised, waited."""


class FakeReader:
    """Does what the script says, then returns: the server said that the stream ended."""

    def __init__(self, script: Iterable[Step]) -> None:
        self._script = script
        self.cancelled = False
        self._unbroken = False

    async def run(self, sink: PacketSink) -> None:
        try:
            for step in self._script:
                await self._play(step, sink)
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def _play(self, step: Step, sink: PacketSink) -> None:
        match step:
            case MediaInfo():
                sink.opened(step)
            case Packet():
                self._unbroken = step.key or (self._unbroken and sink.appetite().everything)
                if self._unbroken:
                    sink.put(step)
                else:
                    sink.skipped(step.size)
            case int():
                sink.skipped(step)
            case StreamError():
                raise step
            case Hold.FOR_EVER:
                await asyncio.Event().wait()
            case Hold.TURN:
                await asyncio.sleep(0)
