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
    (
        # the books of coverage: what was watched and what was not, by account and span of time; never by viewer
        """
        CREATE TABLE coverage_books (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            at REAL NOT NULL,  -- book time: seconds since the epoch when the books began, running evenly since
            wall REAL NOT NULL,
            monotonic REAL NOT NULL,
            boot TEXT NOT NULL CHECK (length(boot) <= 64)
        ) STRICT
        """,
        """
        CREATE TABLE coverage_pages (
            number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given again: buckets of what is gone go by their age
            kind TEXT NOT NULL CHECK (kind IN ('node', 'origin', 'stream')),
            name BLOB NOT NULL,  -- UTF-8 as received, lone surrogates included
            facts TEXT NOT NULL CHECK (length(facts) <= 16384),
            UNIQUE (kind, name)
        ) STRICT
        """,
        """
        CREATE TABLE coverage_buckets (
            width_s INTEGER NOT NULL,
            number INTEGER NOT NULL,
            page INTEGER NOT NULL,
            live_s REAL NOT NULL,
            uncovered_s REAL NOT NULL,
            breaches INTEGER NOT NULL,
            PRIMARY KEY (width_s, number, page)
        ) WITHOUT ROWID, STRICT
        """,
    ),
    (
        # what nobody confirmed goes sooner than what somebody did
        """
        ALTER TABLE alerts ADD COLUMN fate TEXT NOT NULL DEFAULT 'unconfirmed'
        CHECK (fate IN ('confirmed', 'dismissed', 'unconfirmed'))
        """,
        """
        UPDATE alerts SET fate = CASE json_extract(document, '$.human.verdict')
            WHEN 'confirm' THEN 'confirmed' WHEN 'escalate' THEN 'confirmed' WHEN 'dismiss' THEN 'dismissed'
            ELSE 'unconfirmed' END
        WHERE json_valid(document)
        """,
        "CREATE INDEX alerts_kept ON alerts (fate, changed_at) WHERE open = 0",
    ),
    (
        "ALTER TABLE events ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0",
        # the order of acknowledgements, which no clock can turn round
        "ALTER TABLE events ADD COLUMN taken INTEGER",
        "CREATE INDEX events_taken ON events (taken, acknowledged_at) WHERE acknowledged_at IS NOT NULL",
        # of what is urgent the newest alerts go first
        """
        CREATE INDEX events_urgent ON events (alert_id DESC, seq, position, rank, acknowledged_at)
        WHERE acknowledged_at IS NULL AND rank = 0
        """,
        # scores without pictures, where an operator asks for them (state.retention.samples)
        """
        CREATE TABLE samples (
            at REAL NOT NULL,
            stream BLOB NOT NULL,
            line TEXT NOT NULL CHECK (length(line) <= 2048)
        ) STRICT
        """,
        "CREATE INDEX samples_at ON samples (at)",
    ),
)
"""Step n (from 1) leads to version n. `migrations` itself records when each was taken."""
