"""The life of one stream as its watcher sees it: connecting, live, stalled, ended. Pure.

The words are the public interface's: a stream is live from its first media packet; it has ended when the server said
so, or closed and refuses to serve it again; silence alone is a stall, judged by the age of the newest packet, and only
after `end_after` of it is a static stream given up, loudly (`silent`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from streamwatch.domain.errors import Refused, StreamError, Unreachable
from streamwatch.domain.streams import Reason

STALL_S = 5.0
"""A packet older than this, on top of the transport's burst, is a stall: interface, 'ended'."""

FLOWING_S = 2.0
"""Media counts as flowing while its newest packet is not older than this: else silence is why nothing is seen."""

_SAID_BY_SILENCE = frozenset({Reason.CONNECTING, Reason.STALLED})


class Phase(StrEnum):
    """Where a stream is in its life."""

    CONNECTING = "connecting"
    LIVE = "live"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """What can be said of the stream now."""

    phase: Phase
    reason: Reason | None
    detail: str
    session: int
    """Number of the session in this watcher; 0 before the first."""


class Life:
    """Times are monotonic seconds."""

    def __init__(self, *, end_after_s: float | None, live_at: float | None = None) -> None:
        """`live_at`: the stream was live before this watcher had it, and is taken to be so from then on."""
        self._end_after_s = end_after_s
        self._phase = Phase.CONNECTING if live_at is None else Phase.LIVE
        self._session = 0 if live_at is None else 1
        self._last_media = live_at or 0.0
        self._burst_s = 0.0
        self._error: StreamError | None = None
        self._refused_since: float | None = None
        self._grace_s = math.inf
        self._silent = False

    def opened(self, burst_s: float) -> None:
        """A connection knows its format; media will come in bursts of so many seconds."""
        self._burst_s = burst_s

    def media(self, now: float) -> bool:
        """A packet arrived. Returns True when a new session begins with it."""
        begins = self._phase is not Phase.LIVE
        if begins:
            self._session += 1
            self._phase = Phase.LIVE
            self._silent = False
        self._last_media = now
        self._error = None
        self._refused_since = None
        return begins

    def finished(self) -> None:
        """The server said that the stream ended."""
        self._error = None
        if self._phase is Phase.LIVE:
            self._phase = Phase.ENDED

    def failed(self, error: StreamError, now: float) -> None:
        """A connection failed or broke."""
        self._error = error
        grace_s = _grace(error)
        if grace_s is None:
            self._refused_since = None
            return
        if self._refused_since is None:
            self._refused_since = now
            self._grace_s = math.inf
        if isinstance(error, Refused) and math.isfinite(grace_s):
            # The connection that broke knew the stream's own measure; those that are refused from now on assume one.
            self._grace_s = grace_s = min(grace_s, self._grace_s)
        if self._phase is Phase.LIVE and now - self._refused_since >= grace_s:
            self._phase = Phase.ENDED

    @property
    def last_media(self) -> float:
        """When the newest packet arrived; 0 before the first."""
        return self._last_media

    def flowing(self, now: float) -> bool:
        """Whether packets arrive; a stall is called one later, once it is certain."""
        return now - self._last_media <= FLOWING_S

    def standing(self, now: float) -> Standing:
        """Judge the stream at `now`; may end a stream that was silent for too long."""
        if self._phase is Phase.LIVE and self._end_after_s is not None and now - self._last_media >= self._end_after_s:
            self._phase = Phase.ENDED
            self._silent = True
        reason, detail = self._impediment(now)
        return Standing(self._phase, reason, detail, self._session)

    def _impediment(self, now: float) -> tuple[Reason | None, str]:
        said = str(self._error) if self._error else ""
        if self._phase is Phase.ENDED:
            return (Reason.SILENT if self._silent else None), said
        if self._phase is Phase.CONNECTING:
            return (self._error.reason if self._error else Reason.CONNECTING), said
        if self._error is not None and self._error.reason not in _SAID_BY_SILENCE:
            return self._error.reason, said
        age = now - self._last_media
        if age > STALL_S + self._burst_s:
            return Reason.STALLED, said or f"no media for {age:.0f} s"
        return None, ""


def _grace(error: StreamError) -> float | None:
    """How long this answer must persist to mean the end; None when it never does."""
    return error.grace_s if isinstance(error, (Refused, Unreachable)) else None
