"""Long programmes to encode: so many cuts a minute, and events at known instants. The same for the same seed.

An *event* is what must be seen: it begins with a cut and ends with one. All cuts beside those are *other* cuts. Shots
are drawn like those of `bench.scenes`, with what makes cuts hard to tell in compressed packets: shots that resemble the
one before, jerks of the camera, flashes and dissolves inside a shot.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from streamwatch.bench.clip import FPS
from streamwatch.bench.scenes import Draw, Planes, Studio

LENGTHS_S: Final = (1.0, 3.0, 10.0, 30.0)
"""Of events."""
OTHER_CUTS: Final = (0, 2, 8, 18)
"""A minute: a camera on a desk, a talk with two cameras, a game, edited footage."""

_MIX: Final = (1.0, 3.0, 3.0, 3.0, 10.0, 10.0, 30.0)
"""Lengths of a programme's events; the first seconds of a longer one are a shorter one, too."""
APART_S: Final = (10.0, 22.0)
"""From an event's end to the next one's beginning: a calm programme is calm again by then."""
_FIRST_S: Final = 15.0
"""Rate control has settled, and the usual sizes are known."""
_KINDS: Final = ("landscape", "balls", "plasma", "crowd", "tunnel", "zoom", "text")
"""Scenes that go on moving: beside one that stands still every other is a spike, which would flatter nobody."""
_INSET: Final = 0.4
"""Share of cuts after which a part of the picture goes on as it was: a fixed layout around a window that changes."""
_INSET_SIZE: Final = (0.5, 0.8)
"""Of the window, as a share of height and width."""
_RESTLESS_PER_MINUTE: Final = 2.0
"""Disturbances inside shots: flashes, jerks, dissolves to a shifted picture."""
_FLASH_S, _JERK_S, _DISSOLVE_S = 0.12, 0.4, 0.8
_SHORTEST_S: Final = 0.4
"""Of a shot."""


Disturb = Callable[[float, float, Draw, Planes], Planes]
"""From seconds since it began, seconds since the shot began, the shot and its picture to the picture disturbed."""


class Event(NamedTuple):
    """Something that must be seen. Seconds from the programme's beginning."""

    begin: float
    length: float

    @property
    def end(self) -> float:
        """When it is over."""
        return self.begin + self.length


@dataclass(frozen=True, slots=True)
class Plot:
    """When what happens in a programme."""

    seconds: float
    events: tuple[Event, ...]
    cuts: tuple[float, ...]
    """Other cuts."""

    @property
    def all_cuts(self) -> tuple[float, ...]:
        """Every cut, in order."""
        edges = {edge for event in self.events for edge in (event.begin, event.end)}
        return tuple(sorted({*self.cuts, *(edge for edge in edges if edge < self.seconds)}))


def plot(seconds: float, cuts_per_minute: float, seed: int) -> Plot:
    """Events a while apart, of all lengths alike; other cuts at random instants, in events as well as between them."""
    rng = random.Random(seed)  # noqa: S311 - a programme, not a secret
    events: list[Event] = []
    lengths: list[float] = []
    at = _FIRST_S
    while True:
        if not lengths:
            lengths = rng.sample(_MIX, len(_MIX))
        event = Event(_frame(at), lengths.pop())
        if event.end + 2 > seconds:
            break
        events.append(event)
        at = event.end + rng.uniform(*APART_S)
    taken = [edge for event in events for edge in (event.begin, event.end)]
    cuts: list[float] = []
    for _ in range(round(seconds * cuts_per_minute / 60)):
        for _ in range(100):
            at = _frame(rng.uniform(0, seconds))
            if all(abs(at - other) >= _SHORTEST_S for other in (*taken, *cuts)):
                cuts.append(at)
                break
    return Plot(seconds, tuple(events), tuple(sorted(cuts)))


class Programme:
    """The pictures of a plot."""

    def __init__(self, width: int, height: int, plotted: Plot, *, seed: int) -> None:
        """Width and height: pixels, even."""
        self._rng = random.Random(seed)  # noqa: S311
        self._studio = Studio(width, height, seed=seed)
        self._begins = (0.0, *(cut for cut in plotted.all_cuts if cut > 0))
        self._kind = ""
        self._shot = -1
        self._draw: Draw | None = None
        self._around: Draw | None = None
        self._around_since = 0.0
        self._restless = self._disturbances(plotted.seconds)

    def picture(self, t: float) -> Planes:
        """The picture at `t` seconds; ask in order."""
        shot = bisect_right(self._begins, t + 1e-6) - 1
        if shot != self._shot or self._draw is None:
            self._shot, self._draw = shot, self._another()
        picture = self._draw(t - self._begins[shot])
        for begin, disturb in self._restless:
            if begin <= t:
                picture = disturb(t - begin, t - self._begins[shot], self._draw, picture)
        return picture

    def _another(self) -> Draw:
        self._kind = self._rng.choice([kind for kind in _KINDS if kind != self._kind])
        whole: Draw = getattr(self._studio, self._kind)()
        speed = self._rng.uniform(0.7, 1.3)
        now = self._begins[max(self._shot, 0)]
        if self._around is None or self._rng.random() >= _INSET:
            self._around, self._around_since = (lambda t: whole(speed * t)), now
            return self._around
        around, begun = self._around, now - self._around_since
        share = self._rng.uniform(*_INSET_SIZE)
        rows, columns = (round(size * share / 4) * 4 for size in (self._studio.height, self._studio.width))
        top, left = (
            self._rng.randrange((size - room) // 4 + 1) * 4
            for size, room in ((self._studio.height, rows), (self._studio.width, columns))
        )

        def draw(t: float) -> Planes:
            outer, inner = around(begun + t), whole(speed * t)
            planes = []
            for plane, other, half in zip(outer, inner, (1, 2, 2), strict=True):
                window = slice(top // half, (top + rows) // half), slice(left // half, (left + columns) // half)
                mixed = plane.copy()
                mixed[window] = other[window]
                planes.append(mixed)
            return Planes(*planes)

        return draw

    def _disturbances(self, seconds: float) -> list[tuple[float, Disturb]]:
        count = round(seconds * _RESTLESS_PER_MINUTE / 60)
        made = [(self._rng.uniform(0, seconds), self._rng.choice((_flash, _jerk, _dissolve))) for _ in range(count)]
        return sorted(made, key=lambda one: one[0])


def _flash(since: float, t: float, draw: Draw, picture: Planes) -> Planes:
    del t, draw
    if since >= _FLASH_S:
        return picture
    lighter = np.minimum(picture.y.astype(np.uint16) + 70, 235).astype(np.uint8)
    return Planes(lighter, picture.u, picture.v)


def _jerk(since: float, t: float, draw: Draw, picture: Planes) -> Planes:
    """The camera is pushed: half a second of it passes in a moment, and it comes back."""
    if since >= _JERK_S:
        return picture
    return draw(t + 3.0 * min(since, _JERK_S - since))


def _dissolve(since: float, t: float, draw: Draw, picture: Planes) -> Planes:
    """Something is laid over the picture and vanishes: a caption, a cross-fade that was begun and taken back."""
    if since >= _DISSOLVE_S:
        return picture
    share = np.uint16(128 * (1 - abs(2 * since / _DISSOLVE_S - 1)))
    other = draw(t + 5.0)
    y = (picture.y.astype(np.uint16) * (256 - share) + other.y.astype(np.uint16) * share) >> 8
    return Planes(y.astype(np.uint8), picture.u, picture.v)


def _frame(at: float) -> float:
    return round(at * FPS) / FPS
