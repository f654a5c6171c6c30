"""An alert in hand, and the one way in which it speaks: commit first, then it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from streamwatch.alerts.base import Store
from streamwatch.alerts.cadence import reminder_after
from streamwatch.alerts.document import AlertDocument
from streamwatch.alerts.quiet import Key
from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import RuleSpec
from streamwatch.domain.streams import StreamId
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
    spoken_at: float = 0.0
    """Monotonic."""
    remind_at: float | None = None
    reminders: int = 0
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

    def __init__(self, *, store: Store, clock: Clock, boot_id: str, listener: Listener) -> None:
        self._store = store
        self._clock = clock
        self._boot_id = printable(boot_id)
        self._listener = listener

    def open(self, document: AlertDocument, spec: RuleSpec, stream: StreamId, *, triggered: float | None) -> Entry:
        """Commit the first event of a new alert. Raises LedgerError."""
        alert = Alert(
            id=document.alert_id,
            stream=stream,
            rule=spec.name,
            severity=spec.severity,
            kind=spec.kind,
            seq=0,
            open=True,
            document="",
        )
        entry = Entry(alert, document)
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
        body = spoken.encode()
        alert = replace(
            before.bumped(body, at=self._clock.now().timestamp(), open_=before.open if open_ is None else open_),
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
        )
        self._store.commit(alert, event)
        entry.alert, entry.document, entry.unspoken = alert, spoken, {}
        entry.spoken_at = self._clock.monotonic()
        self._listener(event)

    def schedule_reminder(self, entry: Entry) -> None:
        """Set when the alert reminds next: never once it is acknowledged."""
        after = None if entry.alert.acknowledged else reminder_after(entry.alert.severity, entry.reminders)
        entry.remind_at = None if after is None else self._clock.monotonic() + after
