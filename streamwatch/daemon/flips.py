"""Streams whose state changes again and again: a line for each change would hide every other one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from streamwatch.domain.streams import StreamId, StreamState

MOST = 4
"""Changes of one stream that have a line each within `WITHIN_S`: one that goes away and comes back makes so many."""
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Flipping:
    """What was not said of one stream, in sum."""

    stream: StreamId
    changes: int
    state: StreamState
    """The newest: the last line of a stream is always true."""
    detail: str


class _Count:
    __slots__ = ("changes", "newest", "quiet", "unsaid", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.changes = self.unsaid = 0
        self.quiet = False
        self.newest: tuple[StreamState, str] | None = None


class Flips:
    """Decides which changes have a line of their own. Monotonic seconds; one entry for each stream that changed lately.

    A stream that changes more than `MOST` times within `WITHIN_S` is summed up when that time is over, and from then on
    until it changes less.
    """

    def __init__(self) -> None:
        self._counts: dict[StreamId, _Count] = {}

    def __len__(self) -> int:
        """Streams that are counted now."""
        return len(self._counts)

    def says(self, stream: StreamId, state: StreamState, detail: str, now: float) -> bool:
        """Take a change; whether it has a line of its own."""
        count = self._counts.get(stream)
        if count is None:
            count = self._counts[stream] = _Count(now + WITHIN_S)
        count.changes += 1
        if count.changes <= MOST and not count.quiet:
            return True
        count.unsaid += 1
        count.newest = (state, detail)
        return False

    def over(self, now: float) -> list[Flipping]:
        """What is to be summed up now. Called every second or so."""
        sums = []
        for stream, count in list(self._counts.items()):
            if now < count.until:
                continue
            if count.newest is not None:
                sums.append(Flipping(stream, count.unsaid, *count.newest))
            if count.changes > MOST:  # it goes on: stay with sums
                again = self._counts[stream] = _Count(now + WITHIN_S)
                again.quiet = True
            else:
                del self._counts[stream]
        return sums

    def forget(self, stream: StreamId) -> None:
        """The stream is gone; nothing more is said of it."""
        self._counts.pop(stream, None)
