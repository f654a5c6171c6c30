"""A demand from outside as a value, and as the ledger keeps it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from streamwatch.domain.streams import AgeBand, StreamId

LIMIT_S = 24 * 3600.0
"""No demand that is read back stands for longer, whatever a clock did meanwhile."""
BASE = {AgeBand.UNKNOWN: 0.0, AgeBand.ADULT: 0.0, AgeBand.MIXED: 0.125, AgeBand.MINOR: 0.25}
"""What the age band in a signal asks for at least: at the usual gaps (10 s and 500 ms) 1.5 and 2.1 times the looks."""


class DemandKind(StrEnum):
    """Who demands."""

    BOOST = "boost"
    """A person; the source is a moderator's name."""
    SIGNAL = "signal"
    """Another system."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One source's standing wish for one stream."""

    stream: StreamId
    kind: DemandKind
    source: str
    """As the broker vouches for it."""
    strength: float
    """0 … 1, as a suspicion."""
    at: datetime
    until: float
    """Monotonic seconds."""
    because: str = ""
    band: AgeBand = AgeBand.UNKNOWN

    @property
    def weight(self) -> float:
        """How hard it asks to look."""
        return max(self.strength, BASE[self.band])


def line_of(one: Demand, *, now: float, wall: datetime) -> list[str | float]:
    """A demand as the ledger keeps it: its end as an instant on the wall clock, which outlives the process."""
    until = wall + timedelta(seconds=one.until - now)
    return [one.stream, one.kind.value, one.source, one.strength, one.at.isoformat(), until.isoformat(), one.because,
            one.band.value]  # fmt: skip


def read(note: str | None, *, now: float, wall: datetime) -> Iterator[Demand]:
    """What a note says that still stands; what cannot be read is left out. `now` is monotonic."""
    try:
        lines = json.loads(note or "[]")
    except (ValueError, RecursionError):
        return
    for line in lines if isinstance(lines, list) else ():
        try:
            stream, kind, source, strength, at, until, because, band = line
            left_s = min((datetime.fromisoformat(until) - wall).total_seconds(), LIMIT_S)
            demand = Demand(
                stream=StreamId(str(stream)),
                kind=DemandKind(kind),
                source=str(source),
                strength=min(max(float(strength), 0.0), 1.0),
                at=datetime.fromisoformat(at),
                until=now + left_s,
                because=str(because),
                band=AgeBand(band),
            )
        except (ValueError, TypeError):
            continue
        if left_s > 0 and demand.at.tzinfo is not None:
            yield demand
