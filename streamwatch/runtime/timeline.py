"""Media time of one session: where it jumps, a new timeline begins."""

from __future__ import annotations

from fractions import Fraction

from streamwatch.domain.media import MediaTime, Packet

BACKWARDS_S = 2.0
"""Decoding times may wobble; going back further than this is a restart of the broadcaster's clock."""

FORWARDS_S = 60.0
"""A leap ahead: media times before and after it do not compare."""


class Timeline:
    """Counts the jumps. One thread at a time."""

    def __init__(self) -> None:
        self.number = 0
        self.newest = MediaTime(0, Fraction(1))
        self._steps = range(0)
        """Ticks to the next packet that are no jump; of no length before the first."""

    def packet(self, packet: Packet) -> bool:
        """Note a packet; True when its time belongs to a new timeline."""
        time = packet.dts or packet.pts
        if time is None:
            return False
        newest, self.newest = self.newest, time
        if time.time_base is newest.time_base:  # nearly always, and the arithmetic of whole numbers is quick
            if time.ticks - newest.ticks in self._steps:
                return False
            jumped = bool(self._steps)
        else:
            jumped = bool(self._steps) and not -BACKWARDS_S <= time.seconds - newest.seconds <= FORWARDS_S
        rate = 1 / time.time_base
        self._steps = range(int(-BACKWARDS_S * rate), int(FORWARDS_S * rate) + 1)
        self.number += jumped
        return jumped
