"""How long alerts stay in the ledger once they are closed, by what people made of them. Pure.

What nobody confirmed was a suspicion and no more: it goes first. What is owed to people stays whatever its age.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from math import inf

HOUR_S, DAY_S = 3600.0, 86400.0


class Fate(StrEnum):
    """What became of a closed alert."""

    CONFIRMED = "confirmed"
    """A person's newest word on it is `confirm` or `escalate`."""
    DISMISSED = "dismissed"
    UNCONFIRMED = "unconfirmed"
    """Nobody judged it, or not to an end."""


_OF_VERDICT = {"confirm": Fate.CONFIRMED, "escalate": Fate.CONFIRMED, "dismiss": Fate.DISMISSED}


def fate(document: str) -> Fate:
    """The fate of an alert, from its newest document. What cannot be read was confirmed by nobody."""
    try:
        human = json.loads(document)["human"]
        return _OF_VERDICT.get(human["verdict"], Fate.UNCONFIRMED)
    except (ValueError, TypeError, KeyError):
        return Fate.UNCONFIRMED


@dataclass(frozen=True, slots=True)
class Due:
    """Closed alerts that changed last before these moments (wall seconds) shall go."""

    confirmed: float
    dismissed: float
    unconfirmed: float
    samples: float = -inf
    """Scores of single frames before this go."""

    def before(self, fate: Fate) -> float:
        """The moment for one fate."""
        return {
            Fate.CONFIRMED: self.confirmed,
            Fate.DISMISSED: self.dismissed,
            Fate.UNCONFIRMED: self.unconfirmed,
        }[fate]

    @property
    def events(self) -> float:
        """Of alerts that stay, events before this go that are neither owed nor the newest."""
        return self.confirmed

    @classmethod
    def all(cls, before: float) -> Due:
        """One moment for all."""
        return cls(before, before, before, before)


@dataclass(frozen=True, slots=True)
class Keep:
    """Seconds for which closed alerts are kept."""

    confirmed_s: float = 365 * DAY_S
    dismissed_s: float = 72 * HOUR_S
    unconfirmed_s: float = 72 * HOUR_S
    samples_s: float = 0.0
    """Of scores of single frames; 0: none are kept, and what was kept before goes."""

    def due(self, now: float) -> Due:
        """What is over now (wall seconds)."""
        return Due(*(now - s for s in (self.confirmed_s, self.dismissed_s, self.unconfirmed_s, self.samples_s)))
