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


NAMELESS_S = 2.0
"""Where the watcher has not said why, a breach is told so late: it judges each stream once a second, and then says."""

TRIFLE_S = 0.1
"""Less is no breach, though the time is uncovered: with keys every 2.02 s a promise of 2 s is not broken every 2 s."""

EndedBy = Literal["frame", "end", "promise"]
"""A frame was examined; the stream ended, and nobody saw it again; another promise holds."""


@dataclass(frozen=True, slots=True)
class BreachEvent:
    """One thing to tell. Monotonic seconds."""

    event: Literal["begun", "ended"]
    stream: StreamId
    session: str
    reason: Reason
    """Of its first seconds: what broke the promise."""
    started: float
    """When the newest examined frame became older than `max_gap_s`, as it was known when this was told first."""
    ended: float | None
    """Arrival of the frame that ended it, or the end of the stream."""
    uncovered_s: float
    """As it is known now: less than from `started` to `ended` where a frame that was reported late shows that."""
    max_gap_s: float
    worst_gap_s: float
    """From the newest examined frame before it to the one that ended it, or to now."""
    ended_by: EndedBy | None = None
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
    named: bool = False
    """Whether the watcher said why; else `reason` is a guess, and what it says within moments takes its place."""

    def name(self, reason: Reason, now: float) -> None:
        """The watcher says why."""
        if not self.named and now - self.started <= NAMELESS_S:
            self.reason, self.named = reason, True

    def begun(self, stream: StreamId, now: float) -> BreachEvent:
        """Say that it began and lasts."""
        return self._event("begun", stream, now, None, None)

    def ended(self, stream: StreamId, at: float, by: EndedBy) -> BreachEvent:
        """Say that it is over. A frame that is reported late can show that it never was: then it lasted no time."""
        at = max(at, self.started)
        return self._event("ended", stream, at, at, by)

    def _event(
        self,
        event: Literal["begun", "ended"],
        stream: StreamId,
        until: float,
        ended: float | None,
        by: EndedBy | None,
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
            ended_by=by,
            began_at=self.began_at,
        )
