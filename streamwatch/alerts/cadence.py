"""How often an open alert speaks, and when it becomes graver: pure, each figure with its reason."""

from __future__ import annotations

from typing import Literal

from streamwatch.domain.alerts import Alert
from streamwatch.domain.decisions import RuleSpec, Severity

UPDATE_EVERY_S = 10.0
"""While hits go on, people see at least so often that it is still happening; more often would bury other alerts."""
SCORE_STEP = 0.05
"""A rise that a person reading two decimals would call higher. Scores are at most 1, so there are few of these."""

_FIRST_REMINDER_S = {Severity.URGENT: 30.0, Severity.HIGH: 120.0, Severity.LOW: 600.0}
_BACKOFF_LIMIT = 8
"""Reminders double their distance up to this multiple, and then go on: nobody has acknowledged, so silence is wrong."""


def reminder_after(severity: Severity, reminders: int) -> float | None:
    """Seconds from the last spoken event to the next reminder, after so many reminders; None: never."""
    first = _FIRST_REMINDER_S.get(severity)
    return None if first is None else first * min(2 ** min(reminders, 16), _BACKOFF_LIMIT)


def opening_severity(spec: RuleSpec, score: float) -> Severity:
    """The severity at which an alarm of this score opens: what is grave enough opens as such, whatever is muted."""
    when = spec.raise_
    graver_at_once = when is not None and when.score is not None and score >= when.score
    return when.to if when is not None and graver_at_once and spec.severity is not Severity.TEST else spec.severity


def graver(
    spec: RuleSpec, alert: Alert, *, score: float, lasted_s: float
) -> tuple[Severity, Literal["score", "duration"]] | None:
    """The severity that an open alert takes on now by its rule, and why; None where it stays. It never falls.

    `lasted_s`: from the first triggering frame to the newest, by a steady clock.
    """
    when = spec.raise_
    if when is None or alert.severity is Severity.TEST or when.to.rank >= alert.severity.rank:
        return None
    if when.score is not None and score >= when.score:
        return when.to, "score"
    if when.after_s is not None and lasted_s >= when.after_s:
        return when.to, "duration"
    return None
