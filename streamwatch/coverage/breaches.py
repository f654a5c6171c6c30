"""A promise that is being broken: when it began, and how it ended. Pure.

This is the live commentary: it speaks about a second after the deadline, and may be wrong about a frame that is
reported late. What is counted is decided by the settled books.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from streamwatch.domain.streams import Reason, StreamId

SHORT_S = 1.0
"""A breach that is over sooner is counted and not told: key pictures come a little early or late all the time."""


@dataclass(frozen=True, slots=True)
class BreachEvent:
    """One thing to tell. Monotonic seconds."""

    event: Literal["begun", "ended"]
    stream: StreamId
    session: str
    reason: Reason
    """Of its first second: what broke the promise."""
    started: float
    """When the newest examined frame became older than `max_gap_s`, as it was known when this was told first."""
    ended: float | None
    """Arrival of the frame that ended it, or the end of the stream."""
    uncovered_s: float
    """As it is known now: less than from `started` to `ended` where a frame that was reported late shows that."""
    max_gap_s: float
    worst_gap_s: float
    """From the newest examined frame before it to the one that ended it, or to now."""
    began_at: float | None = None
    """`started` in seconds since the epoch, as the clock said when this was told first: with stream and session its
    name. None where the books know no such clock."""


OnBreach = Callable[[BreachEvent], None]
WallOf = Callable[[float], float]
"""From a monotonic moment to seconds since the epoch, as the clock says now: asked again, it may say something else."""


@dataclass(slots=True)
class Breach:
    """One stream's breach while it lasts."""

    started: float
    """As it is known now; a frame that is reported late moves it."""
    reason: Reason
    session: str
    max_gap_s: float
    watched_until: float
    """Arrival of the newest examined frame before it, or the beginning of the live time."""
    told: float
    """`started` as it is told: it stays, or nobody could tell which end belongs to which beginning."""
    began_at: float | None
    """The same in seconds since the epoch."""

    def begun(self, stream: StreamId, now: float) -> BreachEvent:
        """Say that it began and lasts."""
        return self._event("begun", stream, now, None)

    def ended(self, stream: StreamId, at: float) -> BreachEvent:
        """Say that it is over. A frame that is reported late can show that it never was: then it lasted no time."""
        at = max(at, self.started)
        return self._event("ended", stream, at, at)

    def _event(
        self, event: Literal["begun", "ended"], stream: StreamId, until: float, ended: float | None
    ) -> BreachEvent:
        lasted = max(until - self.started, 0.0)
        return BreachEvent(
            event=event,
            stream=stream,
            session=self.session,
            reason=self.reason,
            started=self.told,
            ended=ended,
            uncovered_s=lasted,
            max_gap_s=self.max_gap_s,
            worst_gap_s=max(until - self.watched_until, 0.0),
            began_at=self.began_at,
        )
