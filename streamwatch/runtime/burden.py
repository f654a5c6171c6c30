"""How large a stream is: what its looks are priced by. Pure."""

from __future__ import annotations

_MEMORY = 0.2
_SHORTEST_S = 0.5
"""Between two measurements of a rate; less says little, since media comes in batches."""


class Burden:
    """Of one stream. One caller at a time."""

    def __init__(self, now: float) -> None:
        self.key_bytes = 0.0
        """Running mean of its key pictures."""
        self._received = 0
        self._at = now
        self._rate = 0.0

    def key(self, size: int) -> None:
        """A key picture of so many bytes came."""
        self.key_bytes += (size - self.key_bytes) * (_MEMORY if self.key_bytes else 1.0)

    def rate(self, received: int, now: float) -> float:
        """Bytes a second lately, given all that was received since the beginning; monotonic seconds."""
        passed = now - self._at
        if passed >= _SHORTEST_S:
            newest = max(received - self._received, 0) / passed
            self._rate += (newest - self._rate) * (_MEMORY if self._rate else 1.0)
            self._received, self._at = received, now
        return self._rate
