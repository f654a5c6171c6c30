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
        self._started = False

    def packet(self, packet: Packet) -> bool:
        """Note a packet; True when its time belongs to a new timeline."""
        time = packet.time
        if time is None:
            return False
        step = time.seconds - self.newest.seconds
        jumped = self._started and (step < -BACKWARDS_S or step > FORWARDS_S)
        self.number += jumped
        self._started = True
        self.newest = time
        return jumped
