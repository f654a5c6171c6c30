"""What closed alerts in the ledger still mean after a restart: cool-downs, judged evidence, informational limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from streamwatch.alerts.base import DeskRule, Store
from streamwatch.alerts.parts import Human
from streamwatch.alerts.quiet import INFORMATIONAL_EVERY_S, Key, QuietSpells
from streamwatch.alerts.voice import Entry, read
from streamwatch.domain.alerts import Alert, CloseReason
from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.streams import StreamId

_COOLING_CLOSES = (CloseReason.QUIET, CloseReason.VERDICT)
"""After these a cool-down runs. Not after `ended`: reconnecting must not buy a silence."""


def remember_closed(
    store: Store, quiet: QuietSpells, *, rules: Mapping[str, DeskRule], clock: Clock, open_keys: Collection[Key]
) -> None:
    """Take up every alert that closed within the longest spell."""
    wall = clock.now()
    window = max([rule.spec.cooldown_s for rule in rules.values()] + [INFORMATIONAL_EVERY_S])
    for alert in store.closed_since((wall - timedelta(seconds=window)).timestamp()):
        entry = read(alert)
        if entry is None or entry.key in open_keys:
            continue
        age = max(wall.timestamp() - alert.changed_at, 0.0)
        cooldown_s = _cooldown_s(entry, rules.get(alert.rule))
        quiet.closed(
            entry.key,
            known=None,
            now=clock.monotonic(),
            cooldown_s=max(cooldown_s - age, 0.0),
            age_s=age,
        )
        remember_informed(quiet, entry, stream=alert.stream, now=clock.monotonic(), age_s=age)


def cools(alert: Alert, reason: CloseReason, human: Human | None, *, rule: Severity) -> bool:
    """Whether a close begins a cool-down. Never after what people confirmed: that it begins again must be told.

    `rule`: the severity that its rule opens at: what was raised, and dismissed by two people, rests like others of it.

    Signs of evasion have one after `ended` too: who reconnects again and again would be told each time what is known.
    """
    if human is not None and human.verdict in ("confirm", "escalate"):
        return False
    if (rule if reason is CloseReason.VERDICT else alert.severity) is Severity.URGENT:
        return False
    return reason in _COOLING_CLOSES or (reason is CloseReason.ENDED and alert.kind is Kind.EVASION)


def remember_informed(quiet: QuietSpells, entry: Entry, *, stream: StreamId, now: float, age_s: float) -> None:
    """An informational alert holds the next one back, also across a restart."""
    if entry.document.trace.informational:
        quiet.informed(stream, until=now + INFORMATIONAL_EVERY_S - age_s)


def _cooldown_s(entry: Entry, rule: DeskRule | None) -> float:
    """Seconds of cool-down that began with the alert's last event."""
    document = entry.document
    if rule is None or document.close_reason is None:
        return 0.0
    return (
        rule.spec.cooldown_s
        if cools(entry.alert, document.close_reason, document.human, rule=rule.spec.severity)
        else 0.0
    )
