"""How long to wait before trying again. The only retry policy of readers."""

from __future__ import annotations

import random

FIRST_S = 0.25
LONGEST_S = 5.0
"""A live stream that came back is looked at again within this and its key interval; a dead one costs little."""

_GROWTH = 2.0


class Backoff:
    """Exponential with full jitter on its upper half, so that streams of a restarted server do not come in step."""

    def __init__(self, *, rng: random.Random, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._rng = rng
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next(self) -> float:
        """Seconds to wait now; the next answer is longer."""
        wait = self._next_s
        self._next_s = min(self._next_s * _GROWTH, self._longest_s)
        return wait * (0.5 + 0.5 * self._rng.random())

    def reset(self) -> None:
        """It went well: begin anew."""
        self._next_s = self._first_s
