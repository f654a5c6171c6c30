"""Sums over the last minute, hour and day in bounded memory: rings of buckets. Pure.

Times are seconds of book time. A window ends with the bucket that the present lies in, so it is up to one bucket
longer than its name says: 60-65 s, 60-61 min, 24 h - 24 h 10 min.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from streamwatch.domain.coverage import Bucket


class Window(NamedTuple):
    """One ring's measure."""

    name: str
    width_s: int
    size: int


STEP_S = 5
"""Accounts are settled in steps of so many seconds of book time, which is the finest bucket: a thousand of them cost
4 ms a step."""
WINDOWS = (Window("1m", STEP_S, 13), Window("1h", 60, 61), Window("24h", 600, 145))
"""5.2 kB an account."""
MINUTE, HOUR, DAY = range(len(WINDOWS))


class Sums(NamedTuple):
    """Stream-seconds and breaches that began."""

    live_s: float
    uncovered_s: float
    breaches: int

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(self.live_s + other.live_s, self.uncovered_s + other.uncovered_s, self.breaches + other.breaches)

    @property
    def ratio(self) -> float | None:
        """Covered share; None where nothing was live: silence is not safety."""
        return min(max(1.0 - self.uncovered_s / self.live_s, 0.0), 1.0) if self.live_s > 0 else None


Ratios = tuple[float | None, float | None, float | None]
"""Covered share of the live stream-seconds of the last minute, hour and day; None where nothing was live."""

NOTHING = Sums(0.0, 0.0, 0)


class _Ring:
    __slots__ = ("breaches", "live", "newest", "size", "uncovered", "width")

    def __init__(self, window: Window) -> None:
        self.width, self.size = window.width_s, window.size
        self.live = array("d", bytes(8 * self.size))
        self.uncovered = array("d", bytes(8 * self.size))
        self.breaches = array("L", bytes(array("L").itemsize * self.size))
        self.newest: int | None = None

    def add(self, number: int, live_s: float, uncovered_s: float, breaches: int) -> None:
        newest = self.newest
        if newest is None:
            newest = self.newest = number
        if number > newest:
            for passed in range(max(newest + 1, number - self.size + 1), number + 1):
                place = passed % self.size
                self.live[place] = self.uncovered[place] = 0.0
                self.breaches[place] = 0
            self.newest = number
        elif number <= newest - self.size:
            return
        place = number % self.size
        self.live[place] += live_s
        if uncovered_s:
            self.uncovered[place] += uncovered_s
        if breaches:
            self.breaches[place] += breaches

    def numbers(self, now: float) -> range:
        """Buckets that are kept and lie in the window that ends now."""
        if self.newest is None:
            return range(0)
        last = int(now // self.width)
        return range(max(last, self.newest) - self.size + 1, self.newest + 1)


class Rings:
    """Live and uncovered seconds and breaches of one account, over all windows."""

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings = tuple(_Ring(window) for window in WINDOWS)

    def add_step(self, step: int, live_s: float, uncovered_s: float, breaches: int = 0) -> None:
        """Add what lies within one step of `STEP_S`, by its number."""
        for ring in self._rings:
            ring.add(step * STEP_S // ring.width, live_s, uncovered_s, breaches)

    def add(self, start: float, end: float, *, covered: bool, streams: float = 1.0) -> None:
        """Add a span of any length; of a long one, what is older than a window falls out of it."""
        for ring in self._rings:
            last = int(end // ring.width)
            for number in range(max(int(start // ring.width), last - ring.size + 1), last + 1):
                part = min(end, (number + 1) * ring.width) - max(start, number * ring.width)
                if part > 0:
                    ring.add(number, part * streams, 0.0 if covered else part * streams, 0)

    def add_breach(self, at: float) -> None:
        """A breach began then."""
        for ring in self._rings:
            ring.add(int(at // ring.width), 0.0, 0.0, 1)

    def sums(self, window: int, now: float) -> Sums:
        """The window (`MINUTE`, `HOUR`, `DAY`) that ends now."""
        ring = self._rings[window]
        if ring.newest is None:
            return NOTHING
        numbers = ring.numbers(now)
        if len(numbers) == ring.size:
            return Sums(sum(ring.live), sum(ring.uncovered), sum(ring.breaches))
        places = [number % ring.size for number in numbers]
        return Sums(
            sum([ring.live[place] for place in places]),
            sum([ring.uncovered[place] for place in places]),
            sum([ring.breaches[place] for place in places]),
        )

    def changed(self, since: float, *, finest: int) -> Iterator[Bucket]:
        """Buckets that may have been written since then, of rings with buckets of at least `finest` seconds."""
        for ring in self._rings:
            if ring.width < finest or ring.newest is None:
                continue
            first = ring.newest - ring.size + 1
            for number in range(int(max(since, first * ring.width) // ring.width), ring.newest + 1):
                place = number % ring.size
                if ring.live[place] or ring.breaches[place]:
                    yield Bucket(ring.width, number, ring.live[place], ring.uncovered[place], ring.breaches[place])

    def load(self, buckets: Iterable[Bucket]) -> None:
        """Take over what was kept; in any order."""
        rings = {ring.width: ring for ring in self._rings}
        for bucket in sorted(buckets, key=lambda bucket: bucket.number):
            if (ring := rings.get(bucket.width_s)) is not None:
                ring.add(bucket.number, bucket.live_s, bucket.uncovered_s, bucket.breaches)
