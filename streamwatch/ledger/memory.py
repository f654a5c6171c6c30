"""A ledger that lasts as long as its process: for one stream examined by hand, for `demo`, and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamwatch.domain.alerts import Alert, AlertEvent
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LedgerError
from streamwatch.ledger.base import Backlog

_Key = tuple[str, int]


class MemoryLedger:
    """Keeps the promises of `Ledger` but durability. One thread at a time."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._alerts: dict[str, Alert] = {}
        self._events: dict[_Key, AlertEvent] = {}
        self._committed: dict[_Key, float] = {}
        self._offered: set[_Key] = set()
        self._acknowledged: dict[_Key, float] = {}
        self._notes: dict[str, str] = {}
        self._seen: dict[str, tuple[str, bytes, float]] = {}

    def commit(self, alert: Alert, event: AlertEvent) -> None:
        """Store the alert's new state and its event. Raises LedgerError where `seq` is not the next."""
        before = self._alerts.get(alert.id)
        if event.seq != alert.seq or event.seq != (before.seq if before else 0) + 1:
            raise LedgerError(f"event {event.seq} of alert {alert.id} does not follow")
        self._alerts[alert.id] = alert
        key = (event.alert_id, event.seq)
        self._events[key] = event
        self._committed[key] = self._wall()

    def alerts(self, *, open_only: bool = True) -> Sequence[Alert]:
        """Alerts, oldest first."""
        return tuple(alert for alert in self._alerts.values() if alert.open or not open_only)

    def find(self, alert_id: str) -> Alert | None:
        """One alert, open or closed."""
        return self._alerts.get(alert_id)

    def closed_since(self, at: float) -> Sequence[Alert]:
        """Closed alerts that changed at or after `at` (wall seconds)."""
        return tuple(alert for alert in self._alerts.values() if not alert.open and alert.changed_at >= at)

    def pending(self, limit: int = 100) -> Sequence[AlertEvent]:
        """Events not yet acknowledged, in order of commit."""
        return tuple(event for key, event in self._events.items() if key not in self._acknowledged)[:limit]

    def offer(self, alert_id: str, seq: int, body: str) -> None:
        """Fix an event's body for ever. Raises LedgerError where it is unknown or was offered with another body."""
        event = self._known(alert_id, seq)
        if (alert_id, seq) in self._offered:
            if event.body != body:
                raise LedgerError(f"event {seq} of alert {alert_id} was offered with another body")
            return
        self._offered.add((alert_id, seq))
        self._events[alert_id, seq] = replace(event, body=body)

    def acknowledged(self, alert_id: str, seq: int, *, at: float) -> None:
        """The broker has it. Raises LedgerError where the event is unknown."""
        self._known(alert_id, seq)
        self._acknowledged[alert_id, seq] = at

    def acknowledged_since(self, at: float) -> Sequence[AlertEvent]:
        """Events acknowledged at or after `at` (wall seconds), in order of commit."""
        return tuple(event for key, event in self._events.items() if self._acknowledged.get(key, at - 1) >= at)

    def backlog(self) -> Backlog:
        """What is owed."""
        owed = [self._committed[key] for key in self._events if key not in self._acknowledged]
        return Backlog(len(owed), max(self._wall() - min(owed), 0.0) if owed else 0.0)

    def remember(self, key: str, value: str | None) -> None:
        """Keep a note; None forgets it."""
        if value is None:
            self._notes.pop(key, None)
        else:
            self._notes[key] = value

    def recall(self, key: str) -> str | None:
        """The note kept."""
        return self._notes.get(key)

    def seen(self, request_id: str) -> tuple[str, bytes] | None:
        """Digest and answer of a command answered not long ago."""
        found = self._seen.get(request_id)
        return found[:2] if found is not None and found[2] > self._wall() else None

    def answered(self, request_id: str, digest: str, answer: bytes, *, keep_s: float) -> None:
        """Remember an answer."""
        self._seen[request_id] = (digest, answer, self._wall() + keep_s)

    def _known(self, alert_id: str, seq: int) -> AlertEvent:
        event = self._events.get((alert_id, seq))
        if event is None:
            raise LedgerError(f"no event {seq} of alert {alert_id}")
        return event

    def _wall(self) -> float:
        return self._clock.now().timestamp()
