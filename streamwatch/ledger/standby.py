"""What keeps alerts going while the ledger's disk takes nothing: full, read-only, broken, or held by another program.

Steps of alerts, acknowledgements, notes and answers then wait in memory, and go to the disk as soon as it takes them.
Meanwhile they reach people as ever, but they would be lost with this process: `tend` says so, loudly, until it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from streamwatch.domain.alerts import Alert, AlertEvent
from streamwatch.domain.clock import Clock
from streamwatch.domain.coverage import BooksRecord
from streamwatch.domain.decisions import Severity
from streamwatch.domain.errors import LedgerAway, LedgerError
from streamwatch.ledger.base import Backlog
from streamwatch.ledger.eviction import Evicted
from streamwatch.ledger.retention import Due
from streamwatch.ledger.samples import Row
from streamwatch.ledger.sqlite import SqliteLedger

_log = structlog.get_logger(__name__)

RETRY_S = 1.0
"""A disk that refused is asked again no sooner: a call that waits for a lock costs the event loop its time."""
MAX_STEPS = 5000
"""Steps of alerts in memory, about 10 MB; then those that people have, and the least severe, make room."""
MAX_WAITING = 5000
"""Acknowledgements, notes or answers that wait for the disk, of each."""

BRING = 100
"""Steps that a call brings to the disk: one transaction, some milliseconds."""
_ROOM = 50
"""Steps given up at once: finding them costs as much as a few hundred commits."""

_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_Told = TypeVar("_Told")


@dataclass(slots=True)
class _Step:
    """An alert's step that is not on the disk."""

    alert: Alert
    event: AlertEvent
    committed_at: float
    offered: bool = False


class StandbyLedger:
    """The ledger in SQLite, and a memory beside it for while that refuses. One thread at a time, but for the books."""

    def __init__(self, disk: SqliteLedger, *, clock: Clock) -> None:
        self._disk = disk
        self._clock = clock
        self._steps: dict[tuple[str, int], _Step] = {}
        """In order of commit."""
        self._newest: dict[str, Alert] = {}
        """Alerts with steps in memory, as they stand."""
        self._acknowledged: dict[tuple[str, int], float] = {}
        self._notes: dict[str, str | None] = {}
        self._answers: dict[str, tuple[str, bytes, float]] = {}
        self._owe: tuple[set[tuple[str, int]], float | None] | None = None
        """What is to be owed again once the disk can note it."""
        self._trouble = ""
        self._try_at = float("-inf")
        self.given_up = 0
        """Steps that made room in memory before the disk took them."""

    # --- while the disk refuses ----------------------------------------------------------------------------------

    def tend(self) -> str:
        """Bring to the disk some of what waits; returns what is wrong with it, empty where nothing is.

        Call it every second.
        """
        if not self._trouble:
            return ""
        if self._clock.monotonic() >= self._try_at:
            try:
                self._bring()
            except LedgerAway as error:
                self._refused(error)
        if not self._trouble:
            _log.info("the ledger's disk takes alerts again; all that waited in memory is on it")
            return ""
        lost = "; some made room for others" if self.given_up else ""
        return f"{self._trouble}; alerts go on in memory, and would end with this process{lost}"

    def _bring(self) -> None:
        """Raises LedgerAway where the disk refuses; what was brought does not wait any more. A part at a time."""
        part = list(self._steps.items())[:BRING]
        keys = {key for key, _ in part}
        known = [(key, at) for key, at in self._acknowledged.items() if key in keys or key not in self._steps][:BRING]
        try:
            self._disk.bring([(step.alert, step.event, step.offered) for _, step in part], known)
        except LedgerAway:
            raise
        except LedgerError:  # one of them cannot be taken, whatever the disk: not the others' fault
            for key, step in part:
                self._bring_one(key, step)
        for key in keys:
            del self._steps[key]
        for key, _ in known:
            del self._acknowledged[key]
        if self._steps or self._acknowledged:
            return
        self._newest.clear()
        self._bring_the_rest()
        self._trouble = ""
        self._disk.refusing(refuses=False)

    def _bring_one(self, key: tuple[str, int], step: _Step) -> None:
        at = self._acknowledged.get(key)
        try:
            self._disk.bring([(step.alert, step.event, step.offered)], [] if at is None else [(key, at)])
        except LedgerAway:
            raise
        except LedgerError as error:
            self.given_up += 1
            _log.error("a step in memory is not taken by the ledger", alert=key[0], seq=key[1], error=str(error))

    def _bring_the_rest(self) -> None:
        if self._owe is not None:
            also, within_s = self._owe
            self._disk.owe_again(also, within_s=within_s)
            self._owe = None
        for name, value in list(self._notes.items()):
            self._disk.remember(name, value)
            del self._notes[name]
        now = self._clock.now().timestamp()
        for request_id, (digest, answer, forget_at) in list(self._answers.items()):
            if forget_at > now:
                self._disk.answered(request_id, digest, answer, keep_s=forget_at - now)
            del self._answers[request_id]
        self._disk.remember("written", str(now))  # reading is no proof of writing

    def _refused(self, error: LedgerAway) -> None:
        if not self._trouble:
            _log.error("the ledger's disk refuses; alerts go on in memory", error=str(error))
            self._disk.refusing(refuses=True)
        self._trouble = str(error)
        self._try_at = self._clock.monotonic() + RETRY_S

    def _written(self, write: Callable[[], object]) -> bool:
        """Whether the disk took it. While something waits, what comes later waits behind it."""
        if self._trouble:
            return False
        try:
            write()
        except LedgerAway as error:
            self._refused(error)
            return False
        return True

    # --- alerts --------------------------------------------------------------------------------------------------

    def commit(self, alert: Alert, event: AlertEvent) -> None:
        """Store the alert's new state and its event: on the disk, or else in memory. Raises LedgerError."""
        self.tend()
        if self._written(lambda: self._disk.commit(alert, event)):
            return
        known = self._newest.get(alert.id)
        if (known is not None and alert.seq != known.seq + 1) or event.key != (alert.id, alert.seq):
            raise LedgerError(f"event {event.seq} of alert {alert.id} is not the next one")
        self._make_room(alert)
        self._steps[event.key] = _Step(alert, event, self._clock.now().timestamp())
        self._newest[alert.id] = alert

    def alerts(self, *, open_only: bool = True) -> Sequence[Alert]:
        """Alerts, oldest first."""
        known = {alert.id: alert for alert in self._disk.alerts(open_only=False if self._newest else open_only)}
        known.update(self._newest)
        found = sorted(known.values(), key=lambda alert: alert.id)
        return [alert for alert in found if alert.open or not open_only]

    def find(self, alert_id: str) -> Alert | None:
        """One alert, open or closed; None where it is unknown or no longer kept."""
        return self._newest.get(alert_id) or self._disk.find(alert_id)

    def closed_since(self, at: float) -> Sequence[Alert]:
        """The newest closed alerts that changed at or after `at` (wall seconds), oldest first."""
        here = [one for one in self._newest.values() if not one.open and one.changed_at >= at]
        there = [one for one in self._disk.closed_since(at) if one.id not in self._newest]
        return sorted((*there, *here), key=lambda one: one.changed_at)

    # --- delivery ------------------------------------------------------------------------------------------------

    def pending(self, limit: int = 100, *, without: Collection[str] = ()) -> Sequence[AlertEvent]:
        """Events not yet acknowledged, in the order of the contract; those on a disk that cannot be read wait."""
        if not self._trouble:
            return self._disk.pending(limit, without=without)
        owed = [event for event in self._on_disk(limit, without) if event.key not in self._acknowledged][:limit]
        names = {name for name in self._newest if name not in without}
        waiting = names & self._owing(names)  # what the disk holds of an alert comes first
        owed += [
            replace(step.event, severity=self._newest[step.alert.id].severity)
            for step in self._steps.values()
            if step.alert.id in names and step.alert.id not in waiting and step.event.key not in self._acknowledged
        ]
        owed.sort(key=lambda event: _RANK[event.severity])
        urgent = [event for event in owed if event.severity is Severity.URGENT]
        newest_first = sorted(urgent, key=lambda event: event.alert_id, reverse=True)
        return [*newest_first, *owed[len(urgent) :]][:limit]

    def _on_disk(self, limit: int, without: Collection[str]) -> Sequence[AlertEvent]:
        if sum(key not in self._steps for key in self._acknowledged) >= MAX_WAITING:
            return ()
        return self._reading(lambda: self._disk.pending(limit + len(self._acknowledged), without=without), ())

    def _owing(self, names: Collection[str]) -> set[str]:
        owed: Sequence[tuple[str, int]] = self._reading(lambda: self._disk.owed_of(names), ())
        return {key[0] for key in owed if key not in self._acknowledged}

    def offer(self, events: Sequence[AlertEvent]) -> Sequence[AlertEvent]:
        """Fix events' bodies. Where the disk does not take them, those of their commit stand for ever."""
        self.tend()
        there = [event for event in events if event.key not in self._steps]
        for event in events:
            step = self._steps.get(event.key)
            if step is not None and step.offered and step.event.body != event.body:
                raise LedgerError(f"event {event.seq} of alert {event.alert_id} has a body that is fixed already")
        if there and not self._written(lambda: self._disk.offer(there)):
            there = self._unfixed(there)
        fixed = {event.key: event for event in there}
        for event in events:
            step = self._steps.get(event.key)
            if step is not None:
                step.event = replace(step.event, body=event.body, triggered=None)
                step.offered = True
                fixed[event.key] = step.event
        return [fixed[event.key] for event in events]

    def _unfixed(self, events: Sequence[AlertEvent]) -> list[AlertEvent]:
        """The events with the bodies of their commit, which no crash can change: the disk holds them."""
        self._disk.fix(events)
        nothing: Sequence[AlertEvent] = ()
        held = {one.key: one for one in self._reading(lambda: self._disk.events([e.key for e in events]), nothing)}
        missing = next((event for event in events if event.key not in held), None)
        if missing is not None:
            raise LedgerError(f"event {missing.seq} of alert {missing.alert_id} is unknown, or cannot be read")
        return [held[event.key] for event in events]

    def acknowledged(self, events: Sequence[AlertEvent], *, at: float) -> None:
        """The broker has the events."""
        if not self._written(lambda: self._disk.acknowledged(events, at=at)):
            for event in events:
                self._acknowledged.setdefault(event.key, at)

    def backlog(self) -> Backlog:
        """What is owed now."""
        backlog = self._reading(self._disk.backlog, Backlog(0, 0.0))
        if not self._trouble:
            return backlog
        now = self._clock.now().timestamp()
        here = [step for key, step in self._steps.items() if key not in self._acknowledged]
        marked = sum(key not in self._steps for key in self._acknowledged)
        oldest_s = max((max(now - step.committed_at, 0.0) for step in here), default=0.0)
        return Backlog(max(backlog.pending - marked, 0) + len(here), max(backlog.oldest_s, oldest_s))

    def owe_again(self, also: Collection[tuple[str, int]] = (), *, within_s: float | None = None) -> int:
        """Owe again what a broker that forgot us may have lost; returns how many events.

        While the disk refuses, that is what was acknowledged since; the rest once it can be noted.
        """
        count = 0

        def owe() -> None:
            nonlocal count
            count = self._disk.owe_again(also, within_s=within_s)

        if not self._written(owe):
            keys, before = self._owe or (set(), None)
            self._owe = ({*keys, *also}, within_s or before)
            count = len(self._acknowledged)
            self._acknowledged.clear()
        return count

    # --- notes and answers ---------------------------------------------------------------------------------------

    def remember(self, key: str, value: str | None) -> None:
        """Keep a small value; None forgets it. Raises LedgerError where too many wait already."""
        if self._written(lambda: self._disk.remember(key, value)):
            return
        if key not in self._notes and len(self._notes) >= MAX_WAITING:
            raise LedgerError(self._trouble)
        self._notes[key] = value

    def recall(self, key: str) -> str | None:
        """The value kept, None where there is none."""
        return self._notes[key] if key in self._notes else self._disk.recall(key)

    def seen(self, request_id: str) -> tuple[str, bytes] | None:
        """Digest and answer of a command answered not long ago."""
        known = self._answers.get(request_id)
        if known is not None:
            return known[:2] if known[2] > self._clock.now().timestamp() else None
        return self._reading(lambda: self._disk.seen(request_id), None)

    def answered(self, request_id: str, digest: str, answer: bytes, *, keep_s: float) -> None:
        """Remember an answer."""
        if self._written(lambda: self._disk.answered(request_id, digest, answer, keep_s=keep_s)):
            return
        while len(self._answers) >= MAX_WAITING:
            del self._answers[min(self._answers, key=lambda one: self._answers[one][2])]
        self._answers[request_id] = (digest, answer, self._clock.now().timestamp() + keep_s)

    # --- what can wait for the disk ------------------------------------------------------------------------------

    def save_books(self, record: BooksRecord) -> None:
        """Keep a record of the books. Raises LedgerError: the next record holds what this one did."""
        if self._trouble:
            raise LedgerAway(self._trouble)
        self._disk.save_books(record)  # from another thread: it touches nothing else of ours

    def load_books(self) -> BooksRecord | None:
        """The record of the books. Raises LedgerError."""
        return self._disk.load_books()

    def keep_samples(self, rows: Sequence[Row], *, before: float, limit_bytes: int) -> None:
        """Keep scores of single frames. Raises LedgerError: they are worth no place in memory."""
        if self._trouble:
            raise LedgerAway(self._trouble)
        self._disk.keep_samples(rows, before=before, limit_bytes=limit_bytes)

    def prune(self, due: Due) -> int:
        """Delete what is past its time and owed to nobody; returns how many rows. Raises LedgerError."""
        return self._disk.prune(due)

    def evict(self, *, limit_bytes: int) -> Evicted:
        """Make room on a disk of limited size. Raises LedgerError."""
        return self._disk.evict(limit_bytes=limit_bytes)

    def close(self) -> None:
        """Close the disk's file; what waits in memory is brought to it if it takes it now. Idempotent."""
        self._try_at = float("-inf")
        while self._trouble and (left := len(self._steps) + len(self._acknowledged)) is not None:
            self.tend()
            if len(self._steps) + len(self._acknowledged) == left:
                break
        if self._steps:
            _log.error("the ledger's disk refuses to the end: steps of alerts are lost", steps=len(self._steps))
        self._disk.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _reading(self, read: Callable[[], _Told], otherwise: _Told) -> _Told:
        """What the disk says; while it is known to refuse, its silence is no error."""
        try:
            return read()
        except LedgerAway as error:
            self._refused(error)
            return otherwise

    def _make_room(self, alert: Alert) -> None:
        """Where too many wait, give some up: what newer steps replaced, then closed alerts, the least severe first.

        The newest step of an open alert is never given up: the alert could not go on behind it. Raises LedgerError
        where nothing else is left and `alert` would be one more; of grave ones twice as many find room.
        """
        if len(self._steps) < MAX_STEPS:
            return
        newest = {(one.id, one.seq) for one in self._newest.values()}
        replaced = [key for key in self._steps if key not in newest]
        told = [key for key in replaced if key in self._acknowledged]
        middle = [key for key in replaced if key[1] > 1]
        # whole, and from their first step on: of what the disk knows, a number would be said twice
        closed = [key for key in self._steps if not self._newest[key[0]].open and self._whole(key[0])]
        for choice in (told, middle, closed, replaced):
            if choice:
                least = max(_RANK[self._newest[key[0]].severity] for key in choice)
                gone = [key for key in choice if _RANK[self._newest[key[0]].severity] == least][:_ROOM]
                break
        else:
            grave = alert.severity in (Severity.URGENT, Severity.HIGH) and len(self._steps) < 2 * MAX_STEPS
            if alert.id not in self._newest and not grave:
                raise LedgerError("the disk refuses, and there is no room in memory for another alert")
            return
        for key in gone:
            del self._steps[key]
            self._acknowledged.pop(key, None)
        left = {key[0] for key in self._steps}
        for name in {key[0] for key in gone} - left:
            del self._newest[name]
        self.given_up += len(gone)

    def _whole(self, alert_id: str) -> bool:
        """Whether all of an alert is in memory, and nothing of it on the disk."""
        return (alert_id, 1) in self._steps
