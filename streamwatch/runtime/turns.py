"""Whose turn it is: detectors that do not want every look (`detectors[].every`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streamwatch.detectors.base import Detector


@dataclass(frozen=True, slots=True)
class Station:
    """A detector and the least time between two pictures that it scores, in seconds."""

    detector: Detector
    every_s: float = 0.0


@dataclass(slots=True)
class Turns:
    """For one stream: which detectors score the next look."""

    stations: Sequence[Station]
    _last: dict[str, float] = field(default_factory=dict)

    def at(self, arrival: float) -> tuple[Detector, ...]:
        """The detectors whose turn it is at `arrival`; all of them where it is nobody's: a look always scores."""
        due = tuple(
            station.detector
            for station in self.stations
            if arrival - self._last.get(station.detector.info.name, -station.every_s) >= station.every_s
        )
        return due or tuple(station.detector for station in self.stations)

    def scored(self, detector: str, arrival: float) -> None:
        """This detector scored a picture that arrived then."""
        self._last[detector] = arrival
