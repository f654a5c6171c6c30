"""What the books say, as metrics."""

from __future__ import annotations

import math

from streamwatch.coverage.books import Books
from streamwatch.coverage.rings import WINDOWS
from streamwatch.telemetry.metrics import Metrics

RATIOS_EVERY_S = 5.0
"""How often ratios are worked out: metrics are asked for every 10 s or more rarely."""


class CoverageFigures:
    """Brings the metrics of coverage up to date. Event loop only."""

    def __init__(self, books: Books, metrics: Metrics) -> None:
        self._books = books
        self._metrics = metrics
        self._next = float("-inf")

    def show(self, now: float) -> None:
        """Counters at once, ratios where it is time. Called once a second."""
        metrics, tally = self._metrics, self._books.tally
        for reason, seconds in tally.uncovered_s.items():
            metrics.uncovered[reason.value] = seconds
        for reason, count in tally.breaches.items():
            metrics.breaches[reason.value] = count
        if now < self._next:
            return
        self._next = now + RATIOS_EVERY_S
        summary = self._books.summary(now)
        metrics.coverage.set(1.0 if summary.ratio_1m is None else summary.ratio_1m)  # always a number, as documented
        metrics.window_coverage.values = {("1h",): _value(summary.ratio_1h), ("24h",): _value(summary.ratio_24h)}
        metrics.origin_coverage.values = {
            (origin.name, window.name): _value(ratio)
            for origin in summary.origins
            for window, ratio in zip(WINDOWS, origin.ratios, strict=True)
        }


def _value(ratio: float | None) -> float:
    return math.nan if ratio is None else ratio
