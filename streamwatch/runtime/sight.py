"""What a stream's looks have shown so far, and what keeps it from being seen. Pure."""

from __future__ import annotations

from streamwatch.domain.media import CodecConfig, Packet
from streamwatch.domain.streams import Reason
from streamwatch.runtime.look import Outcome, Seen

EMPTY_KEYS_LIMIT = 2
"""Keys in a row that gave no picture: after so many the stream has no usable keys and is decoded contiguously."""

MOMENT_S = 0.5
"""A look takes less on a machine that keeps up."""

Obstacle = tuple[Reason | None, str]
"""Why a live stream is not seen, and the same for people; (None, "") while nothing stands in the way."""


class Sight:
    """Of one session, which began at `begin`. Times are monotonic seconds of arrival; one caller at a time."""

    def __init__(self, begin: float = 0.0) -> None:
        self.size = (0, 0)
        """Of the newest picture."""
        self.unscored = False
        """Whether the newest look failed by no fault of the stream's."""
        self._begin = begin
        self._last_scored: float | None = None
        self._tried = False
        self._turned_away = False
        self._empty_keys = 0
        self._trouble: Obstacle = (None, "")
        self._unsupported = ""

    def tried(self, *, turned_away: bool) -> None:
        """A look was due; `turned_away`: no worker had room for it."""
        self._tried = True
        self._turned_away = turned_away

    def hopeless(self, config: CodecConfig) -> bool:
        """Whether this very configuration was found to have no decoder."""
        return bool(self._unsupported) and self._unsupported == config.digest

    @property
    def keys_useless(self) -> bool:
        """Whether keys decoded alone give no pictures (periodic intra refresh)."""
        return self._empty_keys >= EMPTY_KEYS_LIMIT

    def note(self, seen: Seen, packet: Packet, *, lone: bool, blind: str = "") -> float | None:
        """Take the outcome of a look begun at `packet`; `lone`: at a key picture alone; `blind`: why it shows nothing.

        Returns the gap to the scored frame before, None where there was none or nothing sound was scored now.
        """
        self.unscored = seen.unscored
        if seen.outcome is Outcome.UNSUPPORTED:
            self._unsupported = packet.config.digest
            self._trouble = (Reason.CODEC, seen.detail)
            return None
        if seen.outcome is Outcome.FAILED:
            self._trouble = (Reason.DECODE, seen.detail)
            return None
        if seen.packet is None:
            self._empty_keys += lone
            return None
        self._unsupported = ""
        self.size = (seen.width, seen.height)
        if lone:
            self._empty_keys = 0
        before, arrival = self._last_scored, seen.packet.arrival
        gap_s = None if before is None else max(arrival - before, 0.0)
        if seen.corrupt:
            self._trouble = (Reason.DECODE, "the decoder reports damaged pictures")
        elif blind:  # seen, and nothing in it: no better known than before
            self._trouble = (Reason.BLIND, blind)
        else:
            self._trouble = (None, "")
            self._tried = False
            if before is None or arrival > before:
                self._last_scored = arrival
            else:
                gap_s = None  # a look-back: older than what was scored already
        return gap_s

    def seen_until(self, max_gap_s: float) -> float:
        """Before then `obstacle` finds none, while it finds none now."""
        return (self._begin if self._last_scored is None else self._last_scored) + max_gap_s

    def obstacle(self, now: float, *, max_gap_s: float, flowing: bool, waits_s: float | None) -> Obstacle:
        """Judge a live stream that is not (yet) called stalled.

        `waits_s`: seconds since the picture came at which a look waits or runs now; None where none does.
        """
        if self._trouble[0] is Reason.CODEC:
            return self._trouble
        since = self._begin if self._last_scored is None else self._last_scored
        if now - since <= max_gap_s:
            return None, ""
        if self._trouble[0] is not None:
            return self._trouble
        if not flowing:
            return Reason.STALLED, "no media arrives"
        if not self._tried:
            return Reason.NO_KEYS, "no key picture arrives"
        found: Obstacle = Reason.DECODE, "no picture comes out of the decoder"
        if waits_s is not None and waits_s <= MOMENT_S:
            found = None, ""
        elif waits_s is not None or self._turned_away:
            found = Reason.OVERLOAD, "looks wait for a decode worker"
        return found
