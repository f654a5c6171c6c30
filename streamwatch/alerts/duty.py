"""Who is there to see alerts. An alert that nobody sees protects nobody."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from streamwatch.alerts.base import Answer, Notes, Result
from streamwatch.alerts.verdicts import shown_name
from streamwatch.domain.alerts import Expect
from streamwatch.domain.clock import Clock

GRACE_S = 60.0
"""A change of shift takes a moment."""
MAX_PEOPLE = 256
_NOTE = "on_duty"


class Duty:
    """Moderators on duty, each until a moment of their own; remembered over restarts."""

    def __init__(self, *, notes: Notes, clock: Clock) -> None:
        self._notes = notes
        self._clock = clock
        self._until: dict[str, float] = {}
        """Monotonic: setting the wall clock sends nobody home."""
        self._ever = False
        self._alone_since: float | None = None

    def restore(self) -> None:
        """Take up who was there. What cannot be read is nobody. Raises LedgerError."""
        kept = self._notes.recall(_NOTE)
        self._ever = kept is not None
        now, wall = self._clock.monotonic(), self._clock.now()
        try:
            people = {
                str(who): (datetime.fromisoformat(until) - wall).total_seconds()
                for who, until in json.loads(kept or "{}").items()
            }
        except (ValueError, TypeError, AttributeError, RecursionError):
            return
        self._until = {who: now + left for who, left in people.items() if left > 0}

    def set(self, moderator: str, for_s: float) -> Answer:
        """A moderator is there for so long; 0: leaves. Raises LedgerError."""
        name = shown_name(moderator)
        if not name:
            return Answer(Result.REFUSED, "say who is on duty")
        now = self._clock.monotonic()
        people = {who: until for who, until in self._until.items() if until > now and who != name}
        if for_s > 0:
            if len(people) >= MAX_PEOPLE:
                return Answer(Result.REFUSED, f"{MAX_PEOPLE} people are on duty already")
            people[name] = now + for_s
        wall = self._clock.now()
        kept = {who: (wall + timedelta(seconds=until - now)).isoformat() for who, until in people.items()}
        self._notes.remember(_NOTE, json.dumps(kept))
        self._until, self._ever = people, True
        return Answer(Result.DONE)

    @property
    def people(self) -> tuple[str, ...]:
        """Who is there now."""
        now = self._clock.monotonic()
        return tuple(who for who, until in self._until.items() if until > now)

    def trouble(self, *, live: int, expect: Expect) -> str:
        """That streams are live and nobody is there, in words; empty where all is well or nobody is expected."""
        wanted = expect is Expect.EXPECTED or (expect is Expect.AUTO and self._ever)
        now = self._clock.monotonic()
        if not wanted or not live or self.people:
            self._alone_since = None
            return ""
        if self._alone_since is None:
            self._alone_since = now
        if now - self._alone_since < GRACE_S:
            return ""
        return f"nobody is on duty while {live} streams are live"
