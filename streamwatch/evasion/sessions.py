"""Who publishes, and for how long: another in the same session, or one who never stays to be confirmed. Pure."""

from __future__ import annotations

import math
from collections import deque

SWAP_S = 5.0
"""Media time and format change within so long of each other: they come in different messages."""
SWAPPED_S = 30.0
"""For so long it is said: it is an event, and this is the shortest that a person would notice on a board."""
REPEATED = 4
"""Short sessions that make a pattern: twice is a bad line, three times bad luck."""
WITHIN_S = 600.0
"""So long a short session counts, whatever sessions come between: one that stays just long enough must not clear the
count. A pattern that is slower than that shows in coverage."""


class Sessions:
    """Of one stream, over all its sessions. One caller at a time."""

    def __init__(self, window_s: float) -> None:
        """`window_s`: no longer than this is short; the longest time it may take to confirm what is suspected."""
        self._window_s = window_s
        self._began: float | None = None
        """None where nobody saw the beginning."""
        self._short: deque[float] = deque(maxlen=REPEATED)
        """When short sessions ended."""
        self._repeats = False
        self._jumped = self._reformatted = self._swapped = -math.inf

    def begins(self, now: float, last_media: float) -> None:
        """A session begins; the newest media of the one before came at `last_media`."""
        if self._began is not None and last_media - self._began < self._window_s:
            self._short.append(last_media)
        self._slide(now)
        self._repeats = len(self._short) == REPEATED
        if self._repeats:
            self._short.clear()  # said once; every further pattern is another
        self._began = now
        self._jumped = self._reformatted = self._swapped = -math.inf

    def turns(self, now: float, *, jumped: bool, reformatted: bool) -> None:
        """Inside the session media time jumped, or another format began."""
        if jumped:
            self._jumped = now
        if reformatted:
            self._reformatted = now
        if abs(self._jumped - self._reformatted) <= SWAP_S:
            self._swapped = now

    def reconnects(self, now: float) -> float:
        """Share of the sessions that make a pattern; 1 from the session after them until it outlives them."""
        self._slide(now)
        if self._repeats and self._began is not None and now - self._began >= self._window_s:
            self._repeats = False
        return 1.0 if self._repeats else len(self._short) / (REPEATED + 1)

    def swapped(self, now: float) -> float:
        """1 for a while after a swap."""
        return 1.0 if now - self._swapped < SWAPPED_S else 0.0

    def _slide(self, now: float) -> None:
        while self._short and now - self._short[0] > WITHIN_S:
            self._short.popleft()
