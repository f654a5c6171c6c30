"""Keeps the books over restarts: a record in the ledger every few seconds, the last one at an orderly stop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from streamwatch.coverage.books import Books
from streamwatch.domain.clock import Clock
from streamwatch.domain.coverage import BooksRecord
from streamwatch.domain.errors import LedgerError
from streamwatch.telemetry.health import Health

log = structlog.get_logger(__name__)

SAVE_EVERY_S = 5.0
"""What was examined after the last record is not remembered by a killed daemon, and so counts as uncovered."""
SAVE_EVERY_S_PER_STREAM = 0.01
"""Where there are many, records are rarer: one of 1,000 streams is 20 ms of the event loop and 15 ms of another thread,
which every ten seconds is 0.3 % of a core."""
LAST_S = 5.0
"""An orderly stop waits so long for a record that is being written."""

Aside = Callable[[Callable[[BooksRecord], None], BooksRecord], Awaitable[None]]


class BooksStore(Protocol):
    """Where records are kept."""

    def save_books(self, record: BooksRecord) -> None:
        """Keep a record over the one before. Raises LedgerError."""
        ...

    def load_books(self) -> BooksRecord | None:
        """Return the record, None where there is none. Raises LedgerError."""
        ...


class Keeper:
    """Event loop only; it writes in another thread."""

    def __init__(
        self,
        *,
        books: Books,
        store: BooksStore,
        clock: Clock,
        health: Health,
        boot: str,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        """`boot`: which run of the machine this is, empty where unknown; `aside` calls its argument off the loop."""
        self._books = books
        self._store = store
        self._clock = clock
        self._health = health
        self._boot = boot
        self._aside = aside
        self._writing: asyncio.Future[None] | None = None

    def restore(self) -> None:
        """Go on where the last record ends. Before the first stream is watched."""
        try:
            record = self._store.load_books()
        except LedgerError as error:
            log.error("the books of coverage begin anew", error=str(error))
            self._health.degrade("ledger", str(error))
            return
        if record is None:
            return
        known = self._books.restore(
            record,
            now=self._clock.monotonic(),
            wall=self._clock.now().timestamp(),
            boot=self._boot,
            new_session=lambda: secrets.token_hex(8),
        )
        log.info("books of coverage go on", streams=known)

    async def run(self) -> None:
        """Write again and again until cancelled."""
        while True:
            await self._clock.sleep(max(SAVE_EVERY_S, len(self._books) * SAVE_EVERY_S_PER_STREAM))
            await self.save()

    async def save(self) -> None:
        """Write a record now. A ledger that refuses is said; the next record holds what this one did."""
        if self._writing is not None and not self._writing.done():
            await asyncio.wait((self._writing,), timeout=LAST_S)
        record = self._books.record(self._clock.monotonic(), wall=self._clock.now().timestamp(), boot=self._boot)
        self._writing = asyncio.ensure_future(self._write(record))
        await asyncio.shield(self._writing)  # a stop must not leave half of it behind

    async def _write(self, record: BooksRecord) -> None:
        try:
            await self._aside(self._store.save_books, record)
        except LedgerError as error:
            self._health.degrade("ledger", str(error))
        else:
            self._books.recorded(record)
