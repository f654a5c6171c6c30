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
from streamwatch.domain.decisions import Decision
from streamwatch.domain.streams import StreamId

Key = tuple[StreamId, str]
"""Stream and rule: what alerts are grouped by."""

INFORMATIONAL_EVERY_S = 600.0
"""Where tests do not count, one word in ten minutes tells the operator that somebody shows a test card."""
MUTE_LIMIT_S = 3600.0
"""One person may silence a rule on a stream for an hour; for longer, somebody must look again."""
MAX_MUTES = 1000
_TRUST_AFTER_S = 10.0
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
    """Monotonic throughout: the wall clock may be set at any time, and no alarm may be held back by that."""

    at: float
    known: float
    """Arrival of the newest frame that the alert rested on; what arrived later is new."""
    until: float | None
    """End of the cool-down."""
    forget_at: float


@dataclass(frozen=True, slots=True)
class _Mute:
    until: datetime
    """As it is kept for after a restart."""
    ends: float
    """Monotonic: what counts."""


class QuietSpells:
    """Everything that keeps alarms from opening alerts. Times: monotonic seconds; wall instants only to be kept."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._closed: dict[Key, _Closed] = {}
        self._mutes: dict[tuple[StreamId, str], _Mute] = {}
        self._informed: dict[StreamId, float] = {}

    def closed(self, key: Key, *, known: float | None, now: float, cooldown_s: float, age_s: float = 0.0) -> None:
        """An alert closed `age_s` ago; with `cooldown_s` 0 only the evidence already judged is remembered.

        `known`: arrival of the newest frame that it rested on; None: as remembered of its close before, or now.
        """
        if known is None:
            known = self._closed[key].known if key in self._closed else now
        until = now + cooldown_s if cooldown_s > 0 else None
        self._closed[key] = _Closed(now - age_s, known, until, forget_at=now + max(cooldown_s, _KEPT_S))

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

    def holds(self, key: Key, decision: Decision, *, now: float, mutable: bool, raised: bool = False) -> Held | None:
        """Why this alarm opens nothing, None when it does. `raised`: graver than its rule, it waits for nothing."""
        if mutable and self._muted_until(key, now) is not None:
            return Held.MUTED
        closed = self._closed.get(key)
        if closed is None:
            return None
        if closed.until is not None and now < closed.until and not raised:
            return Held.COOLDOWN
        return None if _fresh(decision, closed) else Held.JUDGED

    def mute(self, stream: StreamId, rule: str | None, *, for_s: float, now: float, wall: datetime) -> bool:
        """Silence a rule, or all that may be silenced, on a stream. False: too many mutes stand already."""
        key = (stream, rule or "")
        if key not in self._mutes and len(self._mutes) >= MAX_MUTES:
            return False
        before = dict(self._mutes)
        self._mutes[key] = _Mute(wall + timedelta(seconds=for_s), now + for_s)
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

    def until(self, key: Key, *, now: float, mutable: bool) -> float | None:
        """Monotonic moment at which cool-down and mute of a stream and rule are both over; None when neither stands."""
        ends = []
        closed = self._closed.get(key)
        if closed is not None and closed.until is not None and closed.until > now:
            ends.append(closed.until)
        muted = self._muted_until(key, now) if mutable else None
        if muted is not None:
            ends.append(muted)
        return max(ends, default=None)

    def closed_lately(self, key: Key) -> bool:
        """Whether an alert of this stream and rule closed not long ago, so that its watcher may not know."""
        return key in self._closed

    def tick(self, *, now: float) -> None:
        """Forget what is over."""
        self._closed = {key: closed for key, closed in self._closed.items() if closed.forget_at > now}
        self._informed = {stream: until for stream, until in self._informed.items() if until > now}
        standing = {key: mute for key, mute in self._mutes.items() if mute.ends > now}
        if len(standing) != len(self._mutes):
            self._mutes = standing
            self._keep_mutes()

    def restore(self, *, now: float, wall: datetime) -> None:
        """Read the mutes back. Unreadable ones are dropped: a stream is watched rather than silenced.

        None lasts longer than the limit from here on, wherever the wall clock stood when it began.
        """
        try:
            kept = json.loads(self._notes.recall(_MUTES) or "[]")
            self._mutes = {}
            for stream, rule, said in kept[:MAX_MUTES]:
                until = datetime.fromisoformat(said)
                if until.tzinfo is not None:
                    left = min((until - wall).total_seconds(), MUTE_LIMIT_S)
                    self._mutes[StreamId(str(stream)), str(rule)] = _Mute(until, now + left)
        except (ValueError, TypeError, RecursionError):
            self._mutes = {}

    def _keep_mutes(self) -> None:
        mutes = [(stream, rule, mute.until.isoformat()) for (stream, rule), mute in self._mutes.items()]
        self._notes.remember(_MUTES, json.dumps(mutes) if mutes else None)

    def _muted_until(self, key: Key, now: float) -> float | None:
        mutes = [self._mutes.get(key), self._mutes.get((key[0], ""))]
        return max((mute.ends for mute in mutes if mute is not None and mute.ends > now), default=None)


def _fresh(decision: Decision, closed: _Closed) -> bool:
    """Whether an alarm rests on frames that the closed alert did not know."""
    first = decision.hits[0] if decision.hits else decision.first_seen
    if first is not None and first.arrival > closed.known:
        return True
    return decision.last_seen is not None and decision.last_seen.arrival > closed.at + _TRUST_AFTER_S
