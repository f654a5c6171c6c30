"""What goes first when the ledger has grown too large: the least severe, the oldest, what people have already.

In this order, until there is room again:

1. steps that the broker has, and that newer ones replaced;
2. closed alerts that are owed to nobody: dismissed and unconfirmed ones before confirmed ones, each by severity;
3. steps still owed that a newer owed step of the same alert repeats, by severity: `updated` and `reminder` only;
4. closed alerts of rules of severity test and low, although they are still owed.

Never an open alert, never what was acknowledged a moment ago, and of high and urgent alerts that are owed never the
first, the last or an escalated step: where nothing else is left the ledger grows on, and says so (`Evicted.stuck`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from streamwatch.domain.decisions import Severity
from streamwatch.ledger.keeping import Database
from streamwatch.ledger.retention import Fate

_STEP = 500
"""Rows of one call: it stays short, and not much more goes than must."""
_LOOKED_AT = 5000
"""Owed steps that one call looks at, the oldest of a severity: all would take a large ledger seconds."""
_SEVERITIES = tuple(reversed(Severity))
"""From the least severe."""


@dataclass(frozen=True, slots=True)
class Evicted:
    """What had to go."""

    steps: int
    """Steps that newer ones had replaced; no person misses them."""
    alerts: Counter[Severity]
    """Closed alerts that people had been told of."""
    owed: Counter[Severity]
    """Steps that nobody had been told of yet, by severity."""
    stuck: bool = False
    """It is too large, and nothing that may go is left."""
    more: bool = False
    """Nothing went, but not everything was looked at."""

    def __bool__(self) -> bool:
        """Whether anything went, or may go at the next call."""
        return bool(self.steps or self.alerts or self.owed or self.more)

    @property
    def words(self) -> str:
        """For people."""
        parts = [f"{count} closed {severity.value} alerts" for severity, count in self.alerts.items() if count]
        parts += [f"{count} undelivered {severity.value} messages" for severity, count in self.owed.items() if count]
        if self.steps:
            parts.append(f"{self.steps} replaced messages")
        return ", ".join(parts)


NOTHING = Evicted(0, Counter(), Counter())


class Round:
    """How far owed steps were looked at, by severity: those that must stay are not in the way of what lies behind."""

    def __init__(self) -> None:
        self._after: dict[Severity, int] = {}

    def after(self, severity: Severity) -> int:
        """The position behind which to look."""
        return self._after.get(severity, 0)

    def reached(self, severity: Severity, position: int | None) -> None:
        """Looked at up to there; None: to the end, so that the next round begins anew."""
        self._after[severity] = position or 0


def evict(db: Database, *, told_before: float, round_: Round) -> Evicted:
    """Delete the next in the order above, at most 500 rows. In a transaction.

    `told_before`: what was acknowledged later (wall seconds) stays.
    """
    steps = _replaced(db, told_before)
    if steps:
        return Evicted(steps, Counter(), Counter())
    for fate in (Fate.DISMISSED, Fate.UNCONFIRMED, Fate.CONFIRMED):
        for severity in _SEVERITIES:
            alerts = _told(db, fate, severity, told_before)
            if alerts:
                _delete(db, alerts)
                return Evicted(0, Counter({severity: len(alerts)}), Counter())
    unseen = False
    for severity in _SEVERITIES:
        count, more = _repeated(db, severity, round_)
        if count:
            return Evicted(0, Counter(), Counter({severity: count}))
        unseen = unseen or more
    for severity in (Severity.TEST, Severity.LOW):
        alerts = _closed(db, severity)
        if alerts:
            return Evicted(0, Counter(), Counter({severity: _delete(db, alerts)}))
    return Evicted(0, Counter(), Counter(), stuck=not unseen, more=unseen)


def _replaced(db: Database, told_before: float) -> int:
    return db.execute(
        "DELETE FROM events WHERE position IN (SELECT e.position FROM events e INDEXED BY events_taken "
        "WHERE e.acknowledged_at < ? AND EXISTS "
        "(SELECT 1 FROM events n WHERE n.alert_id = e.alert_id AND n.seq > e.seq) ORDER BY e.taken LIMIT ?)",
        (told_before, _STEP),
    ).rowcount


def _told(db: Database, fate: Fate, severity: Severity, told_before: float) -> list[tuple[str]]:
    return db.execute(
        "SELECT id FROM alerts a INDEXED BY alerts_kept "
        "WHERE open = 0 AND fate = ? AND severity = ? AND changed_at < ? AND NOT EXISTS "
        "(SELECT 1 FROM events e WHERE e.alert_id = a.id AND (e.acknowledged_at IS NULL OR e.acknowledged_at >= ?)) "
        "ORDER BY changed_at LIMIT ?",
        (fate.value, severity.value, told_before, told_before, _STEP),
    ).fetchall()


def _repeated(db: Database, severity: Severity, round_: Round) -> tuple[int, bool]:
    """How many went, and whether there are steps of the severity that this round has not looked at yet."""
    looked = db.execute(
        "SELECT position FROM events INDEXED BY events_due WHERE rank = ? AND position > ? AND acknowledged_at IS NULL "
        "ORDER BY rank, position LIMIT ?",
        (severity.rank, round_.after(severity), _LOOKED_AT),
    ).fetchall()
    if not looked:
        round_.reached(severity, None)
        return 0, False
    first, last = looked[0][0], looked[-1][0]
    count = db.execute(
        "DELETE FROM events WHERE position IN (SELECT e.position FROM events e INDEXED BY events_due "
        "WHERE e.rank = ? AND e.position BETWEEN ? AND ? AND e.acknowledged_at IS NULL "
        "AND e.event IN ('updated', 'reminder') AND e.escalated = 0 AND EXISTS (SELECT 1 FROM events n "
        "WHERE n.alert_id = e.alert_id AND n.seq > e.seq AND n.acknowledged_at IS NULL) LIMIT ?)",
        (severity.rank, first, last, _STEP),
    ).rowcount
    if not count:
        round_.reached(severity, last)
    return count, not count


def _closed(db: Database, severity: Severity) -> list[tuple[str]]:
    return db.execute(
        "SELECT id FROM alerts INDEXED BY alerts_closed WHERE open = 0 AND severity = ? ORDER BY changed_at LIMIT ?",
        (severity.value, _STEP // 5),
    ).fetchall()


def _delete(db: Database, alerts: list[tuple[str]]) -> int:
    steps = db.executemany("DELETE FROM events WHERE alert_id = ?", alerts).rowcount
    db.executemany("DELETE FROM alerts WHERE id = ?", alerts)
    return steps
