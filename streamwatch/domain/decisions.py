"""Rules, and what a policy concludes from scores over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from streamwatch.domain.media import Aim


class Severity(StrEnum):
    """How urgent an alert of a rule is. `test` never mixes with the others."""

    URGENT = "urgent"
    HIGH = "high"
    LOW = "low"
    TEST = "test"

    @property
    def rank(self) -> int:
        """0 for the gravest."""
        return tuple(Severity).index(self)


class Kind(StrEnum):
    """What sort of finding an alert reports."""

    CLASSIFIER = "classifier"
    KNOWN_CONTENT = "known_content"
    CONTEXT_REQUIRED = "context_required"
    EVASION = "evasion"
    TEST = "test"


class Mode(StrEnum):
    """A shadow detector is scored and counted, and never opens an alert."""

    ACTIVE = "active"
    SHADOW = "shadow"


class Level(StrEnum):
    """What a policy says of a stream and a rule now. Levels are idempotent; edges belong to the alert desk."""

    CALM = "calm"
    SUSPECTED = "suspected"
    """Something scored, not yet confirmed: look more often."""
    ALARM = "alarm"
    """Confirmed, and not yet quiet for long enough."""


@dataclass(frozen=True, slots=True)
class OpenWhen:
    """`hits` frames at or over `score`, each `spacing_s` of media time apart, within `within_s`."""

    score: float
    hits: int
    within_s: float
    spacing_s: float


@dataclass(frozen=True, slots=True)
class CloseWhen:
    """Every frame under `score` for `for_s`."""

    score: float
    for_s: float


@dataclass(frozen=True, slots=True)
class RaiseWhen:
    """An open alert becomes graver: at a higher score, or once it has gone on for so long; None: not for that."""

    to: Severity
    score: float | None
    after_s: float | None
    """Seconds from the first triggering frame to the newest."""


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """One rule of the configuration."""

    name: str
    detector: str
    label: str
    severity: Severity
    kind: Kind
    open: OpenWhen
    close: CloseWhen
    cooldown_s: float
    raise_: RaiseWhen | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One frame that counted: when and how high, never what."""

    at: datetime
    arrival: float
    media_s: float
    score: float
    look: Aim | None = Aim.KEY
    """How it was seen."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's standing answer for one stream and rule."""

    rule: str
    level: Level
    suspicion: float
    """0 calm … 1 look as often as allowed; the demand that flows back to the sampler."""
    score: float
    """The highest score since the level left calm; the newest score while calm."""
    hits: tuple[Hit, ...] = ()
    """The frames that confirmed it, oldest first; at most the rule's `hits`."""
    first_seen: Hit | None = None
    last_seen: Hit | None = None
    missing: int = 0
    """Suspected only: hits that are still missing …"""
    spacing_s: float = 0.0
    """… each at least so many seconds of media from the others."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the daemon remembers of a stream and rule and gives to a (new) watcher, so that a crash forgets nothing."""

    rule: str
    open: bool
    """An alert is open: begin at level alarm and close only by the rule's own close condition."""
    cooldown_until: float | None = None
    """Monotonic seconds until which a new alert stays closed."""
