"""On which recorded ground each private stream is watched: kept in the ledger, said in the log, published nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
from pydantic import TypeAdapter, ValidationError

from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.streams import StreamId

log = structlog.get_logger(__name__)

NOTE = "legal_bases"
_Record = dict[str, dict[str, str]]
_RECORD: TypeAdapter[_Record] = TypeAdapter(_Record)


class Notes(Protocol):
    """What is needed of the ledger."""

    def remember(self, key: str, value: str | None) -> None:
        """Keep a note. Raises LedgerError."""
        ...

    def recall(self, key: str) -> str | None:
        """Return a note, None where there is none. Raises LedgerError."""
        ...


class Bases:
    """Event loop only."""

    def __init__(self, *, notes: Notes, clock: Clock) -> None:
        self._notes = notes
        self._clock = clock
        self._said: dict[StreamId, str] = {}

    def record(self, bases: Mapping[StreamId, str], *, shown: Callable[[StreamId], str]) -> None:
        """Record the grounds that hold now, with since when; those of streams that are gone go.

        Raises LedgerError: nothing is recorded, and a private stream must not be watched.
        """
        kept = self._notes.recall(NOTE)
        try:
            before = _RECORD.validate_json(kept) if kept else {}
        except ValidationError:
            before = {}
        at = rfc3339(self._clock.now())
        after: _Record = {
            stream: was if (was := before.get(stream, {})).get("basis") == basis else {"basis": basis, "since": at}
            for stream, basis in bases.items()
        }
        if after != before or (kept and not after):
            self._notes.remember(NOTE, json.dumps(after) if after else None)
        for stream, basis in bases.items():
            if self._said.get(stream) != basis:
                log.info("private stream on a recorded legal basis", stream=shown(stream), legal_basis=basis)
        self._said = dict(bases)
