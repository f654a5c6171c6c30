"""The ledger in SQLite: what was committed here survives `kill -9` and a power cut. The one file that imports sqlite3.

Write-ahead log with synchronous FULL: every commit is on the disk when it returns. Calls are short and synchronous;
they may come from any thread, one at a time (a lock sees to it): from the event loop, or from an executor where the
disk is slow.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog

from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import Clock
from streamwatch.domain.coverage import BooksRecord
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.errors import LedgerError, OutsideError
from streamwatch.domain.streams import StreamId
from streamwatch.ledger import coverage, hiding, keeping
from streamwatch.ledger.base import Backlog
from streamwatch.ledger.folder import StateFolder
from streamwatch.ledger.hiding import Hiding
from streamwatch.ledger.migrations import MIGRATIONS
from streamwatch.ledger.retention import Due, fate

_log = structlog.get_logger(__name__)

FILE = "ledger.sqlite3"
_Row = TypeVar("_Row")
_BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a damaged file raises; the second where SQLite's complaint repeats damaged names."""
_LIMIT = 1000
"""Rows of one answer or one deletion: a call stays short whatever has piled up."""
MAX_ANSWERS = 20_000
"""Answers to commands that are remembered; those to be forgotten first make room."""
_BUSY_S = 2.0
"""An administrator's sqlite3 shell may hold the file for so long."""

_RANKS = " ".join(f"WHEN '{severity}' THEN {rank}" for rank, severity in enumerate(Severity))
_RANK_OF = f"SELECT CASE severity {_RANKS} END FROM alerts WHERE id = ?"  # noqa: S608 - constants of this file
_INSERT_EVENT = (
    "INSERT INTO events (alert_id, seq, event, body, committed_at, rank) "  # noqa: S608 - constants of this file
    f"VALUES (?, ?, ?, ?, ?, ({_RANK_OF}))"
)
_ALERT = "id, stream, rule, severity, kind, seq, open, document, acknowledged, changed_at"
_EVENT = "e.alert_id, e.seq, e.event, a.severity, a.stream, e.body"
_EVENTS = f"SELECT {_EVENT} FROM events e JOIN alerts a ON a.id = e.alert_id"  # noqa: S608 - constants of this file


class SqliteLedger:
    """The durable record of alerts, in a folder that this process alone uses."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        """Open the ledger, making or migrating it where needed.

        A file that SQLite finds damaged is moved aside (`set_aside`), loudly, and a new one begun: alerts to come
        matter more than those that cannot be read.

        Raises:
            OutsideError: the folder cannot be used (e.g. its disk is full), another daemon holds it, or a newer
                streamwatch wrote the file.

        """
        self._clock = clock
        self._lock = threading.Lock()
        self._triggered: dict[tuple[str, int], float] = {}
        self._unreadable: set[str] = set()
        self.set_aside: Path | None = None
        """Where a damaged ledger lies that was found at this start."""
        self._folder = StateFolder(folder)
        try:
            self._db = self._open()
        except BaseException:
            self._folder.close()
            raise

    # --- the contract --------------------------------------------------------------------------------------------

    def commit(self, alert: Alert, event: AlertEvent) -> None:
        """Store the alert's new state and the event it owes. Raises LedgerError, also where `seq` is not the next."""
        with self._transaction() as db:
            stored = db.execute(
                "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "seq = excluded.seq, open = excluded.open, document = excluded.document, "
                "acknowledged = excluded.acknowledged, changed_at = excluded.changed_at, fate = excluded.fate "
                "WHERE excluded.seq = seq + 1",
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
                ),
            )
            if stored.rowcount != 1 or (event.alert_id, event.seq) != (alert.id, alert.seq):
                raise LedgerError(f"event {event.seq} of alert {alert.id} is not the next one")
            db.execute(
                _INSERT_EVENT,
                (event.alert_id, event.seq, event.event.value, event.body, alert.changed_at, event.alert_id),
            )
        if event.triggered is not None:
            self._triggered[event.alert_id, event.seq] = event.triggered

    def alerts(self, *, open_only: bool = True) -> Sequence[Alert]:
        """Alerts, oldest first."""
        where = "WHERE open = 1" if open_only else ""
        return self._alerts(f"{where} ORDER BY id")

    def pending(self, limit: int = 100, *, without: Collection[str] = ()) -> Sequence[AlertEvent]:
        """Events not yet acknowledged but those of some alerts: the most severe first, then in order of commit."""
        return self._events(
            "WHERE e.position IN (SELECT position FROM events INDEXED BY events_due WHERE acknowledged_at IS NULL "
            "AND alert_id NOT IN (SELECT value FROM json_each(?)) ORDER BY rank, position LIMIT ?) "
            "ORDER BY e.rank, e.position",
            json.dumps(list(without)),
            limit,
        )

    def offer(self, alert_id: str, seq: int, body: str) -> None:
        """Fix an event's body at its first hand-over. Offering the same body again changes nothing.

        Raises LedgerError where the event is unknown or was offered with another body.
        """
        with self._transaction() as db:
            done = db.execute(
                "UPDATE events SET body = ?, offered_at = ? WHERE alert_id = ? AND seq = ? AND offered_at IS NULL",
                (body, self._wall(), alert_id, seq),
            )
            if done.rowcount == 0:
                query = "SELECT 1 FROM events WHERE alert_id = ? AND seq = ? AND body = ?"
                if db.execute(query, (alert_id, seq, body)).fetchone() is None:
                    raise LedgerError(f"event {seq} of alert {alert_id} is unknown, or its body is fixed already")
        self._triggered.pop((alert_id, seq), None)

    def acknowledged(self, alert_id: str, seq: int, *, at: float) -> None:
        """The broker has the event. Idempotent; the first time stands."""
        with self._transaction() as db:
            db.execute(
                "UPDATE events SET acknowledged_at = ? WHERE alert_id = ? AND seq = ? AND acknowledged_at IS NULL",
                (at, alert_id, seq),
            )
        self._triggered.pop((alert_id, seq), None)

    # --- what delivery asks --------------------------------------------------------------------------------------

    def backlog(self) -> Backlog:
        """What is owed now. An event's age counts from its commit."""
        query = "SELECT count(*), min(committed_at) FROM events WHERE acknowledged_at IS NULL"
        [(pending, oldest)] = self._rows(query)
        return Backlog(pending, max(self._wall() - oldest, 0.0) if pending else 0.0)

    def owe_again(self, since: float) -> int:
        """Owe again what a broker that forgot us may have lost; returns how many events.

        These are the newest event of every open alert and all that was acknowledged at or after `since` (wall seconds).
        They come back in `pending`, bodies unchanged, in their old order.
        """
        with self._transaction() as db:
            return db.execute(
                "UPDATE events SET acknowledged_at = NULL WHERE acknowledged_at >= ? OR (acknowledged_at IS NOT NULL "
                "AND EXISTS (SELECT 1 FROM alerts a WHERE a.open = 1 AND a.id = alert_id AND a.seq = events.seq))",
                (since,),
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
        with self._transaction() as db:
            if value is None:
                db.execute("DELETE FROM notes WHERE key = ?", (key,))
            else:
                db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))

    def recall(self, key: str) -> str | None:
        """The value kept, None where there is none."""
        rows = self._rows("SELECT value FROM notes WHERE key = ?", key)
        return rows[0][0] if rows else None

    # --- what the gate for commands asks -------------------------------------------------------------------------

    def seen(self, request_id: str) -> tuple[str, bytes] | None:
        """Digest and answer of a command answered not long ago."""
        query = "SELECT digest, answer FROM commands WHERE request_id = ? AND forget_at > ?"
        rows = self._rows(query, request_id, self._wall())
        return (rows[0][0], rows[0][1]) if rows else None

    def answered(self, request_id: str, digest: str, answer: bytes, *, keep_s: float) -> None:
        """Remember an answer; what is past its time, or too much, is forgotten on the way."""
        now = self._wall()
        with self._transaction() as db:
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
        with self._transaction() as db:
            coverage.save(db, record)

    def load_books(self) -> BooksRecord | None:
        """The record of the books, with every bucket that is kept; None where there is none. Raises LedgerError."""
        with self._transaction() as db:
            return coverage.load(db)

    # --- housekeeping --------------------------------------------------------------------------------------------

    def prune(self, due: Due) -> int:
        """Delete what is past its time and owed to nobody, at most 1000 rows of a kind a call.

        Returns how many rows went; call again until it is 0. What went, here or by other calls before, is then in no
        byte of the files: SQLite overwrites what it deletes, and the write-ahead log is emptied.
        """
        with self._transaction() as db:
            gone = keeping.prune(db, due, now=self._wall(), limit=_LIMIT)
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def hide(self, hidden: Hiding) -> bool:
        """Take out what is to be hidden from now on and was written before; True where there was a reason to.

        Call it at a start, before anything is read. Raises LedgerError.
        """
        before = self.recall(hiding.NOTE)
        if before == hidden.word:
            return False
        rewritten = 0
        if hidden.exceeds(before):
            with self._transaction() as db:
                rewritten = hiding.rewrite(db, hidden, before)
            self._rows("VACUUM")
        self.remember(hiding.NOTE, hidden.word)
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return rewritten > 0

    def close(self) -> None:
        """Close the file and let go of the folder. Idempotent."""
        with self._lock:
            self._db.close()
        self._folder.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _wall(self) -> float:
        return self._clock.now().timestamp()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise LedgerError(f"the ledger cannot be written: {error}") from error

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise LedgerError(f"the ledger cannot be read: {error}") from error

    def _alerts(self, tail: str, *values: Any) -> list[Alert]:
        rows = self._rows(f"SELECT {_ALERT} FROM alerts {tail}", *values)  # noqa: S608 - tails of this file
        return [alert for row in rows if (alert := self._readable(_alert, row)) is not None]

    def _events(self, tail: str, *values: Any) -> list[AlertEvent]:
        rows = self._rows(f"{_EVENTS} {tail}", *values)
        return [event for row in rows if (event := self._readable(self._event, row)) is not None]

    def _event(self, row: tuple[Any, ...]) -> AlertEvent:
        alert_id, seq, event, severity, stream, body = row
        triggered = self._triggered.get((alert_id, seq))
        return AlertEvent(alert_id, seq, Event(event), Severity(severity), _stream(stream), body, triggered)

    def _readable(self, read: Callable[[tuple[Any, ...]], _Row], row: tuple[Any, ...]) -> _Row | None:
        """A row as a value; None, said once, where a disk changed a word in it: the others count all the same."""
        try:
            return read(row)
        except ValueError as error:
            if row[0] not in self._unreadable and len(self._unreadable) < _LIMIT:
                self._unreadable.add(row[0])
                _log.error("a row of the ledger cannot be read and is left out", alert=row[0], error=str(error))
            return None

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except _BROKEN as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._unusable(error) from error
            stamp = self._clock.now().strftime("%Y%m%dT%H%M%SZ")
            self.set_aside = self._folder.move_aside(FILE, f"corrupt-{stamp}")
            _log.error("ledger is damaged and was set aside", file=str(self.set_aside), error=str(error))
        try:
            return self._connect()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> OutsideError:
        """In words for who starts us: SQLite calls a full or read-only disk by several names."""
        where = self._folder.path / FILE
        return OutsideError(f"{where} cannot be opened and written ({error}): is the disk full, or read-only?")

    def _connect(self) -> sqlite3.Connection:
        path = self._folder.private_file(FILE)
        db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA temp_store = MEMORY")
            _require_sound(db)
            self._migrate(db)
            # a disk that takes no more is found now, not by the first alert
            db.execute("INSERT OR REPLACE INTO notes VALUES ('opened', ?)", (str(self._wall()),))
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        """Take the steps that are missing, each in a transaction of its own."""
        db.execute("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, taken_at REAL NOT NULL) STRICT")
        [(version,)] = db.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchall()
        if version > len(MIGRATIONS):
            raise OutsideError(f"{self._folder.path / FILE} was written by a newer streamwatch (version {version})")
        for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
            db.execute("BEGIN IMMEDIATE")
            for statement in step:
                db.execute(statement)
            db.execute("INSERT INTO migrations VALUES (?, ?)", (number, self._wall()))
            db.execute("COMMIT")


def _require_sound(db: sqlite3.Connection) -> None:
    [(verdict,)] = db.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


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
