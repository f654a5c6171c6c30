"""`/coverage`: the books at a glance, for the terminal view and for whoever asks over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from streamwatch.coverage.books import Books
from streamwatch.coverage.rings import HOUR, WINDOWS, Ratios
from streamwatch.coverage.summary import Standing, fullest_last
from streamwatch.daemon.setup import Setup
from streamwatch.domain.clock import Clock, rfc3339

STREAMS_LISTED = 200
"""Worst first; the sums are of all."""
ORIGINS_LISTED = 100


class Glance:
    """Answers at once, on the event loop."""

    def __init__(self, *, node: str, books: Books, setup: Callable[[], Setup], clock: Clock) -> None:
        self._node = node
        self._books = books
        self._setup = setup
        self._clock = clock

    def coverage(self) -> dict[str, Any]:
        """Node, origins, and the streams that need eyes."""
        now = self._clock.monotonic()
        summary = self._books.summary(now)
        origins = sorted(summary.origins, key=lambda origin: fullest_last(origin.ratios[HOUR]))
        streams = self._books.worst_first(now)
        standings = (self._books.standing(stream, now) for stream in streams[:STREAMS_LISTED])
        return {
            "at": rfc3339(self._clock.now()),
            "node": {
                "name": self._node,
                "live": summary.live,
                "covered": summary.covered,
                "uncovered": len(summary.uncovered),
                "connecting": summary.connecting,
                **_ratios((summary.ratio_1m, summary.ratio_1h, summary.ratio_24h)),
                "worst_gap_s": round(summary.worst_gap_s, 3),
                "breaches_1h": summary.breaches_1h,
            },
            "origins": [
                {"name": origin.name, "live": origin.live, "covered": origin.covered, **_ratios(origin.ratios)}
                for origin in origins[:ORIGINS_LISTED]
            ],
            "streams": [self._stream(standing) for standing in standings if standing is not None],
            "streams_total": len(streams),
        }

    def _stream(self, standing: Standing) -> dict[str, Any]:
        state, breach = standing.state, standing.breach
        return {
            "sid": self._setup().sid(standing.stream),
            "stream": self._setup().shown(standing.stream),
            "origin": standing.origin,
            "state": state.state.value,
            "reason": state.reason.value if state.reason else None,
            "since": self._wall(state.since),
            "detail": standing.detail,
            "gap_now_s": None if standing.gap_now_s is None else round(standing.gap_now_s, 3),
            "max_gap_s": standing.max_gap_s,
            **_ratios(standing.ratios),
            "breaches_1h": standing.breaches_1h,
            "broken_since": None if breach is None else self._wall(breach.started),
            "live_s": round(standing.live_s, 1),
            "uncovered_s": round(standing.uncovered_s, 1),
        }

    def _wall(self, monotonic: float) -> str:
        ago = timedelta(seconds=max(self._clock.monotonic() - monotonic, 0.0))
        return rfc3339(self._clock.now() - ago)


def _ratios(ratios: Ratios) -> dict[str, float | None]:
    """Null where nothing was live in that time."""
    named = zip(WINDOWS, ratios, strict=True)
    return {f"coverage_{window.name}": None if ratio is None else round(ratio, 5) for window, ratio in named}
