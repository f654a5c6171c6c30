"""One SQLite file, in which what is committed survives `kill -9` and a power cut. The one file that imports sqlite3.

Write-ahead log with synchronous FULL: every commit is on the disk when it returns. Calls may come from any thread, one
at a time (a lock sees to it).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LedgerAway, LedgerError, OutsideError
from streamwatch.ledger.folder import StateFolder
from streamwatch.ledger.migrations import MIGRATIONS

_log = structlog.get_logger(__name__)

FILE = "ledger.sqlite3"
_BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a damaged file raises; the second where SQLite's complaint repeats damaged names."""
_BUSY_S = 0.5
"""An administrator's sqlite3 shell may hold the file for so long; the event loop waits with it."""
_BUSY_REFUSING_S = 0.02
"""Once it has been held for longer: what waits in memory tries again soon."""
Connection = sqlite3.Connection


class Database:
    """The daemon's file, in a folder that this process alone uses."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        """Open the file, making or migrating it where needed.

        A file that SQLite finds damaged is moved aside (`set_aside`), loudly, and a new one begun: alerts to come
        matter more than those that cannot be read.

        Raises:
            OutsideError: the folder cannot be used (e.g. its disk is full), another daemon holds it, or a newer
                streamwatch wrote the file.

        """
        self._clock = clock
        self._lock = threading.Lock()
        self.set_aside: Path | None = None
        """Where a damaged file lies that was found at this start."""
        self._folder = StateFolder(folder)
        try:
            self._db = self._open()
        except BaseException:
            self._folder.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on the disk at the end. Raises LedgerAway; LedgerError for values not to be taken."""
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
                raise _kind(error)(f"the ledger cannot be written: {error}") from error

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The answer to one question, or the effect of one pragma. Raises LedgerError."""
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise _kind(error)(f"the ledger cannot be read: {error}") from error

    @property
    def unsure(self) -> bool:
        """Whether the process before us ended while this disk refused to take what it said."""
        return self._folder.unsure

    def refusing(self, *, refuses: bool) -> None:
        """Take note that the disk refuses, or takes again: no call waits long meanwhile."""
        self._folder.mark(unsure=refuses)
        with self._lock:
            self._db.execute(f"PRAGMA busy_timeout = {round(1000 * (_BUSY_REFUSING_S if refuses else _BUSY_S))}")

    def empty_log(self) -> None:
        """Empty the write-ahead log, if nobody is reading: whoever reads holds it back, and nothing waits for them."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            [(before,)] = self._db.execute("PRAGMA busy_timeout").fetchall()
            self._db.execute("PRAGMA busy_timeout = 0")
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {before}")

    def trace(self, asked: Callable[[str], object] | None) -> None:
        """Have every statement told, for tests; None ends it."""
        self._db.set_trace_callback(asked)

    def close(self) -> None:
        """Close the file and let go of the folder. Idempotent."""
        with self._lock:
            self._db.close()
        self._folder.close()

    # --- inside --------------------------------------------------------------------------------------------------

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
            now = str(self._clock.now().timestamp())
            db.execute("INSERT OR REPLACE INTO notes VALUES ('opened', ?)", (now,))
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
            db.execute("INSERT INTO migrations VALUES (?, ?)", (number, self._clock.now().timestamp()))
            db.execute("COMMIT")


class ReadOnly:
    """The same file, read by a person's command while a daemon may hold it. Writes nothing."""

    def __init__(self, folder: Path) -> None:
        """Open it. Raises OutsideError where there is none, it cannot be read, or a newer streamwatch wrote it."""
        path = folder / FILE
        if not path.is_file():
            raise OutsideError(f"there is no ledger in {folder}: has a daemon run with this configuration?")
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
            [(version,)] = self._db.execute("SELECT max(version) FROM migrations").fetchall()
        except sqlite3.Error as error:
            raise OutsideError(f"{path} cannot be read: {error}") from error
        if version != len(MIGRATIONS):
            raise OutsideError(f"{path} was written by another version of streamwatch (ledger version {version})")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The answer to one question. Raises LedgerError."""
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from error

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._db.close()


def _kind(error: Exception) -> type[LedgerError]:
    """Whether the disk is to blame, or what it was given."""
    ours = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, UnicodeDecodeError)
    return LedgerError if isinstance(error, ours) else LedgerAway


def _require_sound(db: sqlite3.Connection) -> None:
    [(verdict,)] = db.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
