"""What an operator decides about the life of alerts: when others are called, when a flood is one word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamwatch.domain.alerts import Expect
from streamwatch.domain.decisions import Severity


@dataclass(frozen=True, slots=True)
class LifePolicy:
    """The section `alerts` of the configuration. Times in seconds."""

    escalate_s: Mapping[Severity, float] = field(default_factory=lambda: {Severity.URGENT: 60.0, Severity.HIGH: 600.0})
    """How long an alert may stay unacknowledged before it is said on `P/escalations` too; 0 or missing: for ever."""
    flood_streams: int = 20
    """More streams than this that open a rule within `flood_within_s` are one summary; 0: never."""
    flood_within_s: float = 600.0
    hold_s: float = 1800.0
    """How long directories are asked not to promote a stream, from each word about its alert on; 0: not at all."""
    preserve_within_s: float = 300.0
    """Until when whoever records shall answer."""
    preserve_answer: Expect = Expect.AUTO
    duty: Expect = Expect.AUTO
    """Whether somebody must be on duty while streams are live."""
