"""Which pictures already received confirm or clear a suspicion: an instant second look. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streamwatch.domain.media import MediaTime, Packet

SPARE = 2
"""Pictures looked at beyond the hits that are missing: an act is not in every picture."""

_ROUNDING_S = 0.001


class Doubt(NamedTuple):
    """A first suspicious picture, and what would confirm it."""

    around: MediaTime
    missing: int
    """Hits that are still missing."""
    spacing_s: float
    """Seconds of media that each must lie from the others."""


class SecondLook:
    """Whether a stream's present suspicion had its second look. One caller at a time."""

    def __init__(self) -> None:
        self.pending: Doubt | None = None
        """A doubt whose surroundings have not come yet."""
        self._had = False

    def reset(self) -> None:
        """Nothing is suspected, or what was belongs to another time."""
        self.pending, self._had = None, False

    def arises(self, around: MediaTime | None, missing: int, spacing_s: float) -> Doubt | None:
        """A look is over, around which so many hits are `missing`. The doubt to clear up now, once a suspicion."""
        if not missing:
            self.reset()
        elif not self._had and around is not None:
            self._had = True
            return Doubt(around, missing, spacing_s)
        return None


def instants(packets: Sequence[Packet], doubt: Doubt) -> frozenset[MediaTime]:
    """Presentation times to look at, nearest to the suspicious picture first, before it and after it.

    Each lies the rule's spacing from the picture in doubt and from the others; empty where nothing so far away is held.
    """
    centre, step = doubt.around.seconds, doubt.spacing_s + _ROUNDING_S
    times = sorted((packet.pts for packet in packets if packet.pts is not None), key=lambda time: time.seconds)
    before = _spaced([time for time in reversed(times) if time.seconds <= centre - step], step)
    after = _spaced([time for time in times if time.seconds >= centre + step], step)
    nearest = sorted((*before, *after), key=lambda time: abs(time.seconds - centre))
    return frozenset(nearest[: doubt.missing + SPARE])


def _spaced(times: Sequence[MediaTime], step: float) -> list[MediaTime]:
    chosen: list[MediaTime] = []
    for time in times:
        if not chosen or abs(time.seconds - chosen[-1].seconds) >= step:
            chosen.append(time)
    return chosen
