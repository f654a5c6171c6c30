"""What a person's command asks of a daemon's ledger while that daemon may be writing it. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamwatch.ledger.database import ReadOnly

AMBIGUOUS = 2
"""So many names that begin alike are told, so that a person sees that one is not enough."""

_ALERT = (
    "a.id, a.stream, a.rule, a.severity, a.kind, a.seq, a.open, a.document, a.acknowledged, a.changed_at, a.fate, "
    "(SELECT count(*) FROM events e WHERE e.alert_id = a.id AND e.acknowledged_at IS NULL)"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts; what is None or empty asks for nothing."""

    open_only: bool = False
    from_id: str = ""
    """Alerts whose names sort at or after this one: names sort by the time at which they were made."""
    severity: str | None = None
    rule: str | None = None
    stream: str | None = None


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as it stands. Words are as written, which a newer or a damaged file may have spelt in its own way."""

    id: str
    stream: str
    rule: str
    severity: str
    kind: str
    seq: int
    open: bool
    document: str
    """The newest step's body, JSON."""
    acknowledged: bool
    changed_at: float
    """Wall seconds of the newest step."""
    fate: str
    """`confirmed`, `dismissed` or `unconfirmed`."""
    owed: int
    """Steps that the broker has not acknowledged."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of an alert, and how far it came. Wall seconds; None: not yet."""

    seq: int
    event: str
    committed_at: float
    offered_at: float | None
    acknowledged_at: float | None
    escalated: bool
    body: str


@dataclass(frozen=True, slots=True)
class RuleTally:
    """What became of a rule's alerts."""

    rule: str
    test: bool
    """Alerts of severity test, which are never counted together with others."""
    alerts: int
    open: int
    confirmed: int
    dismissed: int

    @property
    def undecided(self) -> int:
        """Alerts that nobody judged, or not to an end."""
        return self.alerts - self.confirmed - self.dismissed


class Reading:
    """The questions. Every call raises LedgerError where the file does not answer."""

    def __init__(self, file: ReadOnly) -> None:
        self._file = file

    def alerts(self, wanted: Wanted, *, limit: int) -> Sequence[AlertRow]:
        """The newest alerts that are wanted, oldest first."""
        conditions, values = ["a.id >= ?"], [wanted.from_id]
        for column, value in (("severity", wanted.severity), ("rule", wanted.rule)):
            if value is not None:
                conditions.append(f"a.{column} = ?")
                values.append(value)
        if wanted.open_only:
            conditions.append("a.open = 1")
        stream = None if wanted.stream is None else wanted.stream.encode("utf-8", "surrogatepass")
        query = (
            f"SELECT {_ALERT} FROM alerts a WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants of this file
            "AND (? IS NULL OR a.stream = ?) ORDER BY a.id DESC LIMIT ?"
        )
        rows = self._file.rows(query, *values, stream, stream, limit)
        return [_alert(row) for row in reversed(rows)]

    def find(self, name: str) -> Sequence[AlertRow]:
        """The alert of that name, or the first two whose names begin so."""
        query = f"SELECT {_ALERT} FROM alerts a WHERE substr(a.id, 1, ?) = ? ORDER BY a.id LIMIT ?"  # noqa: S608 - the same
        return [_alert(row) for row in self._file.rows(query, len(name), name, AMBIGUOUS)]

    def steps(self, alert_id: str) -> Sequence[StepRow]:
        """An alert's steps in order, as far as they are kept."""
        rows = self._file.rows(
            "SELECT seq, event, committed_at, offered_at, acknowledged_at, escalated <> 0, body FROM events "
            "WHERE alert_id = ? ORDER BY seq",
            alert_id,
        )
        return [StepRow(*row) for row in rows]

    def tally(self, *, from_id: str) -> Sequence[RuleTally]:
        """What became of the alerts from one name on, by rule; tests last."""
        rows = self._file.rows(
            "SELECT rule, severity = 'test', count(*), sum(open), sum(fate = 'confirmed'), sum(fate = 'dismissed') "
            "FROM alerts WHERE id >= ? GROUP BY 1, 2 ORDER BY 2, 1",
            from_id,
        )
        return [RuleTally(row[0], bool(row[1]), *row[2:]) for row in rows]


@contextmanager
def reading(folder: Path) -> Iterator[Reading]:
    """The ledger in a state folder. Raises OutsideError where none can be read there."""
    file = ReadOnly(folder)
    try:
        yield Reading(file)
    finally:
        file.close()


def _alert(row: tuple[Any, ...]) -> AlertRow:
    id_, stream, rule, severity, kind, seq, open_, document, acknowledged, changed_at, fate, owed = row
    return AlertRow(
        id_,
        name_of(stream),
        rule,
        severity,
        kind,
        seq,
        bool(open_),
        document,
        bool(acknowledged),
        changed_at,
        fate,
        owed,
    )


def name_of(blob: object) -> str:
    """A stream's name for people: what a disk changed in it is shown, and no reason to fail."""
    return str(blob, "utf-8", "backslashreplace") if isinstance(blob, bytes) else str(blob)
