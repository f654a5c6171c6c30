"""The ledger in SQLite: the statements behind its contract, over one `Database`.

Calls are short and synchronous; they may come from any thread: from the event loop, or from an executor where the disk
is slow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import Clock
from streamwatch.domain.coverage import BooksRecord
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import StreamId
from streamwatch.ledger import coverage, eviction, hiding, keeping, samples
from streamwatch.ledger.base import Backlog
from streamwatch.ledger.database import Connection, Database
from streamwatch.ledger.eviction import NOTHING, Evicted
from streamwatch.ledger.hiding import Hiding
from streamwatch.ledger.lately import lately
from streamwatch.ledger.retention import Due, fate

_log = structlog.get_logger(__name__)

_Row = TypeVar("_Row")
Step = tuple[Alert, AlertEvent, bool]
"""An alert after a step, the step's event, and whether its body was offered and is fixed."""
_NEWEST_FIRST = (
    "SELECT alert_id, seq, acknowledged_at FROM events WHERE acknowledged_at IS NOT NULL ORDER BY taken DESC LIMIT ?"
)
_LATEST = 30_000
"""Acknowledgements that are looked back at: more than delivery makes in a minute."""
_LIMIT = 1000
"""Rows of one answer or one deletion: a call stays short whatever has piled up."""
MAX_ANSWERS = 20_000
"""Answers to commands that are remembered; those to be forgotten first make room."""

_FRESH_S = 120.0
"""What was acknowledged so lately is not evicted: a broker that is killed may have to be told of it again."""
_EVICT_TO = 0.9
"""Of the limit: room for a while, or every commit would have to make its own."""
_SIZE = (
    "SELECT (SELECT count(*) FROM events) * (100 + coalesce((SELECT avg(length(body)) FROM "
    "(SELECT body FROM events ORDER BY position DESC LIMIT 200)), 0)) + (SELECT count(*) FROM alerts) * "
    "(200 + coalesce((SELECT avg(length(document)) FROM "
    "(SELECT document FROM alerts ORDER BY rowid DESC LIMIT 200)), 0))"
)
"""Rows times what the newest ones take. Pages of the file in use would not do: what is evicted leaves gaps in them."""

_RANKS = " ".join(f"WHEN '{severity}' THEN {rank}" for rank, severity in enumerate(Severity))
_RANK_OF = f"SELECT CASE severity {_RANKS} END FROM alerts WHERE id = ?"  # noqa: S608 - constants of this file
_INSERT_EVENT = (
    "INSERT INTO events (alert_id, seq, event, body, committed_at, escalated, rank) "  # noqa: S608 - constants of this file
    f"VALUES (?, ?, ?, ?, ?, ?, ({_RANK_OF}))"
)
_RERANK = f"UPDATE events SET rank = ({_RANK_OF}) WHERE alert_id = ? AND rank <> ({_RANK_OF})"  # noqa: S608 - the same
SKIPPED = 10_000
"""More steps than wait in memory while a disk refuses."""
_OFFERED = "UPDATE events SET body = ?, offered_at = ? WHERE alert_id = ? AND seq = ? AND offered_at IS NULL"
_PUT = (
    "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "severity = excluded.severity, seq = excluded.seq, open = excluded.open, document = excluded.document, "
    "acknowledged = excluded.acknowledged, changed_at = excluded.changed_at, fate = excluded.fate "
    "WHERE excluded.seq = seq + 1 OR (? AND excluded.seq > seq)"
)
_OWED = "acknowledged_at IS NULL AND alert_id NOT IN (SELECT value FROM json_each(?))"
_URGENT = (
    "SELECT position FROM events INDEXED BY events_urgent "  # noqa: S608 - constants of this file
    f"WHERE rank = 0 AND {_OWED} ORDER BY alert_id DESC, seq LIMIT ?"
)
_OTHERS = (
    "SELECT position FROM events INDEXED BY events_due "  # noqa: S608 - constants of this file
    f"WHERE rank > 0 AND {_OWED} ORDER BY rank, position LIMIT ?"
)
_ALERT = "id, stream, rule, severity, kind, seq, open, document, acknowledged, changed_at"
_EVENT = "e.alert_id, e.seq, e.event, a.severity, a.stream, e.body, e.escalated, e.position"
_EVENTS = f"SELECT {_EVENT} FROM events e JOIN alerts a ON a.id = e.alert_id"  # noqa: S608 - constants of this file


class SqliteLedger:
    """The durable record of alerts, in a folder that this process alone uses."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        """Open the ledger; a damaged one is set aside (`set_aside`), and a new one begun. Raises as `Database` does."""
        self._clock = clock
        self._triggered: dict[tuple[str, int], float] = {}
        self._unreadable: set[str] = set()
        self._file = Database(folder, clock=clock)
        self._evicting = False
        self._round = eviction.Round()
        if self._file.unsure:
            self._skip_numbers()

    def _skip_numbers(self) -> None:
        """The process before us may have said steps that are not on this disk: no number of those is used again."""
        try:
            with self._file.transaction() as db:
                db.execute("UPDATE alerts SET seq = seq + ?", (SKIPPED,))
        except LedgerError:
            self._file.close()
            raise
        self._file.refusing(refuses=False)
        _log.warning("the process before ended while the disk refused: alerts go on with higher numbers", by=SKIPPED)

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged ledger lies that was found at this start."""
        return self._file.set_aside

    # --- the contract --------------------------------------------------------------------------------------------

    def commit(self, alert: Alert, event: AlertEvent) -> None:
        """Store the alert's new state and the event it owes. Raises LedgerError, also where `seq` is not the next."""
        with self._file.transaction() as db:
            _put(db, alert, event, after_gap=False)
        if event.triggered is not None:
            self._triggered[event.key] = event.triggered

    def bring(self, steps: Sequence[Step], acknowledged: Sequence[tuple[tuple[str, int], float]]) -> None:
        """Store what waited in memory, in one transaction: steps in their order, and then what the broker has of them.

        Steps in between may be missing. One that is on the disk already is left as it is. Raises LedgerError.
        """
        with self._file.transaction() as db:
            for alert, event, offered in steps:
                if _known(db, event.key):
                    continue
                _put(db, alert, event, after_gap=True)
                if offered:
                    db.execute(_OFFERED, (event.body, self._wall(), *event.key))
            _acknowledge(db, acknowledged)

    def alerts(self, *, open_only: bool = True) -> Sequence[Alert]:
        """Alerts, oldest first."""
        where = "WHERE open = 1" if open_only else ""
        return self._alerts(f"{where} ORDER BY id")

    def pending(self, limit: int = 100, *, without: Collection[str] = ()) -> Sequence[AlertEvent]:
        """Events not yet acknowledged but those of some alerts; in the order of the contract."""
        names = json.dumps(list(without))
        positions = [row[0] for row in self._file.rows(_URGENT, names, limit)]
        if len(positions) < limit:
            positions += [row[0] for row in self._file.rows(_OTHERS, names, limit - len(positions))]
        query = f"{_EVENTS} WHERE e.position IN (SELECT value FROM json_each(?))"  # noqa: S608 - constants of this file
        found = {row[-1]: row for row in self._file.rows(query, json.dumps(positions))}
        rows = [found[position] for position in positions if position in found]
        return [event for row in rows if (event := self._readable(self._event, row)) is not None]

    def offer(self, events: Sequence[AlertEvent]) -> Sequence[AlertEvent]:
        """Fix events' bodies at their first hand-over, and return them. Offering the same bodies again changes nothing.

        Raises LedgerError where one is unknown or was offered with another body; then none is fixed.
        """
        now = self._wall()
        with self._file.transaction() as db:
            for event in events:
                done = db.execute(_OFFERED, (event.body, now, *event.key))
                if done.rowcount == 0:
                    query = "SELECT 1 FROM events WHERE alert_id = ? AND seq = ? AND body = ?"
                    if db.execute(query, (*event.key, event.body)).fetchone() is None:
                        raise LedgerError(
                            f"event {event.seq} of alert {event.alert_id} is unknown, or its body is fixed already"
                        )
        self.fix(events)
        return events

    def fix(self, events: Sequence[AlertEvent]) -> None:
        """Forget when these events were triggered: from now on their bodies are those of their commit."""
        for event in events:
            self._triggered.pop(event.key, None)

    def acknowledged(self, events: Sequence[AlertEvent], *, at: float) -> None:
        """The broker has the events. Idempotent; the first time stands."""
        with self._file.transaction() as db:
            _acknowledge(db, [(event.key, at) for event in events])
        self.fix(events)

    def events(self, keys: Sequence[tuple[str, int]]) -> Sequence[AlertEvent]:
        """These events, as they stand."""
        query = f"{_EVENTS} WHERE (e.alert_id, e.seq) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"  # noqa: S608 - constants of this file
        rows = self._file.rows(query, json.dumps([list(key) for key in keys]))
        return [event for row in rows if (event := self._readable(self._event, row)) is not None]

    def owed_of(self, alerts: Collection[str]) -> list[tuple[str, int]]:
        """Keys of the events of these alerts that are not acknowledged."""
        query = (
            "SELECT alert_id, seq FROM events "
            "WHERE alert_id IN (SELECT value FROM json_each(?)) AND acknowledged_at IS NULL"
        )
        return [(alert_id, seq) for alert_id, seq in self._file.rows(query, json.dumps(list(alerts)))]

    # --- what delivery asks --------------------------------------------------------------------------------------

    def backlog(self) -> Backlog:
        """What is owed now. An event's age counts from its commit."""
        query = "SELECT count(*), min(committed_at) FROM events WHERE acknowledged_at IS NULL"
        [(pending, oldest)] = self._file.rows(query)
        return Backlog(pending, max(self._wall() - oldest, 0.0) if pending else 0.0)

    def owe_again(self, also: Collection[tuple[str, int]] = (), *, within_s: float | None = None) -> int:
        """Owe again what a broker that forgot us may have lost; returns how many events.

        These are the newest event of every open alert, the events whose keys are `also` given, and, with `within_s`,
        what was acknowledged so many seconds before the newest acknowledgement: whenever that was.
        They come back in `pending`, bodies unchanged, in their old order.
        """
        with self._file.transaction() as db:
            again = [list(key) for key in also]
            if within_s is not None:
                rows = db.execute(_NEWEST_FIRST, (_LATEST,))
                again += lately((([alert_id, seq], at) for alert_id, seq, at in rows), within_s)
            return db.execute(
                "UPDATE events SET acknowledged_at = NULL WHERE acknowledged_at IS NOT NULL AND "
                "((alert_id, seq) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?)) OR "
                "(alert_id, seq) IN (SELECT alert_id, max(seq) FROM events "
                "WHERE alert_id IN (SELECT id FROM alerts WHERE open = 1) GROUP BY alert_id))",
                (json.dumps(again),),
            ).rowcount

    # --- what the desk asks --------------------------------------------------------------------------------------

    def find(self, alert_id: str) -> Alert | None:
        """One alert, None where it is unknown or no longer kept."""
        return next(iter(self._alerts("WHERE id = ?", alert_id)), None)

    def closed_since(self, at: float) -> Sequence[Alert]:
        """The newest closed alerts that changed at or after `at` (wall seconds), at most 1000, oldest first."""
        found = self._alerts("WHERE open = 0 AND changed_at >= ? ORDER BY changed_at DESC LIMIT ?", at, _LIMIT)
        return found[::-1]

    def remember(self, key: str, value: str | None) -> None:
        """Keep a small value; None forgets it."""
        with self._file.transaction() as db:
            if value is None:
                db.execute("DELETE FROM notes WHERE key = ?", (key,))
            else:
                db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))

    def recall(self, key: str) -> str | None:
        """The value kept, None where there is none."""
        rows = self._file.rows("SELECT value FROM notes WHERE key = ?", key)
        return rows[0][0] if rows else None

    # --- what the gate for commands asks -------------------------------------------------------------------------

    def seen(self, request_id: str) -> tuple[str, bytes] | None:
        """Digest and answer of a command answered not long ago."""
        query = "SELECT digest, answer FROM commands WHERE request_id = ? AND forget_at > ?"
        rows = self._file.rows(query, request_id, self._wall())
        return (rows[0][0], rows[0][1]) if rows else None

    def answered(self, request_id: str, digest: str, answer: bytes, *, keep_s: float) -> None:
        """Remember an answer; what is past its time, or too much, is forgotten on the way."""
        now = self._wall()
        with self._file.transaction() as db:
            db.execute("DELETE FROM commands WHERE forget_at <= ?", (now,))
            [(kept,)] = db.execute("SELECT count(*) FROM commands").fetchall()
            oldest = "SELECT request_id FROM commands ORDER BY forget_at LIMIT ?"
            if kept >= MAX_ANSWERS:
                db.execute(f"DELETE FROM commands WHERE request_id IN ({oldest})", (kept - MAX_ANSWERS + 1,))  # noqa: S608
            db.execute(
                "INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?)", (request_id, digest, answer, now + keep_s)
            )

    # --- the books of coverage -----------------------------------------------------------------------------------

    def save_books(self, record: BooksRecord) -> None:
        """Keep a record of the books over the one before, in one transaction. Raises LedgerError."""
        with self._file.transaction() as db:
            coverage.save(db, record)

    def load_books(self) -> BooksRecord | None:
        """The record of the books, with every bucket that is kept; None where there is none. Raises LedgerError."""
        with self._file.transaction() as db:
            return coverage.load(db)

    # --- scores of single frames ---------------------------------------------------------------------------------

    def keep_samples(self, rows: Sequence[samples.Row], *, before: float, limit_bytes: int) -> None:
        """Keep these scores; some from before that moment (wall seconds), or of too many, go. Raises LedgerError."""
        with self._file.transaction() as db:
            samples.keep(db, rows, before=before, limit_bytes=limit_bytes)

    # --- housekeeping --------------------------------------------------------------------------------------------

    def prune(self, due: Due) -> int:
        """Delete what is past its time and owed to nobody, at most 1000 rows of a kind a call.

        Returns how many rows went; call again until it is 0. What went, here or by other calls before, is then in no
        byte of the files: SQLite overwrites what it deletes, and the write-ahead log is emptied.
        """
        with self._file.transaction() as db:
            gone = keeping.prune(db, due, now=self._wall(), limit=_LIMIT)
        self._file.empty_log()
        return gone

    def size(self) -> int:
        """About how many bytes of alerts and their steps are kept. Raises LedgerError."""
        [(used,)] = self._file.rows(_SIZE)
        return int(used)

    def evict(self, *, limit_bytes: int) -> Evicted:
        """Make room where the ledger is larger than that: see `eviction`; some hundred rows a call. Says what went.

        Call it again while something goes. Raises LedgerError.
        """
        size = self.size()
        if size <= (limit_bytes if not self._evicting else limit_bytes * _EVICT_TO):
            self._evicting = False
            return NOTHING
        self._evicting = True
        with self._file.transaction() as db:
            return eviction.evict(db, told_before=self._wall() - _FRESH_S, round_=self._round)

    def refusing(self, *, refuses: bool) -> None:
        """Take note that the disk refuses, or takes again: for the next process, and so that no call waits long."""
        self._file.refusing(refuses=refuses)

    def hide(self, hidden: Hiding) -> bool:
        """Take out what is to be hidden from now on and was written before; True where there was a reason to.

        Call it at a start, before anything is read. Raises LedgerError.
        """
        before = self.recall(hiding.NOTE)
        if before == hidden.word:
            return False
        rewritten = 0
        if hidden.exceeds(before):
            with self._file.transaction() as db:
                rewritten = hiding.rewrite(db, hidden, before)
            self._file.rows("VACUUM")
        self.remember(hiding.NOTE, hidden.word)
        self._file.empty_log()
        return rewritten > 0

    def close(self) -> None:
        """Close the file and let go of the folder. Idempotent."""
        self._file.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _wall(self) -> float:
        return self._clock.now().timestamp()

    def _alerts(self, tail: str, *values: Any) -> list[Alert]:
        rows = self._file.rows(f"SELECT {_ALERT} FROM alerts {tail}", *values)  # noqa: S608 - tails of this file
        return [alert for row in rows if (alert := self._readable(_alert, row)) is not None]

    def _event(self, row: tuple[Any, ...]) -> AlertEvent:
        alert_id, seq, event, severity, stream, body, escalated, _ = row
        triggered = self._triggered.get((alert_id, seq))
        return AlertEvent(
            alert_id, seq, Event(event), Severity(severity), _stream(stream), body, triggered, bool(escalated)
        )

    def _readable(self, read: Callable[[tuple[Any, ...]], _Row], row: tuple[Any, ...]) -> _Row | None:
        """A row as a value; None, said once, where a disk changed a word in it: the others count all the same."""
        try:
            return read(row)
        except ValueError as error:
            if row[0] not in self._unreadable and len(self._unreadable) < _LIMIT:
                self._unreadable.add(row[0])
                _log.error("a row of the ledger cannot be read and is left out", alert=row[0], error=str(error))
            return None


def _put(db: Connection, alert: Alert, event: AlertEvent, *, after_gap: bool) -> None:
    """Store a step. Raises LedgerError where `seq` is not the next; with `after_gap` any later one will do."""
    before = db.execute("SELECT severity FROM alerts WHERE id = ?", (alert.id,)).fetchone()
    stored = db.execute(
        _PUT,
        (
            alert.id,
            _blob(alert.stream),
            alert.rule,
            alert.severity.value,
            alert.kind.value,
            alert.seq,
            int(alert.open),
            alert.document,
            int(alert.acknowledged),
            alert.changed_at,
            fate(alert.document).value,
            int(after_gap),
        ),
    )
    if stored.rowcount != 1 or event.key != (alert.id, alert.seq):
        raise LedgerError(f"event {event.seq} of alert {alert.id} is not the next one")
    values = (*event.key, event.event.value, event.body, alert.changed_at, int(event.escalated), event.alert_id)
    db.execute(_INSERT_EVENT, values)
    if before is not None and before[0] != alert.severity.value:
        db.execute(_RERANK, (alert.id,) * 3)  # it takes along all that is, or will be, owed of the alert


def _known(db: Connection, key: tuple[str, int]) -> bool:
    return db.execute("SELECT 1 FROM events WHERE alert_id = ? AND seq = ?", key).fetchone() is not None


def _acknowledge(db: Connection, acknowledged: Iterable[tuple[tuple[str, int], float]]) -> None:
    """Mark events that the broker has, in the order of its answers."""
    [(taken,)] = db.execute("SELECT coalesce(max(taken), 0) FROM events WHERE acknowledged_at IS NOT NULL").fetchall()
    db.executemany(
        "UPDATE events SET acknowledged_at = ?, taken = ? WHERE alert_id = ? AND seq = ? AND acknowledged_at IS NULL",
        [(at, taken + number, *key) for number, (key, at) in enumerate(acknowledged, 1)],
    )


def _blob(stream: str) -> bytes:
    return stream.encode("utf-8", "surrogatepass")


def _stream(blob: bytes) -> StreamId:
    return StreamId(blob.decode("utf-8", "surrogatepass"))


def _alert(row: tuple[Any, ...]) -> Alert:
    id_, stream, rule, severity, kind, seq, open_, document, acknowledged, changed_at = row
    return Alert(
        id=id_,
        stream=_stream(stream),
        rule=rule,
        severity=Severity(severity),
        kind=Kind(kind),
        seq=seq,
        open=bool(open_),
        document=document,
        acknowledged=bool(acknowledged),
        changed_at=changed_at,
    )
