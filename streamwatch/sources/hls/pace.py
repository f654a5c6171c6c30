"""The pace of a recording: it plays in real time, or as fast as its frames can be scored."""

from __future__ import annotations

from streamwatch.domain.clock import Clock

_JUMP_S = 10.0
"""A media time so far ahead is a new timeline, not a long pause."""
_REORDERED_S = 1.0
"""A media time this little back is a picture that is shown before one that came before it."""


class Pace:
    """Turns media times into arrivals."""

    def __init__(self, *, clock: Clock, fast: bool) -> None:
        """`fast`: do not wait; an arrival is then the start plus the media seconds that passed."""
        self._clock = clock
        self._fast = fast
        self._start = clock.monotonic()
        self._played = 0.0
        self._furthest: float | None = None

    async def arrival(self, media_s: float | None) -> float:
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
        if (left := due - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        return self._clock.monotonic()
