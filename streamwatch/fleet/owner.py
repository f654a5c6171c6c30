"""The contract between a slot and the fleet that it belongs to."""

from __future__ import annotations

from typing import Protocol

from streamwatch.fleet.base import Report
from streamwatch.fleet.process import WatcherProcess
from streamwatch.link.messages import Configure, Ready


class SlotOwner(Protocol):
    """What a slot needs from the fleet."""

    def configuration(self) -> Configure:
        """What a watcher that starts now is told first."""
        ...

    async def new_watcher(self, name: str) -> WatcherProcess:
        """A watcher that nobody has configured. Raises OutsideError."""
        ...

    async def slot_ready(self, slot: int, ready: Ready) -> None:
        """A new watcher can be given its streams."""
        ...

    async def slot_said(self, slot: int, message: Report) -> None:
        """A report."""
        ...

    async def slot_lost(self, slot: int, reason: str, unfinished: tuple[int, ...], lived_s: float) -> bool:
        """The watcher is gone; `unfinished` are the epochs of the looks in progress, `lived_s` how long it was ready.

        Whether its next life will be different from this one: then there is no reason to wait for long.
        """
        ...
