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

_KEY = "overload"


class Pressure:
    """What all watchers said last of how full they are."""

    def __init__(self, *, metrics: Metrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health
        self._beats: dict[int, Beat] = {}
        self._floor = False
        self._suspicion = False

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
        self._floor = load > (ROOM if self._floor else FULL)
        self._suspicion = suspicion > (EASED if self._suspicion else STRETCHED)
        said = []
        if self._floor:
            said.append(f"watchers have about {_rough(load)} times the looks they can take; gaps stretch as much")
        if self._suspicion:
            said.append(f"suspicious streams are looked at {_rough(suspicion)} times more seldom than they should")
        if said:
            self._health.degrade(_KEY, "; ".join(said))
        else:
            self._health.mend(_KEY)


def _rough(factor: float) -> str:
    """A number that people see change when it matters: steps of a quarter, and of one from three on."""
    return f"{math.ceil(factor):d}" if factor >= 3 else f"{math.ceil(factor * 4) / 4:g}"  # noqa: PLR2004
