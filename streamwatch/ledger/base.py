"""The contract of the ledger: the durable record of alerts. Metadata only; no column can hold a picture."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamwatch.domain.alerts import Alert, AlertEvent


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is owed to people."""

    pending: int
    oldest_s: float
    """Age of the oldest event not yet acknowledged; 0 when nothing is pending."""


class Ledger(Protocol):
    """Every call is durable when it returns. One thread at a time; each call takes milliseconds."""

    def commit(self, alert: Alert, event: AlertEvent) -> None:
        """Store the alert's new state and the event it owes, in one transaction. Raises LedgerError."""
        ...

    def alerts(self, *, open_only: bool = True) -> Sequence[Alert]:
        """Alerts, oldest first."""
        ...

    def pending(self, limit: int = 100, *, without: Collection[str] = ()) -> Sequence[AlertEvent]:
        """Events not yet acknowledged but those of the alerts `without`.

        The most severe alerts' events come first, then in order of commit (so in order of `seq` per alert).
        """
        ...

    def offer(self, alert_id: str, seq: int, body: str) -> None:
        """Fix the body of an event for ever, at its first hand-over to the broker."""
        ...

    def acknowledged(self, alert_id: str, seq: int, *, at: float) -> None:
        """The broker has the event. `at`: wall seconds since the epoch."""
        ...
