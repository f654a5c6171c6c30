"""What is known of one stream: how it stands now, and what was settled of it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from streamwatch.coverage.breaches import NAMELESS_S, TRIFLE_S, Breach, WallOf
from streamwatch.coverage.rings import NOTHING, Rings, Sums
from streamwatch.coverage.timeline import Mark, Timeline
from streamwatch.domain.streams import Reason, State, StreamState

PATIENCE_S = 1.0
"""What is read now is judged so far behind the present: decoding, scoring and reporting take less than this on a
machine that keeps up; else it is overload anyway."""

_SAME_S = 1e-6
"""Spans that touch may differ by a rounding of book time."""


@dataclass(slots=True)
class Account:
    """One stream. Monotonic seconds."""

    line: Timeline
    max_gap_s: float
    origin: str
    state: StreamState
    live_since: float | None = None
    ended: bool = False
    reason: Reason | None = None
    detail: str = ""
    unnamed: Reason = Reason.OVERLOAD
    """The reason where the watcher names none."""
    session: str = ""
    seen: bool = False
    """Whether a frame was examined in this session."""
    promised_at: float = -math.inf
    """Since when `max_gap_s` is the promise."""
    gap_s: float | None = None
    live_s: float = 0.0
    uncovered_s: dict[Reason, float] = field(default_factory=dict)
    uncovered_until: float = -math.inf
    """End of the newest settled span that is not covered."""
    rings: Rings = field(default_factory=Rings)
    breach: Breach | None = None
    due: float | None = None
    """When it is to be judged next though nothing is said of it."""

    @property
    def fault(self) -> Reason:
        """Whose fault an uncovered second is now."""
        return self.reason or self.unnamed

    @property
    def deadline(self) -> float | None:
        """When the promise breaks unless a frame is examined before."""
        return None if self.live_since is None else self.line.watched_since + self.max_gap_s

    def mark(self, now: float) -> None:
        """Note for the books what holds from now on."""
        self.line.mark(Mark(now, self.live_since, self.fault, self.max_gap_s))

    def judged(self, now: float) -> tuple[State, Reason | None]:
        """How the stream stands now."""
        deadline = self.deadline
        if self.ended:
            return State.ENDED, self.reason
        if deadline is None:
            return State.CONNECTING, self.reason or Reason.CONNECTING
        if self.reason is not None:
            return State.UNCOVERED, self.reason
        if now > deadline + PATIENCE_S:
            return State.UNCOVERED, self.unnamed
        if not self.seen:
            return State.CONNECTING, Reason.CONNECTING
        return State.COVERED, None

    def broken(self, deadline: float, wall: WallOf | None, now: float) -> Breach:
        """The breach that began at this deadline, or when the promise was made that it breaks."""
        started = max(deadline, self.promised_at)
        return Breach(
            started=started,
            reason=self.fault if now - started <= NAMELESS_S + PATIENCE_S else self.line.reason_at(started),
            session=self.session,
            max_gap_s=self.max_gap_s,
            watched_until=deadline - self.max_gap_s,
            told=started,
            began_at=wall(started) if wall else None,
            named=self.reason is not None,
        )

    def open_part(self, until: float) -> Sums:
        """What is not settled yet, as it looks now."""
        spans = self.line.spans(until)
        if not spans:
            return NOTHING
        live = uncovered = 0.0
        breaches, before = 0, self.uncovered_until
        for start, end, reason in spans:
            live += end - start
            if reason is not None:
                uncovered += end - start
                breaches += start > before + _SAME_S and end - start >= TRIFLE_S - _SAME_S
                before = end
        return Sums(live, uncovered, breaches)
