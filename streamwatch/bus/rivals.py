"""Does another client use our identifier? A broker then ends the older of the two connections, so each ends the other.

MQTT 5 has a word for it (session taken over), which mosquitto 2.0 does not say; 3.1.1 has none. Without it there is
only a pattern: connections that were accepted at once are cut without a word right after, while a second connection
of ours, by another identifier and opened beside them, stands. Pure: whoever holds the connection tells what happened.
"""

from __future__ import annotations

SHORT_S = 20.0
"""A connection that is cut sooner was cut right after it was made: twice the longest pause before a rival returns."""
SUSPECT = 2
"""Wordless cuts in a row, after which the next connection has a witness."""
CALM_S = 60.0
"""Nobody took our place for so long: the rival is gone."""


class Rivals:
    """What is known of a client that uses our identifier. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._cuts = 0
        self._seen_at: float | None = None

    @property
    def suspects(self) -> bool:
        """Whether the next connection should have a witness."""
        return self._cuts >= SUSPECT

    def seen(self, now: float) -> bool:
        """Whether another client uses our identifier, as far as we know at `now`."""
        return self._seen_at is not None and now - self._seen_at < CALM_S

    def not_answered(self) -> None:
        """A connection did not come about: the broker itself, or the way to it, is at fault."""
        self._cuts = 0

    def ended(self, now: float, *, lasted_s: float, taken_over: bool, wordless: bool, witness_stands: bool) -> None:
        """A connection ended that had come about. One that was cut where an answer was due proves nothing either way.

        `taken_over`: the broker said so; `wordless`: it was cut from outside without a reason, and no answer was due;
        `witness_stands`: a second connection was open beside it, and still is.
        """
        if taken_over:
            self._seen_at = now
        elif lasted_s > SHORT_S:
            self._cuts = 0
        elif wordless:
            self._cuts += 1
            if witness_stands:
                self._seen_at = now
