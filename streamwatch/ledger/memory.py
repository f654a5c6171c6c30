"""A ledger that lasts as long as its process: for one stream examined by hand, and for tests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from streamwatch.domain.alerts import Alert, AlertEvent
from streamwatch.domain.clock import Clock
from streamwatch.domain.coverage import BooksRecord, Bucket, Page, PageKind
from streamwatch.domain.decisions import Severity
from streamwatch.domain.errors import LedgerError
from streamwatch.ledger.base import Backlog
from streamwatch.ledger.eviction import NOTHING, Evicted
from streamwatch.ledger.lately import lately
from streamwatch.ledger.retention import Due, fate
from streamwatch.ledger.samples import Row

_RANK = {severity: rank for rank, severity in enumerate(Severity)}

MAX_ANSWERS = 20_000
"""Of commands; those to be forgotten first make room."""


class MemoryLedger:
    """Keeps every promise of `Ledger` but that of durability. One thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._alerts: dict[str, Alert] = {}
        self.events: list[AlertEvent] = []
        """Everything ever committed, in order."""
        self._committed: dict[tuple[str, int], float] = {}
        self._acknowledged: dict[tuple[str, int], float] = {}
        self._offered: set[tuple[str, int]] = set()
        self._notes: dict[str, str] = {}
        self._seen: dict[str, tuple[str, bytes, float]] = {}
        self._books: BooksRecord | None = None
        self.samples: list[Row] = []
        """Scores of single frames, as they came in."""

    def commit(self, alert: Alert, event: AlertEvent) -> None:
        """Store the alert's new state and its event. Raises LedgerError where `seq` is not the next."""
        known = self._alerts.get(alert.id)
        if (known is not None and alert.seq != known.seq + 1) or (event.alert_id, event.seq) != (alert.id, alert.seq):
            raise LedgerError(f"event {event.seq} of alert {alert.id} is not the next one")
        self._alerts[alert.id] = alert
        self.events.append(event)
        self._committed[event.alert_id, event.seq] = alert.changed_at

    def alerts(self, *, open_only: bool = True) -> Sequence[Alert]:
        """Alerts, oldest first."""
        found = sorted(self._alerts.values(), key=lambda alert: alert.id)
        return [alert for alert in found if alert.open or not open_only]

    def pending(self, limit: int = 100, *, without: Collection[str] = ()) -> Sequence[AlertEvent]:
        """Events not yet acknowledged but those of some alerts: the most severe first, then in order of commit."""
        owed = [
            replace(event, severity=self._alerts[event.alert_id].severity)
            for event in self.events
            if (event.alert_id, event.seq) not in self._acknowledged and event.alert_id not in without
        ]
        owed.sort(key=lambda event: _RANK[event.severity])
        urgent = [event for event in owed if event.severity is Severity.URGENT]
        newest_first = sorted(urgent, key=lambda event: event.alert_id, reverse=True)
        return [*newest_first, *owed[len(urgent) :]][:limit]

    def offer(self, events: Sequence[AlertEvent]) -> Sequence[AlertEvent]:
        """Fix events' bodies for ever. Raises LedgerError where one is unknown or fixed with another body."""
        places = {event.key: place for place, event in enumerate(self.events)}
        for event in events:
            place = places.get(event.key)
            if place is None or (event.key in self._offered and self.events[place].body != event.body):
                raise LedgerError(
                    f"event {event.seq} of alert {event.alert_id} is unknown, or its body is fixed already"
                )
        for event in events:
            self._offered.add(event.key)
            self.events[places[event.key]] = replace(self.events[places[event.key]], body=event.body, triggered=None)
        return events

    def acknowledged(self, events: Sequence[AlertEvent], *, at: float) -> None:
        """Note that the broker has the events."""
        for event in events:
            if event.key in self._committed:
                self._acknowledged.setdefault(event.key, at)

    def backlog(self) -> Backlog:
        """Say what is owed to people."""
        pending = self.pending(limit=len(self.events))
        oldest = min((self._committed[event.alert_id, event.seq] for event in pending), default=None)
        age = 0.0 if oldest is None else max(self._clock.now().timestamp() - oldest, 0.0)
        return Backlog(len(pending), age)

    def owe_again(self, also: Collection[tuple[str, int]] = (), *, within_s: float | None = None) -> int:
        """Owe again what a broker that forgot us may have lost; see `SqliteLedger.owe_again`."""
        open_ = {(alert.id, alert.seq) for alert in self._alerts.values() if alert.open}
        newest_first = reversed(self._acknowledged.items())
        late = frozenset(lately(newest_first, within_s)) if within_s is not None else frozenset()
        owed = [key for key in self._acknowledged if key in late or key in open_ or key in also]
        for key in owed:
            del self._acknowledged[key]
        return len(owed)

    def evict(self, *, limit_bytes: int) -> Evicted:  # noqa: ARG002 - the contract's
        """Memory has no size of its own: see `SqliteLedger.evict`."""
        return NOTHING

    def tend(self) -> str:
        """Memory never refuses: see `StandbyLedger.tend`."""
        return ""

    def find(self, alert_id: str) -> Alert | None:
        """One alert, open or closed."""
        return self._alerts.get(alert_id)

    def closed_since(self, at: float) -> Sequence[Alert]:
        """Closed alerts that changed at or after `at` (wall seconds)."""
        closed = [alert for alert in self._alerts.values() if not alert.open and alert.changed_at >= at]
        return sorted(closed, key=lambda alert: alert.changed_at)[-1000:]

    def remember(self, key: str, value: str | None) -> None:
        """Keep a note; None forgets it."""
        if value is None:
            self._notes.pop(key, None)
        else:
            self._notes[key] = value

    def recall(self, key: str) -> str | None:
        """Return a note."""
        return self._notes.get(key)

    def seen(self, request_id: str) -> tuple[str, bytes] | None:
        """Digest and answer of a command answered not long ago."""
        digest, answer, forget_at = self._seen.get(request_id, ("", b"", 0.0))
        return (digest, answer) if forget_at > self._clock.now().timestamp() else None

    def answered(self, request_id: str, digest: str, answer: bytes, *, keep_s: float) -> None:
        """Remember an answer; where there are too many, those to be forgotten first go."""
        while len(self._seen) >= MAX_ANSWERS:
            del self._seen[min(self._seen, key=lambda one: self._seen[one][2])]
        self._seen[request_id] = (digest, answer, self._clock.now().timestamp() + keep_s)

    def save_books(self, record: BooksRecord) -> None:
        """Keep a record of the books over the one before."""
        oldest = dict(record.oldest)
        kept: dict[tuple[PageKind, str], Page] = {}
        for page in (*(self._books.pages if self._books else ()), *record.pages):
            key = (page.kind, page.name)
            if page.kind == "stream" and page.name in record.gone and page not in record.pages:
                continue
            known: Sequence[Bucket] = kept[key].buckets if key in kept else ()
            merged = {(one.width_s, one.number): one for one in (*known, *page.buckets)}
            buckets = tuple(one for (width, number), one in merged.items() if number >= oldest.get(width, number))
            kept[key] = replace(page, buckets=buckets)
        self._books = replace(record, pages=tuple(kept.values()), gone=(), oldest=())

    def load_books(self) -> BooksRecord | None:
        """The record of the books, with every bucket that is kept; None where there is none."""
        return self._books

    def keep_samples(self, rows: Sequence[Row], *, before: float, limit_bytes: int) -> None:
        """Keep scores of single frames."""
        del before, limit_bytes
        self.samples.extend(rows)

    def prune(self, due: Due) -> int:
        """Delete what is past its time and owed to nobody; returns how many."""
        pending = {event.alert_id for event in self.pending(limit=len(self.events))}
        doomed = {
            one.id
            for one in self._alerts.values()
            if not one.open and one.changed_at < due.before(fate(one.document)) and one.id not in pending
        }
        now = self._clock.now().timestamp()
        count = len(self.events) + len(self._alerts) + len(self._seen) + len(self.samples)
        self.samples = [row for row in self.samples if row[0] >= due.samples]
        self._seen = {name: answer for name, answer in self._seen.items() if answer[2] > now}
        self._alerts = {id_: alert for id_, alert in self._alerts.items() if id_ not in doomed}
        self.events = [
            event
            for event in self.events
            if event.alert_id in self._alerts
            and (
                self._acknowledged.get((event.alert_id, event.seq), due.events) >= due.events
                or event.seq == self._alerts[event.alert_id].seq
            )
        ]
        return count - len(self.events) - len(self._alerts) - len(self._seen) - len(self.samples)
