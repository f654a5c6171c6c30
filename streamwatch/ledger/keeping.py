"""Deleting from the ledger's tables what is past its time, in bounded steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from streamwatch.ledger.retention import Due, Fate


class Answer(Protocol):
    """An answer of the database."""

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed."""
        ...

    def fetchall(self) -> list[Any]:
        """Every row."""
        ...


class Database(Protocol):
    """What is needed of a connection."""

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Answer:
        """Run one statement."""
        ...

    def executemany(self, query: str, values: Iterable[Sequence[Any]], /) -> Answer:
        """Run one statement for each row of values."""
        ...


_OWED_NOTHING = "NOT EXISTS (SELECT 1 FROM events e WHERE e.alert_id = a.id AND e.acknowledged_at IS NULL)"


def prune(db: Database, due: Due, *, now: float, limit: int) -> int:
    """Delete what is due and owed to nobody, at most `limit` rows of a kind; returns how many. In a transaction.

    These are closed alerts with their events, events of the others but the newest, answers past their time, and scores
    of single frames.
    """
    gone = 0
    for fate in Fate:
        alerts = db.execute(
            "SELECT id FROM alerts a INDEXED BY alerts_kept "  # noqa: S608 - constants of this file
            f"WHERE open = 0 AND fate = ? AND changed_at < ? AND {_OWED_NOTHING} LIMIT ?",
            (fate.value, due.before(fate), limit),
        ).fetchall()
        if alerts:
            gone += db.executemany("DELETE FROM events WHERE alert_id = ?", alerts).rowcount
            gone += db.executemany("DELETE FROM alerts WHERE id = ?", alerts).rowcount
    gone += db.execute(
        "DELETE FROM events WHERE position IN "
        "(SELECT e.position FROM events e JOIN alerts a ON a.id = e.alert_id "
        "WHERE e.acknowledged_at < ? AND e.seq < (SELECT max(n.seq) FROM events n WHERE n.alert_id = a.id) LIMIT ?)",
        (due.events, limit),
    ).rowcount
    gone += db.execute(
        "DELETE FROM commands WHERE request_id IN (SELECT request_id FROM commands WHERE forget_at <= ? LIMIT ?)",
        (now, limit),
    ).rowcount
    gone += db.execute(
        "DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples WHERE at < ? ORDER BY at LIMIT ?)",
        (due.samples, limit),
    ).rowcount
    return gone
