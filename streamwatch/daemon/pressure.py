"""Watchers that are asked for more looks than they can take: declared, in status and figures. Event loop only."""

from __future__ import annotations

import math

from streamwatch.link.messages import Beat
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

FULL, ROOM = 1.05, 0.95
"""Loads at which it is said that the promise is too much, and that it no longer is: both sides are estimates."""

STRETCHED, EASED = 1.1, 1.02
"""The same for suspicion."""

MOST = 10
"""What is more than that is said as such: people do the same whether it is 12 times or 40."""

_KEY = "overload"
_AGAIN = 1 / 3
"""A factor is said anew where it differs by so much of what was said: it wanders, and each word is a status anew."""


class Pressure:
    """What all watchers said last of how full they are."""

    def __init__(self, *, metrics: Metrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health
        self._beats: dict[int, Beat] = {}
        self._floor = _Said(FULL, ROOM)
        self._suspicion = _Said(STRETCHED, EASED)

    def beat(self, slot: int, beat: Beat) -> None:
        """Take the word of the watcher in a slot."""
        self._beats[slot] = beat
        self._judge()

    def lost(self, slot: int) -> None:
        """That watcher is gone, and what it said with it."""
        if self._beats.pop(slot, None) is not None:
            self._judge()

    def _judge(self) -> None:
        beats = self._beats.values()
        load = max((beat.load for beat in beats), default=0.0)
        suspicion = max((beat.suspicion_stretch for beat in beats), default=1.0)
        floor = max((beat.floor_stretch for beat in beats), default=1.0)
        self._metrics.load.set(load)
        self._metrics.stretch.labels("floor").set(floor)
        self._metrics.stretch.labels("suspicion").set(suspicion)
        said = []
        if times := self._floor.hear(load):
            said.append(f"watchers have {times} the looks they can take; gaps stretch as much")
        if times := self._suspicion.hear(suspicion):
            said.append(f"suspicious streams are looked at {times} more seldom than they should")
        if said:
            self._health.degrade(_KEY, "; ".join(said))
        else:
            self._health.mend(_KEY)


class _Said:
    """One factor, as people are told of it: seldom anew, and not for every wobble."""

    def __init__(self, over: float, under: float) -> None:
        """`over`, `under`: at which it is too much, and at which it no longer is."""
        self._over = over
        self._under = under
        self._factor: float | None = None

    def hear(self, factor: float) -> str:
        """Return how it is said now; empty where it is not too much."""
        said = self._factor
        if factor <= (self._over if said is None else self._under):
            self._factor = None
            return ""
        if said is None or abs(factor - said) >= said * _AGAIN:
            self._factor = said = _rough(factor)
        return f"more than {MOST} times" if said > MOST else f"about {said:g} times"


def _rough(factor: float) -> float:
    """In steps of a quarter, and of one from three on; upwards."""
    if factor > MOST:
        return factor
    return float(math.ceil(factor)) if factor >= 3 else math.ceil(factor * 4) / 4  # noqa: PLR2004
