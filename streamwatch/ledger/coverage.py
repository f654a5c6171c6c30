"""The books of coverage in the ledger's tables: facts by account, buckets by their time.

Buckets lie in the order of their time, so that what is written every few seconds, the newest of every stream, is a few
neighbouring pages of the file, and what is too old goes in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from streamwatch.domain.coverage import BooksRecord, Bucket, Page


class Rows(Protocol):
    """An answer of the database."""

    def fetchall(self) -> list[Any]:
        """Every row."""
        ...


class Database(Protocol):
    """What is needed of a connection."""

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, query: str, values: Iterable[Sequence[Any]], /) -> Rows:
        """Run one statement for each row of values."""
        ...


_SAVE_PAGE = (
    "INSERT INTO coverage_pages (kind, name, facts) VALUES (?, ?, ?) "
    "ON CONFLICT (kind, name) DO UPDATE SET facts = excluded.facts"
)


def save(db: Database, record: BooksRecord) -> None:
    """Write a record over the one before; inside a transaction."""
    names = {(page.kind, page.name): _blob(page.name) for page in record.pages}
    db.execute(
        "INSERT OR REPLACE INTO coverage_books VALUES (1, ?, ?, ?, ?)",
        (record.at, record.wall, record.monotonic, record.boot),
    )
    db.executemany("DELETE FROM coverage_pages WHERE kind = 'stream' AND name = ?", [(_blob(s),) for s in record.gone])
    db.executemany(_SAVE_PAGE, [(page.kind, names[page.kind, page.name], page.facts) for page in record.pages])
    numbers = {
        (kind, bytes(name)): number
        for number, kind, name in db.execute("SELECT number, kind, name FROM coverage_pages").fetchall()
    }
    db.executemany(
        "INSERT OR REPLACE INTO coverage_buckets VALUES (?, ?, ?, ?, ?, ?)",
        [
            (bucket.width_s, bucket.number, number, bucket.live_s, bucket.uncovered_s, bucket.breaches)
            for page in record.pages
            for number in (numbers[page.kind, names[page.kind, page.name]],)
            for bucket in page.buckets
        ],
    )
    db.executemany("DELETE FROM coverage_buckets WHERE width_s = ? AND number < ?", record.oldest)


def load(db: Database) -> BooksRecord | None:
    """Read the record, None where there is none."""
    rows = db.execute("SELECT at, wall, monotonic, boot FROM coverage_books").fetchall()
    if not rows:
        return None
    at, wall, monotonic, boot = rows[0]
    buckets: dict[int, list[Bucket]] = {}
    for page, *bucket in db.execute(
        "SELECT page, width_s, number, live_s, uncovered_s, breaches FROM coverage_buckets"
    ).fetchall():
        buckets.setdefault(page, []).append(Bucket(*bucket))
    pages = tuple(
        Page(kind, bytes(name).decode("utf-8", "surrogatepass"), facts, tuple(buckets.get(number, ())))
        for number, kind, name, facts in db.execute(
            "SELECT number, kind, name, facts FROM coverage_pages ORDER BY number"
        ).fetchall()
    )
    return BooksRecord(at, wall, monotonic, boot, pages)


def _blob(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
