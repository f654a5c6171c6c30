"""One watcher in reserve: started, locked down and with everything imported, so that a lost one is replaced at once.

A cold start costs a second or two of processor time on a busy machine, just when a watcher is missing. The spare has
seen no stream and no configuration, so whatever broke the others cannot have reached it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LinkError, OutsideError
from streamwatch.fleet.base import Command
from streamwatch.fleet.process import WatcherProcess

log = structlog.get_logger(__name__)

_AGAIN_S = 10.0
"""After a spare that died in reserve."""
_HAND_OVER_S = 1.0


class Spare:
    """Keeps one spare watcher while `run` runs."""

    def __init__(self, *, command: Command, clock: Clock) -> None:
        self._command = command
        self._clock = clock
        self._wanted = asyncio.Event()
        self._process: WatcherProcess | None = None
        self._idling: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the spare, if there is one."""
        return self._process.pid if self._process else None

    def want(self) -> None:
        """Have a spare from now on: called when nothing more urgent is being started."""
        self._wanted.set()

    async def renew(self, command: Command) -> None:
        """Keep one that was started so from now on; the one at hand is ended."""
        self._command = command
        process = await self.take()
        if process is not None:
            await process.stop(ask_s=1.0)
            self._wanted.set()

    async def take(self) -> WatcherProcess | None:
        """Return the spare, if there is one; it is the caller's from now on. The next comes with the next `want`.

        Cancelled, it ends the spare, which belongs to nobody by then, and raises.
        """
        process, idling = self._process, self._idling
        if process is None or idling is None:
            return None
        self._wanted.clear()
        self._process = self._idling = None
        idling.cancel()
        try:
            await asyncio.wait([idling], timeout=_HAND_OVER_S)  # never raises what `idling` raises, only our own cancel
        except asyncio.CancelledError:
            await process.stop(ask_s=0)
            raise
        if idling.done():
            return process
        await process.stop(ask_s=0)  # two would listen to it
        return None

    async def run(self) -> None:
        """Keep a spare until cancelled."""
        while True:
            await self._wanted.wait()
            try:
                process = await WatcherProcess.start(self._command, name="watcher-spare", clock=self._clock)
            except OutsideError as error:
                log.warning("no spare watcher", why=str(error))
                await self._clock.sleep(_AGAIN_S)
                continue
            idling = asyncio.create_task(_idle(process), name="watcher-spare-idle")
            self._process, self._idling = process, idling
            try:
                await asyncio.wait([idling])
            finally:
                taken = self._process is not process
                if not taken:
                    self._process = self._idling = None
                    idling.cancel()
                    how = await process.stop(ask_s=1.0)
                    log.info("spare watcher ended", how=how)
            if not taken:
                await self._clock.sleep(_AGAIN_S)


async def _idle(process: WatcherProcess) -> None:
    """Take its beats off the link until it is needed, or dead."""
    with suppress(LinkError):
        while True:
            await process.link.receive()
