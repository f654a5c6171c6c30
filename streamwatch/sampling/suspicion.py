"""How suspicious a stream is: evidence raises it at once and fades; demands from outside stand until they expire."""

from __future__ import annotations

import math

HALF_LIFE_S = 10.0
"""Suspicion halves in this time once nothing renews it: an act may come back; a false hit must not stay dear."""

_CALM_BELOW = 0.01
"""A hundredth is calm: the gap is `max_gap` exactly."""


class Suspicion:
    """Of one stream, 0 calm … 1 look as often as allowed. Monotonic seconds; one caller at a time."""

    def __init__(self) -> None:
        self._raised = 0.0
        self._at = 0.0
        self._demanded = (0.0, -math.inf)
        """From outside: how much, and until when it stands."""

    def at(self, now: float) -> float:
        """How much there is at a moment."""
        demanded, until = self._demanded
        faded = self._faded(now)
        return max(faded, demanded) if now < until else faded

    def rise(self, suspicion: float, now: float) -> None:
        """Evidence asks for at least so much; it never falls but by its half-life."""
        self._raised = max(self._faded(now), min(max(suspicion, 0.0), 1.0))
        self._at = now

    def demand(self, suspicion: float, until: float) -> None:
        """Somebody outside asks for at least so much until then, in the place of what was asked before."""
        self._demanded = (min(max(suspicion, 0.0), 1.0), until)

    def _faded(self, now: float) -> float:
        level = self._raised * math.pow(0.5, max(now - self._at, 0.0) / HALF_LIFE_S)
        return level if level > _CALM_BELOW else 0.0
