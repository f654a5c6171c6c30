"""Which streams may not be looked at for a while, because looking at them broke watchers. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from streamwatch.domain.streams import StreamId

DELAYS_S = (10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0)
"""Growing with each time; the last one stays."""
MEMORY_S = 1800.0
"""A stream that broke nothing for so long after its release starts anew."""
_MAX_RECORDS = 10_000

_GRAVE = frozenset(f"signal:SIG{name}" for name in ("SEGV", "BUS", "ILL", "FPE", "ABRT", "SYS")) | {"hung"}


def is_grave(reason: str) -> bool:
    """Whether a watcher lost for this reason was broken by what it looked at.

    Others (killed, exit, silent, violation) are as likely somebody else's doing: they count as a suspicion.
    """
    return reason in _GRAVE


@dataclass(frozen=True, slots=True)
class _Record:
    times: int = 0
    """Of being quarantined."""
    strikes: int = 0
    """Suspicions since the last time."""
    until: float | None = None
    last: float = 0.0


class Quarantine:
    """Suspects in, streams to leave alone out. Time is monotonic seconds, given by the caller."""

    def __init__(self, delays_s: tuple[float, ...] = DELAYS_S) -> None:
        self._delays = delays_s
        self._records: dict[StreamId, _Record] = {}

    def blame(self, suspects: Collection[StreamId], *, grave: bool, now: float) -> dict[StreamId, float]:
        """A watcher was lost while it looked at these streams; returns those that must wait, and until when.

        The only suspect of a grave loss waits at once, everyone else from the second suspicion.
        """
        waiting: dict[StreamId, float] = {}
        for stream in suspects:
            record = self._fresh(stream, now)
            if not (grave and len(suspects) == 1) and record.strikes == 0:
                self._records[stream] = replace(record, strikes=1, last=now)
                continue
            delay = self._delays[min(record.times, len(self._delays) - 1)]
            self._records[stream] = _Record(times=record.times + 1, until=now + delay, last=now + delay)
            waiting[stream] = now + delay
        self._forget(now)
        return waiting

    def until(self, stream: StreamId) -> float | None:
        """When a stream may be looked at again; None: it may be now."""
        record = self._records.get(stream)
        return record.until if record else None

    def freed(self, now: float) -> tuple[StreamId, ...]:
        """Streams whose time is over, each told once."""
        over = [s for s, record in self._records.items() if record.until is not None and record.until <= now]
        for stream in over:
            self._records[stream] = replace(self._records[stream], until=None)
        return tuple(over)

    def _fresh(self, stream: StreamId, now: float) -> _Record:
        record = self._records.get(stream, _Record())
        return record if now - record.last <= MEMORY_S else _Record()

    def _forget(self, now: float) -> None:
        self._drop(s for s, record in self._records.items() if record.until is None and now - record.last > MEMORY_S)
        if len(self._records) > _MAX_RECORDS:
            self._drop(list(self._records)[: len(self._records) - _MAX_RECORDS])

    def _drop(self, streams: Iterable[StreamId]) -> None:
        for stream in tuple(streams):
            del self._records[stream]
