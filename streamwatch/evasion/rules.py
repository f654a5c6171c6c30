"""The rules that hold where the operator writes none: one for each sign. Pure."""

from __future__ import annotations

from collections.abc import Collection

from streamwatch.domain.decisions import CloseWhen, Kind, OpenWhen, RuleSpec, Severity
from streamwatch.domain.evasion import DETECTOR, Sign

_OPEN = OpenWhen(score=1.0, hits=1, within_s=10.0, spacing_s=0.0)
"""A score of 1 says that the sign has lasted as long as its definition asks: that is the confirmation."""
_CLOSE = CloseWhen(score=0.5, for_s=60.0)
"""Longer than any sign takes to come back to one half, so that a restart of the watcher is no end."""
_COOLDOWN_S = 600.0
"""What is of low severity and goes on, or comes again and again, is told six times an hour at most."""


def rule_name(sign: Sign) -> str:
    """Name of a sign's built-in rule, as it stands in alerts: `evasion-black`."""
    return f"{DETECTOR}-{sign.value.replace('_', '-')}"


def builtin(severity: Severity, *, but: Collection[str] = ()) -> tuple[RuleSpec, ...]:
    """A rule for every sign whose label is not in `but`."""
    return tuple(
        RuleSpec(
            name=rule_name(sign),
            detector=DETECTOR,
            label=sign.value,
            severity=severity,
            kind=Kind.EVASION,
            open=_OPEN,
            close=_CLOSE,
            cooldown_s=_COOLDOWN_S,
        )
        for sign in Sign
        if sign.value not in but
    )
