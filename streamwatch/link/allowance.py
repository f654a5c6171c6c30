"""How much a watcher may say: bytes and messages per second, with room for a start. Pure.

A watcher keeps to `OWN` by itself, so an honest one is never near `HEARD`, which the daemon holds it to: whoever says
more has stopped obeying its program. An honest one of a thousand streams, all alarmed, ten labels each, looked at every
2 s, says 0.4 MB and 800 messages a second, and 1.4 MB and 3,000 messages at once when it starts anew (a test holds
this). `HEARD` is wider by more than all that can lie between the two in buffers, for it is judged on arrival: a daemon
that was busy finds the words of seconds at once.
"""

from __future__ import annotations

from typing import NamedTuple

from streamwatch.domain.errors import LinkViolation


class Limits(NamedTuple):
    """Of one watcher."""

    bytes_per_s: float
    messages_per_s: float
    burst_bytes: float
    burst_messages: float


OWN = Limits(bytes_per_s=512 * 1024, messages_per_s=2000, burst_bytes=2 * 1024 * 1024, burst_messages=8000)
HEARD = Limits(bytes_per_s=640 * 1024, messages_per_s=2500, burst_bytes=6 * 1024 * 1024, burst_messages=32_000)


class Allowance:
    """Two token buckets. Time is monotonic seconds, given by the caller."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = limits.burst_bytes
        self._messages = limits.burst_messages
        self._at: float | None = None

    def spend(self, size: int, now: float, *, messages: int = 1) -> None:
        """Take `messages` of `size` bytes together; may go into debt, which the next ones wait for."""
        self._fill(now)
        self._bytes -= size
        self._messages -= messages

    def wait_s(self, now: float) -> float:
        """How long until something may be said; 0: now."""
        self._fill(now)
        return max(-self._bytes / self._limits.bytes_per_s, -self._messages / self._limits.messages_per_s, 0.0)

    def hold(self, size: int, now: float, *, messages: int) -> None:
        """Take what was heard. Raises LinkViolation where it was too much."""
        self.spend(size, now, messages=messages)
        if min(self._bytes, self._messages) < 0:
            limits = self._limits
            raise LinkViolation(
                f"more than {limits.bytes_per_s:.0f} bytes or {limits.messages_per_s:.0f} messages a second"
            )

    def _fill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            gone = now - self._at
            self._bytes = min(self._limits.burst_bytes, self._bytes + gone * self._limits.bytes_per_s)
            self._messages = min(self._limits.burst_messages, self._messages + gone * self._limits.messages_per_s)
        self._at = now if self._at is None else max(now, self._at)
