"""The alert as the ledger remembers it and the events people receive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.streams import StreamId


class Event(StrEnum):
    """Steps in the life of an alert."""

    OPENED = "opened"
    UPDATED = "updated"
    REMINDER = "reminder"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why an alert closed."""

    QUIET = "quiet"
    ENDED = "ended"
    VERDICT = "verdict"
    RESTART = "restart"


class Verdict(StrEnum):
    """What a moderator can say."""

    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    ESCALATE = "escalate"
    DISMISS = "dismiss"
    REOPEN = "reopen"


class Expect(StrEnum):
    """Whether the absence of something is an alarm."""

    EXPECTED = "expected"
    AUTO = "auto"
    """From the first time on that it was there: who never used it is not told every day that it is missing."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Alert:
    """One incident, opened → updated → closed. Wall times are RFC 3339 strings, as they stand in documents."""

    id: str
    """ULID."""
    stream: StreamId
    rule: str
    severity: Severity
    kind: Kind
    seq: int
    """Number of the newest event."""
    open: bool
    document: str
    """The newest event's body, JSON: the next event is built from it."""
    acknowledged: bool = False
    changed_at: float = 0.0
    """Wall seconds since the epoch of the newest event; survives restarts, unlike monotonic time."""

    def bumped(self, document: str, *, at: float, open_: bool = True) -> Alert:
        """The alert after one more event."""
        return replace(self, seq=self.seq + 1, document=document, open=open_, changed_at=at)


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One message owed to people: durable in the ledger before the broker is offered it."""

    alert_id: str
    seq: int
    event: Event
    severity: Severity
    stream: StreamId
    body: str
    """JSON of the alert document. `latency_ms` is null until the first hand-over, then fixed for ever."""
    triggered: float | None = None
    """Monotonic arrival of the first triggering frame's packet; None where nothing did, or after a restart."""
    escalated: bool = False
    """Whether it is owed on `P/escalations` too: nobody acknowledged the alert in time."""

    @property
    def key(self) -> tuple[str, int]:
        """What identifies it: the same key always has the same body."""
        return self.alert_id, self.seq
