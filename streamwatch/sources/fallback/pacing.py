"""The pace of what was recorded: a file plays in real time, or as fast as its frames can be scored."""

from __future__ import annotations

import threading

from streamwatch.domain.clock import Clock
from streamwatch.sources.fallback.fetch import Cancelled

_SLICE_S = 0.5
_JUMP_S = 10.0
"""A media time so far ahead is a new timeline, not a long pause."""
_REORDERED_S = 1.0
"""A media time this little back is a picture that is shown before one that came before it: not every container says
in which order pictures are decoded. Further back is a new timeline."""


class Pace:
    """Turns media times into arrivals. Lives in the reader's thread; waits there, in slices that notice `stop`."""

    def __init__(self, *, clock: Clock, stop: threading.Event, fast: bool) -> None:
        """`fast`: do not wait; an arrival is then the start plus the media seconds that passed."""
        self._clock = clock
        self._stop = stop
        self._fast = fast
        self._start = clock.monotonic()
        self._played = 0.0
        self._furthest: float | None = None

    def arrival(self, media_s: float | None) -> float:
        """The arrival of a packet of this media time (None: unknown, as the one before). Never goes back."""
        if media_s is not None:
            step = media_s - self._furthest if self._furthest is not None else 0.0
            if 0 < step < _JUMP_S:
                self._played += step
            if self._furthest is None or step > 0 or step < -_REORDERED_S:
                self._furthest = media_s
        due = self._start + self._played
        if self._fast:
            return due
        while (left := due - self._clock.monotonic()) > 0:
            if self._stop.wait(min(left, _SLICE_S)):
                raise Cancelled
        return self._clock.monotonic()
