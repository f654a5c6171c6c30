"""Which pictures already received confirm or clear a suspicion: an instant second look. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from streamwatch.domain.media import MediaTime, Packet

SPARE = 2
"""Pictures looked at beyond the hits that are missing: an act is not in every picture."""

PATIENCE_S = 3.0
"""What follows a suspicious picture comes within its spacing and this, or there is something wrong with its times."""

_ROUNDING_S = 0.001


class Missing(NamedTuple):
    """What a rule that suspects something still needs."""

    hits: int
    spacing_s: float
    """Seconds of media that each must lie from the others."""


class Doubt(NamedTuple):
    """A first suspicious picture, and what would confirm it."""

    around: MediaTime
    missing: int
    """Hits that are still missing."""
    spacing_s: float
    """Seconds of media that each must lie from the others."""
    onward: bool = False
    """What lies before it was looked at: only what comes after it can tell more."""


class SecondLook:
    """Where a stream's present suspicion stands: what lies before it is looked at once, then what follows it, once.

    The first picture that counts beside the suspicious one comes `spacing_s` after it. To look there as soon as it is
    received is quicker than the next look of a decoder that holds pictures back. One caller at a time.
    """

    def __init__(self) -> None:
        self.pending: Doubt | None = None
        """A doubt whose surroundings have not come yet."""
        self._until = math.inf
        self._first: Doubt | None = None
        self._had: frozenset[str] = frozenset()
        """Rules whose present suspicion had it: one that suspects nothing real uses up no other's."""

    def reset(self) -> None:
        """Nothing is suspected, or what was belongs to another time."""
        self.pending = self._first = None
        self._had = frozenset()

    def arises(self, around: MediaTime | None, doubts: Mapping[str, Missing]) -> Doubt | None:
        """After a look these rules are in doubt. What is to be cleared up now: once for each suspicion of a rule."""
        if not doubts:
            self.reset()
            return None
        fresh = doubts.keys() - self._had
        self._had &= doubts.keys()
        if not fresh or around is None:
            return None
        self._had |= fresh
        hits = max(doubts[rule].hits for rule in fresh)
        self._first = Doubt(around, hits, max(doubts[rule].spacing_s for rule in fresh))
        return self._first

    def wait(self, doubt: Doubt, *, now: float, burst_s: float) -> None:
        """What would clear the doubt up is not there yet; it is given up where it does not come. Monotonic seconds.

        `burst_s`: media comes so much at once.
        """
        if self.pending is None:
            self._until = now + doubt.spacing_s + burst_s + PATIENCE_S
        self.pending = doubt

    def give_up(self, now: float) -> None:
        """Wait no longer where media times stand still, say: the looks that come anyway see what there is."""
        if now > self._until:
            self.pending = None

    def looked(self, doubts: Mapping[str, Missing]) -> Doubt | None:
        """The second look is over, and these rules are still in doubt. What is to be looked at next, if anything."""
        first, self._first = self._first, None
        self.pending = None
        if not doubts or first is None:
            return None
        return first._replace(missing=max(one.hits for one in doubts.values()), onward=True)


def instants(packets: Sequence[Packet], doubt: Doubt) -> frozenset[MediaTime]:
    """Presentation times to look at, nearest to the suspicious picture first, before it and after it.

    Each lies the rule's spacing from the picture in doubt and from the others; empty where nothing so far away is held.
    """
    centre, step = doubt.around.seconds, doubt.spacing_s + _ROUNDING_S
    times = sorted((packet.pts for packet in packets if packet.pts is not None), key=lambda time: time.seconds)
    after = _spaced([time for time in times if time.seconds >= centre + step], step)
    if doubt.onward:
        return frozenset(after[: doubt.missing])
    before = _spaced([time for time in reversed(times) if time.seconds <= centre - step], step)
    nearest = sorted((*before, *after), key=lambda time: abs(time.seconds - centre))
    return frozenset(nearest[: doubt.missing + SPARE])


def beginning(packets: Sequence[Packet], wanted: Collection[MediaTime]) -> Sequence[Packet]:
    """What must be decoded to see the wanted pictures: from the newest key picture that is shown before all of them."""
    earliest = min(time.seconds for time in wanted)
    for number in range(len(packets) - 1, 0, -1):
        packet = packets[number]
        if packet.key and packet.pts is not None and packet.pts.seconds <= earliest:
            return packets[number:]
    return packets


def _spaced(times: Sequence[MediaTime], step: float) -> list[MediaTime]:
    chosen: list[MediaTime] = []
    for time in times:
        if not chosen or abs(time.seconds - chosen[-1].seconds) >= step:
            chosen.append(time)
    return chosen
