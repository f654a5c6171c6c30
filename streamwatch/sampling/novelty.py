"""Signs in the compressed packets that the picture changed: reasons to look earlier, never later. Pure.

An encoder that meets a cut spends bits on it. Some begin a new group of pictures there (an *early key*); the others
send a picture that is predicted from what no longer exists, several times as large as its like. Only *anchors* count:
pictures shown after all that came before them. Those between anchors are predicted from both sides and vary for reasons
of their own. Both signs miss cuts and see some that are none: they are hints.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

REMEMBERED = 30
"""Anchors whose sizes are usual: about 5 s of a stream with three pictures between anchors, 1 s of one with none."""

SPIKE = 2.0
"""An anchor that is so many times the usual size is new …"""

PEAK = 1.15
"""… if it is also so many times the largest of late: scenes that move unevenly have large anchors again and again. Both
were chosen with `streamwatch bench sampling`, by recall of short events for the looks that they cost."""

_FEWEST = 8
"""Anchors before anything can be called usual."""

_MINUTE_S = 60.0

EARLY = 0.6
"""A key picture that comes after less than this share of the usual interval was not due: the encoder saw a cut."""


class Novelty:
    """Of one stream. One caller at a time; called for every anchor, so it does next to nothing."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque(maxlen=REMEMBERED)
        self._limit = math.inf
        self._since = 0

    def usual(self, size: int) -> bool:
        """Note an anchor of so many bytes; False: it is as large as only a changed picture is.

        After a change nothing is usual for a second or so: another scene has sizes of its own.
        """
        if size > self._limit:
            self.forget()
            return False
        self._sizes.append(size)
        self._since += 1
        if self._since >= REMEMBERED:
            self.refresh()
        return True

    def refresh(self) -> None:
        """Find anew what is usual: at key pictures, which is often enough and spares the anchors the sorting."""
        self._since = 0
        if len(self._sizes) >= _FEWEST:
            self._limit = max(SPIKE * median(self._sizes), PEAK * max(self._sizes))

    def forget(self) -> None:
        """Another scene, another encoder, or another session."""
        self._sizes.clear()
        self._limit, self._since = math.inf, 0


class Budget:
    """How many hints may be followed: the broadcaster makes them, and each costs a look."""

    BURST = 4.0
    EVERY_S = 4.0
    """One more hint each so many seconds: 15 a minute, as many as a programme that is cut quickly has."""

    def __init__(self) -> None:
        self._left = self.BURST
        self._at = -math.inf
        self._seen = 0.0
        """Hints of the last minute or so, as a sum that fades."""
        self._seen_at = 0.0

    def per_s(self, now: float) -> float:
        """Hints a second lately, as far as the budget lets them be followed."""
        return min(self._faded(now) / _MINUTE_S, 1.0 / self.EVERY_S)

    def seen(self, now: float) -> None:
        """A hint was seen, whether or not it can be followed."""
        self._seen, self._seen_at = self._faded(now) + 1.0, now

    def _faded(self, now: float) -> float:
        return self._seen * math.exp(min(self._seen_at - now, 0.0) / _MINUTE_S)

    def take(self, now: float) -> bool:
        """Spend one, if one is left. Monotonic seconds."""
        self._left = min(self._left + max(now - self._at, 0.0) / self.EVERY_S, self.BURST)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
