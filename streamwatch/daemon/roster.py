"""Which streams shall be watched now: the difference between what was and what is, applied to fleet, books and desk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from streamwatch.alerts.desk import AlertDesk
from streamwatch.coverage.books import Books
from streamwatch.daemon.demands import Demands
from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Standing
from streamwatch.domain.errors import LedgerError, StreamError
from streamwatch.domain.streams import StreamId, StreamSpec

log = structlog.get_logger(__name__)


class Watchers(Protocol):
    """What the roster needs of the fleet."""

    def watch(self, spec: StreamSpec, standing: Sequence[Standing] | None = None) -> int:
        """Watch a stream, or go on with changed settings. Raises StreamError where it cannot be done."""
        ...

    def release(self, stream: StreamId) -> None:
        """Stop watching."""
        ...


class Roster:
    """The streams of this node. Event loop only."""

    def __init__(
        self, *, watchers: Watchers, books: Books, desk: AlertDesk, demands: Demands, clock: Clock, limit: int
    ) -> None:
        self._watchers = watchers
        self._books = books
        self._desk = desk
        self._demands = demands
        self._clock = clock
        self._limit = limit
        self._specs: dict[StreamId, StreamSpec] = {}
        self.changes = 0
        """Grows with every change of the streams: what was derived from them may be out of date."""
        self.left_out = 0
        """Streams over `limits.max_streams`: not watched, and said so."""

    def apply(self, wanted: Iterable[StreamSpec]) -> tuple[StreamId, ...]:
        """Watch exactly these streams from now on; unchanged ones are not touched. Returns the streams let go."""
        specs = {spec.id: spec for spec in wanted}
        kept = dict(list(specs.items())[: self._limit])
        self.left_out = len(specs) - len(kept)
        gone = tuple(stream for stream in self._specs if stream not in kept)
        now = self._clock.monotonic()
        self.changes += 1
        for stream in gone:
            del self._specs[stream]
            self._watchers.release(stream)
            self._books.forget(stream, now)
            self._demands.forget(stream)
            try:
                self._desk.gone(stream)
            except LedgerError as error:
                log.error("the end of a stream's alerts waits for the ledger", error=str(error))
        for spec in kept.values():
            if self._specs.get(spec.id) == spec:
                continue
            self._specs[spec.id] = spec
            self._books.watch(spec.id, max_gap_s=spec.sampling.max_gap_s, now=now, origin=spec.origin)
            self._demands.watch(spec.id)
            try:
                self._watchers.watch(spec, self._desk.standing_of(spec.id))
            except StreamError as error:
                self._books.level(
                    spec.id, session="", live=False, ended=False, reason=error.reason, detail=str(error), now=now
                )
                log.error("stream cannot be watched", stream=spec.name, reason=error.reason.value, error=str(error))
        return gone

    def get(self, stream: StreamId) -> StreamSpec | None:
        """A stream's settings, None where it is not on the roster."""
        return self._specs.get(stream)

    def __contains__(self, stream: StreamId) -> bool:
        return stream in self._specs

    def __iter__(self) -> Iterator[StreamSpec]:
        return iter(tuple(self._specs.values()))

    def __len__(self) -> int:
        return len(self._specs)
