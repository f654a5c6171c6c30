"""What goes first when the ledger has grown too large: the least severe, the oldest, what people have already.

In this order, until there is room again:

1. steps that the broker has and that newer ones replaced;
2. closed alerts that are owed to nobody: dismissed and unconfirmed ones before confirmed ones, each by severity;
3. steps still owed that a newer owed step of the same alert repeats, by severity: `updated` and `reminder` only;
4. closed alerts of rules of severity test and low, although they are still owed.

Never an open alert, never the first, the last or an escalated step of a high or urgent one: where nothing else is left
the ledger grows on, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from streamwatch.domain.decisions import Severity
from streamwatch.ledger.keeping import Database
from streamwatch.ledger.retention import Fate

_STEP = 500
"""Rows of one deletion: not much more goes than must."""
_STEPS = 10
"""Deletions of one call, which thereby stays short."""
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

    def __bool__(self) -> bool:
        """Whether anything went."""
        return bool(self.steps or self.alerts or self.owed)

    @property
    def words(self) -> str:
        """For people."""
        parts = [f"{count} closed {severity.value} alerts" for severity, count in self.alerts.items() if count]
        parts += [f"{count} undelivered {severity.value} messages" for severity, count in self.owed.items() if count]
        if self.steps:
            parts.append(f"{self.steps} replaced messages")
        return ", ".join(parts)


NOTHING = Evicted(0, Counter(), Counter())


def evict(db: Database, *, too_large: Callable[[], bool]) -> Evicted:
    """Delete in the order above while `too_large`, at most a few thousand rows. In a transaction."""
    alerts: Counter[Severity] = Counter()
    owed: Counter[Severity] = Counter()
    steps = 0
    for _ in range(_STEPS):
        if not too_large():
            break
        count = _replaced(db)
        steps += count
        if not (count or _told(db, alerts) or _repeated(db, owed) or _owed(db, owed)):
            break
    return Evicted(steps, alerts, owed)


def _replaced(db: Database) -> int:
    return db.execute(
        "DELETE FROM events WHERE position IN (SELECT e.position FROM events e JOIN alerts a ON a.id = e.alert_id "
        "WHERE e.acknowledged_at IS NOT NULL AND e.seq < a.seq ORDER BY e.position LIMIT ?)",
        (_STEP,),
    ).rowcount


def _told(db: Database, gone: Counter[Severity]) -> bool:
    for fate in (Fate.DISMISSED, Fate.UNCONFIRMED, Fate.CONFIRMED):
        for severity in _SEVERITIES:
            alerts = db.execute(
                "SELECT id FROM alerts a WHERE open = 0 AND fate = ? AND severity = ? AND NOT EXISTS "
                "(SELECT 1 FROM events e WHERE e.alert_id = a.id AND e.acknowledged_at IS NULL) "
                "ORDER BY changed_at LIMIT ?",
                (fate.value, severity.value, _STEP),
            ).fetchall()
            if alerts:
                _delete(db, alerts)
                gone[severity] += len(alerts)
                return True
    return False


def _repeated(db: Database, gone: Counter[Severity]) -> bool:
    for severity in _SEVERITIES:
        count = db.execute(
            "DELETE FROM events WHERE position IN (SELECT e.position FROM events e JOIN alerts a ON a.id = e.alert_id "
            "WHERE a.severity = ? AND e.acknowledged_at IS NULL AND e.event IN ('updated', 'reminder') "
            "AND e.escalated = 0 AND EXISTS (SELECT 1 FROM events n WHERE n.alert_id = e.alert_id AND n.seq > e.seq "
            "AND n.acknowledged_at IS NULL) ORDER BY e.position LIMIT ?)",
            (severity.value, _STEP),
        ).rowcount
        if count:
            gone[severity] += count
            return True
    return False


def _owed(db: Database, gone: Counter[Severity]) -> bool:
    for severity in (Severity.TEST, Severity.LOW):
        alerts = db.execute(
            "SELECT id FROM alerts WHERE open = 0 AND severity = ? ORDER BY changed_at LIMIT ?",
            (severity.value, _STEP // 5),
        ).fetchall()
        if alerts:
            gone[severity] += _delete(db, alerts)
            return True
    return False


def _delete(db: Database, alerts: list[tuple[str]]) -> int:
    steps = db.executemany("DELETE FROM events WHERE alert_id = ?", alerts).rowcount
    db.executemany("DELETE FROM alerts WHERE id = ?", alerts)
    return steps
