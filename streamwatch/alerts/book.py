"""The open alerts in hand: taken up from the ledger, added, found, closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from streamwatch.alerts import ulid
from streamwatch.alerts.base import DeskRule, Store
from streamwatch.alerts.quiet import Key, QuietSpells
from streamwatch.alerts.remembering import cools, remember_closed, remember_informed
from streamwatch.alerts.unseen import Unseen
from streamwatch.alerts.voice import Entry, Voice, read
from streamwatch.domain.alerts import CloseReason, Event
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import NODE, StreamId

_LOOK_BACK_S = 24 * 3600.0
"""Closed alerts that somebody may still be called for after a restart: `alerts.escalate` allows no longer wait."""


class Book:
    """At most one open alert per stream and rule. What the store refuses to close stays open and is tried again."""

    def __init__(
        self,
        *,
        store: Store,
        quiet: QuietSpells,
        voice: Voice,
        unseen: Unseen,
        clock: Clock,
        rules: Mapping[str, DeskRule],
    ) -> None:
        """`rules` is the desk's own, and changes with it."""
        self._store = store
        self._quiet = quiet
        self._voice = voice
        self._unseen = unseen
        self._clock = clock
        self._rules = rules
        self._open: dict[Key, Entry] = {}
        self._closing: dict[Key, CloseReason] = {}
        self.closed_lately: list[Entry] = []
        """Alerts that had closed within a day when the daemon began."""
        self.restanding: set[StreamId] = set()
        """Streams whose standing changed and whose watchers have not been told."""

    @property
    def entries(self) -> list[Entry]:
        """The open alerts; a list of its own, so that they may close while it is walked."""
        return list(self._open.values())

    def at(self, key: Key) -> Entry | None:
        """The open alert of a stream and rule."""
        return self._open.get(key)

    def find(self, alert_id: str) -> Entry | None:
        """An alert by its name: in hand where it is open, from the ledger where it is closed."""
        for entry in self._open.values():
            if entry.alert.id == alert_id:
                return entry
        alert = self._store.find(alert_id)
        return None if alert is None or alert.open else read(alert)

    def add(self, entry: Entry) -> None:
        """Take up an alert that has just been opened, or opened again."""
        self._open[entry.key] = entry
        self._quiet.forget(entry.key)
        self._voice.schedule(entry)
        if entry.alert.stream != NODE:
            self.restanding.add(entry.alert.stream)

    def restore(self) -> None:
        """Take up what the ledger holds: open alerts, and what closed ones still mean."""
        now = self._clock.monotonic()
        for alert in self._store.alerts(open_only=True):
            entry = read(alert)
            if entry is None:
                continue
            entry.spoken_at = entry.arrival = now
            entry.waits_since = now - max(self._clock.now().timestamp() - waits_since(entry), 0.0)
            entry.began = now - max(self._clock.now().timestamp() - ulid.seconds(alert.id), 0.0)
            self._open[entry.key] = entry
            self._voice.schedule(entry)
            remember_informed(self._quiet, entry, stream=alert.stream, now=now, age_s=0.0)
        for alert in self._store.closed_since(self._clock.now().timestamp() - _LOOK_BACK_S):
            entry = read(alert)
            if entry is not None:
                entry.waits_since = now - max(self._clock.now().timestamp() - waits_since(entry), 0.0)
                self._voice.schedule(entry)
                self._unseen.closed(entry)
                self.closed_lately.append(entry)
        remember_closed(self._store, self._quiet, rules=self._rules, clock=self._clock, open_keys=self._open)

    def close_all(self, of: Callable[[StreamId], bool], reason: CloseReason) -> None:
        """Close every alert on the streams meant. Raises LedgerError; `close_due` tries again."""
        for key in self._open:
            if of(key[0]):
                self._closing[key] = reason
        self.close_due()

    def close(self, entry: Entry, reason: CloseReason, *, still_live: bool, **changes: Any) -> None:
        """Close one alert. Raises LedgerError, and then it is open still."""
        self._voice.speak(entry, Event.CLOSED, open_=False, still_live=still_live, close_reason=reason, **changes)
        self._open.pop(entry.key, None)
        self._closing.pop(entry.key, None)
        self._unseen.closed(entry)
        self.cool_down(entry, reason)

    def close_due(self, only: Key | None = None) -> None:
        """Close what is to be closed; every one is tried before the first failure is raised. `only`: of this key."""
        failure: LedgerError | None = None
        for key, reason in list(self._closing.items()):
            if only is not None and key != only:
                continue
            entry = self._open.get(key)
            if entry is None:
                del self._closing[key]
                continue
            try:
                self.close(entry, reason, still_live=False)
            except LedgerError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def cool_down(self, entry: Entry, reason: CloseReason) -> None:
        """Begin what follows a close: a cool-down where the rule and the reason have one, evidence that was judged."""
        alert = entry.alert
        rule = self._rules.get(alert.rule)
        self._quiet.closed(
            entry.key,
            known=entry.arrival,
            now=self._clock.monotonic(),
            cooldown_s=rule.spec.cooldown_s
            if rule and cools(alert, reason, entry.document.human, rule=rule.spec.severity)
            else 0.0,
        )
        if alert.stream != NODE:
            self.restanding.add(alert.stream)


def waits_since(entry: Entry) -> float:
    """Wall seconds since the epoch at which somebody should have begun to look: opened, raised, or judged anew."""
    document = entry.document
    stamps = [document.human.at if document.human else None, document.raised.at if document.raised else None]
    return max(ulid.seconds(entry.alert.id), *(datetime.fromisoformat(at).timestamp() for at in stamps if at), 0.0)
