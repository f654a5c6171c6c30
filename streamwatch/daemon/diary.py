"""Keeps the scores of single frames, where an operator asked for it: for changed rules to be tried on later.

Alerts come first: scores wait in a bounded memory, go to the ledger in small pieces off the event loop, and are given
up and counted where there are too many or the disk refuses.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Protocol

from streamwatch.daemon.setup import Setup
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.media import Scores
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.samples import Row, Scored
from streamwatch.link.messages import Sampled
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

WRITE_EVERY_S = 1.0
MAX_WAITING = 4000
"""Lines in memory: some 2 MB, or four seconds of 1,000 looks a second."""
PIECE = 100
"""Lines written at a time: an alert that is committed meanwhile waits for one piece, a few milliseconds."""
LAST_S = 5.0
"""An orderly stop waits so long for what is waiting to be written."""

Aside = Callable[[Callable[[], None]], Awaitable[None]]


class Store(Protocol):
    """Where scores are kept."""

    def keep_samples(self, rows: Sequence[Row], *, before: float, limit_bytes: int) -> None:
        """Keep these; some of those from before that moment (wall seconds), or of too many, go. Raises LedgerError."""
        ...


class Diary:
    """Event loop only; it writes in another thread."""

    def __init__(
        self,
        *,
        store: Store,
        setup: Callable[[], Setup],
        metrics: Metrics,
        health: Health,
        clock: Clock,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        """`aside` calls its argument off the loop."""
        self._store = store
        self._setup = setup
        self._dropped = metrics.dropped.labels("sample")
        self._health = health
        self._clock = clock
        self._aside = aside
        self._waiting: deque[Row] = deque()

    def note(self, message: Sampled) -> None:
        """A frame was scored. Where nothing is to be kept of it, nothing is."""
        if self._setup().keep.samples_s <= 0:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._dropped.inc()
            return
        self._waiting.append(_scored(message).row())

    async def run(self) -> None:
        """Write again and again until cancelled."""
        while True:
            await self._clock.sleep(WRITE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Write what waits, piece by piece. What the disk does not take is given up."""
        if not self._waiting and self._health.is_degraded("samples"):
            await asyncio.shield(asyncio.ensure_future(self._write([])))  # or it stood until the next stream comes
        while self._waiting:
            piece = list(islice(self._waiting, PIECE))
            for _ in piece:
                self._waiting.popleft()
            # shielded: what a stop leaves half done ends all the same
            if not await asyncio.shield(asyncio.ensure_future(self._write(piece))):
                self._dropped.inc(len(piece) + len(self._waiting))
                self._waiting.clear()

    async def finish(self) -> None:
        """Write what waits at an orderly stop, within a limit."""
        try:
            await asyncio.wait_for(self.save(), LAST_S)
        except TimeoutError:
            self._dropped.inc(len(self._waiting))
            self._waiting.clear()

    async def _write(self, piece: Sequence[Row]) -> bool:
        setup = self._setup()
        before = setup.keep.due(self._clock.now().timestamp()).samples
        try:
            await self._aside(
                lambda: self._store.keep_samples(piece, before=before, limit_bytes=setup.max_ledger),
            )
        except LedgerError as error:
            self._health.degrade("samples", f"scores of frames are not kept: {error}")
            return False
        self._health.mend("samples")
        return True


def _scored(message: Sampled) -> Scored:
    return Scored(
        at=message.at.timestamp(),
        stream=StreamId(message.stream),
        session=message.session,
        arrival=message.arrival,
        media_s=message.media_s,
        look=message.look,
        scores=tuple(Scores(line.detector, line.values) for line in message.scores),
        corrupt=message.corrupt,
        blind=message.blind,
    )
