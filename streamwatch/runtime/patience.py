"""How long one thread has been at one thing, in its own time: seconds in which it ran or was blocked.

Seconds in which it waited for a processor are the machine's fault, and so are those in which nobody came to measure.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

LONGEST_S = 1.5
"""At most so much is counted from one measure to the next: beats come every second, unless all of us stood still."""


class Patience:
    """Of one thread, measured by another now and then. Times are monotonic seconds."""

    def __init__(self, waited_s: Callable[[], float | None]) -> None:
        """`waited_s`: for how long the thread has waited for a processor, all its life; None where nobody knows."""
        self._waited_s = waited_s
        self._thing = -1
        self._spent = 0.0
        self._at = 0.0
        self._waited = 0.0

    def measure(self, now: float, thing: int, since: float) -> float | None:
        """Its own seconds in the thing of this number, which began at `since`; None where nobody knows."""
        waited = self._waited_s()
        if waited is None:
            return None
        if thing != self._thing:
            self._thing, self._spent = thing, 0.0
        span = now - max(since, self._at)
        self._spent += max(min(span, LONGEST_S) - (waited - self._waited), 0.0)
        self._at, self._waited = now, waited
        return self._spent


def waiting_of(native_id: int) -> Callable[[], float | None]:
    """Seconds that a thread of this process has waited for a processor, as the kernel counts them."""
    path = Path(f"/proc/self/task/{native_id}/schedstat")

    def waited() -> float | None:
        try:
            return int(path.read_text(encoding="ascii").split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return None

    return waited
