"""For how long something has been so: the two measures that turn a moment's finding into a score from 0 to 1. Pure."""

from __future__ import annotations

_LONGEST_STEP_S = 5.0
"""Facts come every second; over a longer silence nobody knows what was so."""


class Run:
    """Of looks: from the first to the newest of an unbroken row. Between looks nothing is claimed."""

    def __init__(self, needed_s: float, looks: int) -> None:
        """Complete after `needed_s` seconds and so many looks: two alike prove nothing of the time between."""
        self._needed_s = needed_s
        self._looks = looks
        self._first = 0.0
        self._last = 0.0
        self._count = 0

    def saw(self, arrival: float, *, holds: bool) -> None:
        """One look more, in order of arrival."""
        if not holds:
            self._count = 0
            return
        if not self._count:
            self._first = arrival
        self._last = arrival
        self._count += 1

    @property
    def score(self) -> float:
        """Share of what is needed."""
        if not self._count:
            return 0.0
        return min((self._last - self._first) / self._needed_s, self._count / self._looks, 1.0)


class Lasting:
    """Of time: grows while it is so and shrinks as fast while it is not, so that short breaks hide nothing."""

    def __init__(self, needed_s: float) -> None:
        self._needed_s = needed_s
        self._level_s = 0.0
        self._holds = False
        self._at: float | None = None

    def at(self, now: float, *, holds: bool) -> None:
        """What is so now; what was said last counts until now."""
        if self._at is not None and (self._holds or self._level_s):
            step = min(max(now - self._at, 0.0), _LONGEST_STEP_S)
            grown = self._level_s + (step if self._holds else -step)
            self._level_s = min(max(grown, 0.0), self._needed_s)
        self._at, self._holds = now, holds

    @property
    def score(self) -> float:
        """Share of what is needed."""
        return self._level_s / self._needed_s
