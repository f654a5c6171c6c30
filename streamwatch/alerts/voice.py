"""An alert in hand, and the one way in which it speaks: commit first, then it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog

from streamwatch.alerts.base import Store
from streamwatch.alerts.cadence import reminder_after
from streamwatch.alerts.document import AlertDocument
from streamwatch.alerts.parts import DiscoveryHold
from streamwatch.alerts.policy import LifePolicy
from streamwatch.alerts.quiet import Key
from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.decisions import RuleSpec, Severity
from streamwatch.domain.streams import NODE, StreamId
from streamwatch.domain.urls import printable

_log = structlog.get_logger(__name__)

Listener = Callable[[AlertEvent], None]
"""Told of every event after it is durable: for metrics, and to wake whoever delivers. Must not raise."""


@dataclass(slots=True)
class Entry:
    """An alert in hand."""

    alert: Alert
    document: AlertDocument
    """As last spoken."""
    unspoken: dict[str, Any] = field(default_factory=dict)
    """What was seen since; it goes out with the next event."""
    began: float = 0.0
    """Monotonic: arrival of the first triggering frame, or, after a restart, about when it was opened."""
    arrival: float | None = None
    """Of the newest frame it rests on, monotonic: the wall clock may be set. None: only its document knows."""
    spoken_at: float = 0.0
    """Monotonic."""
    remind_at: float | None = None
    reminders: int = 0
    waits_since: float = 0.0
    """Monotonic: since when somebody should acknowledge it."""
    escalate_at: float | None = None
    reopened: bool = False
    """A person opened it again: it closes quietly only after it has alarmed since."""

    @property
    def key(self) -> Key:
        """What alerts are grouped by."""
        return self.alert.stream, self.alert.rule


def read(alert: Alert) -> Entry | None:
    """An alert from the ledger; None, and a line in the log, where its document cannot be read."""
    try:
        return Entry(alert, AlertDocument.decode(alert.document))
    except ValueError:
        _log.exception("alert in the ledger cannot be read", alert=alert.id)
        return None


class Voice:
    """Makes the next event of an alert durable, then tells the listener."""

    def __init__(
        self, *, store: Store, clock: Clock, boot_id: str, listener: Listener, policy: Callable[[], LifePolicy]
    ) -> None:
        self._store = store
        self._clock = clock
        self._boot_id = printable(boot_id)
        self._listener = listener
        self._policy = policy

    def open(self, document: AlertDocument, spec: RuleSpec, stream: StreamId, *, triggered: float | None) -> Entry:
        """Commit the first event of a new alert. Raises LedgerError."""
        alert = Alert(
            id=document.alert_id,
            stream=stream,
            rule=spec.name,
            severity=document.severity,
            kind=spec.kind,
            seq=0,
            open=True,
            document="",
        )
        entry = Entry(alert, document, waits_since=self._clock.monotonic())
        self.commit(entry, document, triggered=triggered)
        return entry

    def speak(
        self,
        entry: Entry,
        event: Event,
        *,
        open_: bool | None = None,
        acknowledged: bool | None = None,
        **changes: Any,
    ) -> None:
        """Commit the alert's next event, with what was seen since. `open_`, `acknowledged`: None leaves as it was.

        Raises LedgerError, and then the entry is as it was.
        """
        always = {"event": event, "seq": entry.alert.seq + 1, "boot_id": self._boot_id, "latency_ms": None}
        spoken = entry.document.revised(**{**entry.unspoken, **always, **changes})
        self.commit(entry, spoken, open_=open_, acknowledged=acknowledged)

    def commit(
        self,
        entry: Entry,
        spoken: AlertDocument,
        *,
        open_: bool | None = None,
        acknowledged: bool | None = None,
        triggered: float | None = None,
    ) -> None:
        """Commit a document as the alert's next event. Raises LedgerError, and then the entry is as it was."""
        before = entry.alert
        open_ = before.open if open_ is None else open_
        spoken = spoken.revised(discovery_hold=self._hold(spoken, open_=open_))
        body = spoken.encode()
        alert = replace(
            before.bumped(body, at=self._clock.now().timestamp(), open_=open_),
            severity=spoken.severity,
            acknowledged=before.acknowledged if acknowledged is None else acknowledged,
        )
        event = AlertEvent(
            alert_id=alert.id,
            seq=alert.seq,
            event=spoken.event,
            severity=alert.severity,
            stream=alert.stream,
            body=body,
            triggered=triggered,
            escalated=spoken.escalated is not None,
        )
        self._store.commit(alert, event)
        entry.alert, entry.document, entry.unspoken = alert, spoken, {}
        entry.spoken_at = self._clock.monotonic()
        self._listener(event)

    def schedule(self, entry: Entry) -> None:
        """Set when the alert reminds next and when it is escalated: never once it is acknowledged."""
        now, severity = self._clock.monotonic(), entry.alert.severity
        waits = not entry.alert.acknowledged
        after = reminder_after(severity, entry.reminders) if waits else None
        entry.remind_at = None if after is None else now + after
        patience = self._policy().escalate_s.get(severity, 0.0)
        calls = waits and patience > 0 and severity is not Severity.TEST and entry.document.escalated is None
        entry.escalate_at = entry.waits_since + patience if calls else None

    def _hold(self, spoken: AlertDocument, *, open_: bool) -> DiscoveryHold | None:
        """The hint to directories: renewed by each word of an open or confirmed alert, withdrawn by a dismissal."""
        human = spoken.human.verdict if spoken.human else None
        hold_s = self._policy().hold_s
        if spoken.severity not in (Severity.URGENT, Severity.HIGH) or human == "dismiss" or not hold_s:
            return None
        if spoken.stream.id == NODE:
            return None
        if open_ or human in ("confirm", "escalate"):
            return DiscoveryHold(until=rfc3339(self._clock.now() + timedelta(seconds=hold_s)))
        return spoken.discovery_hold
