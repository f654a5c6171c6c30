"""How long the calls of decoders that have not come back yet have taken: what hangs, or spins, shows there first.

A look as a whole may take long on a machine with too much to do, or with a large model. One call of a decoder, for one
packet, takes milliseconds, whatever the stream.
"""

from __future__ import annotations

import threading
from types import TracebackType

from streamwatch.domain.clock import Clock


class Stopwatch:
    """One for all decode workers of a process; calling it gives the context to be entered around a call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[int, float] = {}

    def __call__(self) -> Stopwatch:
        """Itself: each thread is in one call at a time."""
        return self

    def __enter__(self) -> None:
        self._began[threading.get_ident()] = self._clock.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._began.pop(threading.get_ident(), None)

    def longest(self) -> float:
        """Seconds for which the oldest call has not come back; 0 where none is under way. Any thread."""
        oldest = min(tuple(self._began.values()), default=None)
        return 0.0 if oldest is None else max(self._clock.monotonic() - oldest, 0.0)
