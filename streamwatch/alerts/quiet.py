"""When a new alert stays closed: cool-downs, mutes, evidence already judged, and the rate of informational tests.

Nothing here ever holds back a rule of severity urgent, except evidence that people have already judged.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from streamwatch.alerts.base import Notes
from streamwatch.alerts.document import at_millis
from streamwatch.domain.decisions import Decision
from streamwatch.domain.streams import StreamId

Key = tuple[StreamId, str]
"""Stream and rule: what alerts are grouped by."""

INFORMATIONAL_EVERY_S = 600.0
"""Where tests do not count, one word in ten minutes tells the operator that somebody shows a test card."""
MUTE_LIMIT_S = 3600.0
"""One person may silence a rule on a stream for an hour; for longer, somebody must look again."""
MAX_MUTES = 1000
_TRUST_AFTER = timedelta(seconds=10)
"""An alarm that names only old evidence counts again when it still hits so long after the close: no silence lasts."""
_KEPT_S = 600.0
_MUTES = "mutes"


class Held(StrEnum):
    """Why an alarm opened no alert; a closed list, for a counter."""

    COOLDOWN = "cooldown"
    MUTED = "muted"
    JUDGED = "judged"
    INFORMATIONAL = "informational"
    FLOOD = "flood"


@dataclass(frozen=True, slots=True)
class _Closed:
    at: datetime
    last_seen: datetime
    until: float | None
    """Monotonic end of the cool-down."""
    forget_at: float


class QuietSpells:
    """Everything that keeps alarms from opening alerts. Times: monotonic seconds, wall instants where they persist."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._closed: dict[Key, _Closed] = {}
        self._mutes: dict[tuple[StreamId, str], datetime] = {}
        self._informed: dict[StreamId, float] = {}

    def closed(self, key: Key, *, at: datetime, last_seen: datetime, now: float, cooldown_s: float) -> None:
        """An alert closed; with `cooldown_s` 0 only the evidence already judged is remembered."""
        until = now + cooldown_s if cooldown_s > 0 else None
        self._closed[key] = _Closed(at, last_seen, until, forget_at=now + max(cooldown_s, _KEPT_S))

    def lift_cooldowns(self, stream: StreamId, *, but: Collection[str]) -> None:
        """The publication is over: whoever publishes next is another matter, and reconnecting hides nothing.

        `but`: rules whose alerts say that nothing is seen. They have nothing to hide, and reconnecting repeats them.
        """
        for key, closed in self._closed.items():
            if key[0] == stream and key[1] not in but:
                self._closed[key] = replace(closed, until=None)

    def forget(self, key: Key) -> None:
        """The alert of this stream and rule is open again."""
        self._closed.pop(key, None)

    def holds(self, key: Key, decision: Decision, *, now: float, wall: datetime, mutable: bool) -> Held | None:
        """Why this alarm opens nothing, None when it does."""
        if mutable and self._muted_until(key, wall) is not None:
            return Held.MUTED
        closed = self._closed.get(key)
        if closed is None:
            return None
        if closed.until is not None and now < closed.until:
            return Held.COOLDOWN
        return None if _fresh(decision, closed) else Held.JUDGED

    def mute(self, stream: StreamId, rule: str | None, *, until: datetime) -> bool:
        """Silence a rule, or all that may be silenced, on a stream. False: too many mutes stand already."""
        key = (stream, rule or "")
        if key not in self._mutes and len(self._mutes) >= MAX_MUTES:
            return False
        before = dict(self._mutes)
        self._mutes[key] = until
        try:
            self._keep_mutes()
        except Exception:
            self._mutes = before  # what is not durable is not in force
            raise
        return True

    def inform(self, stream: StreamId, *, now: float) -> bool:
        """Whether an informational test alert may open on this stream now; notes that it did with `informed`."""
        return now >= self._informed.get(stream, now)

    def informed(self, stream: StreamId, *, until: float) -> None:
        """An informational alert opened; the next not before `until`."""
        self._informed[stream] = until

    def until(self, key: Key, *, now: float, wall: datetime, mutable: bool) -> float | None:
        """Monotonic moment at which cool-down and mute of a stream and rule are both over; None when neither stands."""
        ends = []
        closed = self._closed.get(key)
        if closed is not None and closed.until is not None and closed.until > now:
            ends.append(closed.until)
        muted = self._muted_until(key, wall) if mutable else None
        if muted is not None:
            ends.append(now + (muted - wall).total_seconds())
        return max(ends, default=None)

    def closed_lately(self, key: Key) -> bool:
        """Whether an alert of this stream and rule closed not long ago, so that its watcher may not know."""
        return key in self._closed

    def tick(self, *, now: float, wall: datetime) -> None:
        """Forget what is over."""
        self._closed = {key: closed for key, closed in self._closed.items() if closed.forget_at > now}
        self._informed = {stream: until for stream, until in self._informed.items() if until > now}
        standing = {key: until for key, until in self._mutes.items() if until > wall}
        if len(standing) != len(self._mutes):
            self._mutes = standing
            self._keep_mutes()

    def restore(self) -> None:
        """Read the mutes back. Unreadable ones are dropped: a stream is watched rather than silenced."""
        try:
            kept = json.loads(self._notes.recall(_MUTES) or "[]")
            mutes = {
                (StreamId(str(stream)), str(rule)): datetime.fromisoformat(until)
                for stream, rule, until in kept[:MAX_MUTES]
            }
            self._mutes = {key: until for key, until in mutes.items() if until.tzinfo is not None}
        except (ValueError, TypeError, RecursionError):
            self._mutes = {}

    def _keep_mutes(self) -> None:
        mutes = [(stream, rule, until.isoformat()) for (stream, rule), until in self._mutes.items()]
        self._notes.remember(_MUTES, json.dumps(mutes) if mutes else None)

    def _muted_until(self, key: Key, wall: datetime) -> datetime | None:
        ends = [self._mutes.get(key), self._mutes.get((key[0], ""))]
        return max((end for end in ends if end is not None and end > wall), default=None)


def _fresh(decision: Decision, closed: _Closed) -> bool:
    """Whether an alarm rests on frames that the closed alert did not know."""
    if decision.hits:
        if at_millis(decision.hits[0].at) > closed.last_seen:
            return True
    elif decision.first_seen is not None and at_millis(decision.first_seen.at) > closed.last_seen:
        return True
    return decision.last_seen is not None and decision.last_seen.at > closed.at + _TRUST_AFTER
