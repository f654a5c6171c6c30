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

        The most severe alerts' events come first; among urgent alerts those of the newest, among others those that were
        committed first. Each alert's are in order of `seq`.
        """
        ...

    def offer(self, events: Sequence[AlertEvent]) -> Sequence[AlertEvent]:
        """Fix these events' bodies for ever, at their first hand-over to the broker. Raises LedgerError.

        Returns them as they stand now, for a disk that takes no more has fixed the bodies of their commit.
        """
        ...

    def acknowledged(self, events: Sequence[AlertEvent], *, at: float) -> None:
        """The broker has these events. `at`: wall seconds since the epoch."""
        ...
