"""Notices a watcher that runs and does not work. Pure."""

from __future__ import annotations

from streamwatch.fleet.base import FleetLimits
from streamwatch.link.messages import Beat

TICK_S = 0.5
"""Between two judgements."""


class Guard:
    """Of one watcher. Silence is counted in small steps of our own waking time.

    If this process was stopped, or busy in a handler, the watcher has not been silent for it.
    """

    def __init__(self, limits: FleetLimits, now: float) -> None:
        self._limits = limits
        self._last = now
        self._silent = 0.0
        self._waiting = 0.0

    def judge(
        self, now: float, *, handling: bool, told: bool, heard: bool, beat: Beat | None, stalled_s: float
    ) -> str | None:
        """Why the watcher is to be ended, if it is.

        `handling`: a message of it is being handled; `told`: it has not answered its configuration; `heard`: there was
        a beat since the last call; `beat`: the newest; `stalled_s`: for how long it has read nothing.
        """
        limits = self._limits
        step, self._last = min(now - self._last, 2 * TICK_S), now
        if handling:
            self._silent = 0.0
            return None
        self._waiting = self._waiting + step if told else 0.0
        self._silent = 0.0 if heard or told else self._silent + step
        if self._waiting > limits.ready_s:
            return "start"
        if self._silent > limits.beat_s:
            return "silent"
        if stalled_s > limits.busy_s or (beat is not None and self._hangs(beat)):
            return "hung"
        return "memory" if beat is not None and beat.rss_bytes > limits.memory_bytes else None

    def _hangs(self, beat: Beat) -> bool:
        limits = self._limits
        return (
            beat.busy_s > limits.busy_s or beat.stuck_s > limits.stuck_s or beat.stuck_readers >= limits.stuck_readers
        )
