"""The ledger's tables, as steps from an empty file to the newest version. A step, once released, never changes.

Lengths are checked by the tables themselves: what a document, a body or an answer may hold, and nothing larger.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE alerts (
            id TEXT PRIMARY KEY,
            stream BLOB NOT NULL,  -- UTF-8 as received, lone surrogates included: ids come from outside
            rule TEXT NOT NULL,
            severity TEXT NOT NULL,
            kind TEXT NOT NULL,
            seq INTEGER NOT NULL,
            open INTEGER NOT NULL,
            document TEXT NOT NULL CHECK (length(document) <= 4096),
            acknowledged INTEGER NOT NULL,
            changed_at REAL NOT NULL
        ) STRICT
        """,
        "CREATE INDEX alerts_open ON alerts (id) WHERE open = 1",
        "CREATE INDEX alerts_closed ON alerts (changed_at) WHERE open = 0",
        """
        CREATE TABLE events (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            alert_id TEXT NOT NULL REFERENCES alerts (id),
            seq INTEGER NOT NULL,
            event TEXT NOT NULL,
            body TEXT NOT NULL CHECK (length(body) <= 4096),
            committed_at REAL NOT NULL,
            offered_at REAL,
            acknowledged_at REAL,
            UNIQUE (alert_id, seq)
        ) STRICT
        """,
        "CREATE INDEX events_pending ON events (position) WHERE acknowledged_at IS NULL",
        "CREATE INDEX events_acknowledged ON events (acknowledged_at) WHERE acknowledged_at IS NOT NULL",
        """
        CREATE TABLE commands (
            request_id TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            answer BLOB NOT NULL CHECK (length(answer) <= 4096),
            forget_at REAL NOT NULL
        ) STRICT
        """,
        "CREATE INDEX commands_forget ON commands (forget_at)",
        "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    ),
    (
        # what is owed is asked for by severity, counted, and aged, without reading the events themselves
        "ALTER TABLE events ADD COLUMN rank INTEGER NOT NULL DEFAULT 0",  # 0: most severe
        """
        UPDATE events SET rank = (
            SELECT CASE severity WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'low' THEN 2 ELSE 3 END
            FROM alerts WHERE id = alert_id
        )
        """,
        "DROP INDEX events_pending",
        """
        CREATE INDEX events_due ON events (rank, position, alert_id, committed_at, acknowledged_at)
        WHERE acknowledged_at IS NULL
        """,
    ),
)
"""Step n (from 1) leads to version n. `migrations` itself records when each was taken."""
