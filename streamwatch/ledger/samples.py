"""Scores of single frames, where an operator keeps them (`state.retention.samples`). Numbers and labels: no picture.

One line a frame, of at most 2048 characters. Where a detector knows more labels than fit, the highest scores are kept,
and those left out read as 0 later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streamwatch.domain.media import Aim, Scores
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.keeping import Database

MAX_LINE = 2048
_SESSION = 64
"""Characters; sessions have at most 16."""
_PAGE = 5000
"""Rows read at a time: a reader keeps the daemon from tidying its log for no longer."""
_TIDIED = 2
"""For each row that is written, so many may go: what is too old or too large shrinks."""
_ROW = 64
"""Bytes that a row takes beside its words, with its place in the index."""

Row = tuple[float, bytes, str]
"""When it arrived (wall seconds), the stream's id, the line: a row as the table has it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What was found in one frame, and how it was looked at."""

    at: float
    """Wall seconds of its arrival."""
    stream: StreamId
    session: str
    arrival: float
    """The same instant on the machine's monotonic clock."""
    media_s: float
    look: Aim
    scores: tuple[Scores, ...]
    corrupt: bool = False
    blind: bool = False
    trimmed: bool = False
    """Labels of low scores were left out."""

    def row(self) -> Row:
        """As the table has it."""
        return self.at, self.stream.encode("utf-8", "surrogatepass"), self._line()

    def _line(self) -> str:
        facts: dict[str, Any] = {
            "s": self.session[:_SESSION],
            "a": self.arrival,
            "m": self.media_s,
            "l": self.look.value,
            **{key: 1 for key, holds in (("c", self.corrupt), ("b", self.blind), ("x", self.trimmed)) if holds},
        }
        found = {scores.detector: dict(scores.values) for scores in self.scores}
        line = _text({**facts, "d": found})
        if len(line) <= MAX_LINE:
            return line
        every = sorted(
            ((score, name, label) for name, labels in found.items() for label, score in labels.items()), reverse=True
        )
        most = len(every)
        while len(line) > MAX_LINE:
            most = most * 3 // 4
            best: dict[str, dict[str, float]] = {name: {} for name in found} if most else {}
            for score, name, label in every[:most]:
                best[name][label] = score
            line = _text({**facts, "x": 1, "d": best})
        return line


def scored(row: Sequence[Any]) -> Scored | None:
    """A row of the table as a value; None where it is none."""
    at, stream, line = row
    try:
        facts = json.loads(line)
        found = tuple(
            Scores(str(name), tuple((str(label), float(score)) for label, score in labels.items()))
            for name, labels in facts["d"].items()
        )
        return Scored(
            at=float(at),
            stream=StreamId(bytes(stream).decode("utf-8", "surrogatepass")),
            session=str(facts["s"]),
            arrival=float(facts["a"]),
            media_s=float(facts["m"]),
            look=Aim(facts["l"]),
            scores=found,
            corrupt="c" in facts,
            blind="b" in facts,
            trimmed="x" in facts,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def keep(db: Database, rows: Sequence[Row], *, before: float, limit_bytes: int) -> None:
    """Write rows, in a transaction; a few of those that are due (from `before`, wall seconds) or too many go.

    The oldest make room where the table is larger than `limit_bytes`.
    """
    db.executemany("INSERT INTO samples VALUES (?, ?, ?)", rows)
    room = _TIDIED * len(rows)
    room -= db.execute(
        "DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples WHERE at < ? ORDER BY at LIMIT ?)",
        (before, room),
    ).rowcount
    # two questions: asked for both at once, SQLite reads the whole table
    ends = "SELECT (SELECT min(rowid) FROM samples), (SELECT max(rowid) FROM samples)"
    [(oldest, newest)] = db.execute(ends).fetchall()
    if oldest is None:
        return
    recent = "SELECT length(line) AS size FROM samples ORDER BY rowid DESC LIMIT 200"
    [(size,)] = db.execute(f"SELECT avg(size) FROM ({recent})").fetchall()  # noqa: S608 - a constant of this file
    over = (newest - oldest + 1) - int(limit_bytes / (size + _ROW))
    if over > 0 and room > 0:
        db.execute("DELETE FROM samples WHERE rowid < ?", (oldest + min(over, room),))


class Rows(Protocol):
    """Whatever answers a question."""

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The answer. Raises LedgerError."""
        ...


def stored(file: Rows, *, since: float) -> Iterator[Scored | None]:
    """What arrived since then, as it came in; None for what cannot be read. Raises LedgerError."""
    [(at,)] = file.rows("SELECT min(rowid) FROM samples WHERE at >= ?", since)
    last = at - 1 if at is not None else None
    while last is not None:
        page = file.rows(
            "SELECT rowid, at, stream, line FROM samples WHERE rowid > ? ORDER BY rowid LIMIT ?", last, _PAGE
        )
        for row in page:
            if row[1] >= since:  # the wall clock may have been set back in between
                yield scored(row[1:])
        last = page[-1][0] if page else None


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
