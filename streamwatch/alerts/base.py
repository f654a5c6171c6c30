"""What the alert desk needs from others, in its own words: facts about a stream, a store, a place for notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from streamwatch.domain.alerts import Alert, AlertEvent
from streamwatch.domain.decisions import RuleSpec
from streamwatch.domain.streams import StreamId


@dataclass(frozen=True, slots=True)
class RiskSignal:
    """What another system says of a stream, as alerts repeat it: a reason to look, never evidence."""

    source: str
    """The system, as the broker vouches for it."""
    strength: float
    because: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What an alert says about its stream, as known at the moment of an observation."""

    id: StreamId
    name: str
    origin: str
    session: str
    watch_url: str
    tests: bool
    """Whether rules of severity test count here."""
    still_live: bool
    shown: str = ""
    """The id as documents show it (`privacy.stream_ids: keyed`); empty: the id itself."""
    signals: tuple[RiskSignal, ...] = ()
    """Risk signals that stand now, the strongest first."""


@dataclass(frozen=True, slots=True)
class DetectorFacts:
    """Which model judged."""

    name: str
    version: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class DeskRule:
    """A rule and the detector behind it."""

    spec: RuleSpec
    detector: DetectorFacts


class Store(Protocol):
    """Where alerts live. A ledger satisfies it; every call is durable when it returns and raises LedgerError."""

    def commit(self, alert: Alert, event: AlertEvent) -> None:
        """Store the alert's new state and the event it owes, in one transaction."""
        ...

    def alerts(self, *, open_only: bool = True) -> Sequence[Alert]:
        """Alerts, oldest first."""
        ...

    def find(self, alert_id: str) -> Alert | None:
        """One alert, open or closed; None where it is unknown or no longer kept."""
        ...

    def closed_since(self, at: float) -> Sequence[Alert]:
        """Closed alerts that changed at or after `at` (wall seconds since the epoch), oldest first."""
        ...


class Notes(Protocol):
    """Small durable values by name: what must survive a restart and is no alert."""

    def remember(self, key: str, value: str | None) -> None:
        """Keep `value` under `key`; None forgets it."""
        ...

    def recall(self, key: str) -> str | None:
        """The value kept, None where there is none."""
        ...


class Result(StrEnum):
    """How a command was answered."""

    DONE = "done"
    PROPOSED_DISMISSAL = "proposed_dismissal"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """The desk's answer to a person."""

    result: Result
    why: str = ""
    alert_id: str = ""
    seq: int | None = None
    """Number of the event that this verdict caused."""
    stream: StreamId | None = None
    """The stream that a verdict was about."""
    rule: str = ""
    """Its alert's rule, where the verdict was news: what counts for the rule's precision."""
