"""A sudden drop of the bit rate: where a scene was, a slate may be. Pure."""

from __future__ import annotations

from collections import deque
from statistics import median

BUCKET_S = 10.0
"""Rates are averages over so long: some key pictures, which are the bulk of a still stream."""
KNOWN = 6
"""Buckets from which the usual rate is known: a minute."""
_REMEMBERED = 12
LOW = 0.2
"""Share of the usual rate that is a drop. Measured with x264 (640 x 360, 25 frames a second, a key every 2 s): from a
scene that moves to black 0.01-0.02 of the rate, to a slate with words 0.03-0.07, to a quiet scene 0.6-1.0, to a
photograph 0.5-1.0, since its keys are dear. Where the encoder fills up to a constant rate, always 1.0: no sign there.
"""
RETURNED = 0.4
"""Share of the usual rate at which a drop is over."""
SUDDEN = 0.5
"""One of the two buckets before still had so much: what ebbs over minutes is the content's own way."""
SLATE_S = 30.0
"""It stays there: an intermission of a few seconds is none."""
ACCEPTED_S = 600.0
"""After so long the low rate is the usual one."""


class BitRate:
    """Of one session. One caller at a time."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._bucket: tuple[float, int] | None = None
        """When the present bucket began, and the count of bytes then."""
        self._usual = 0.0
        self._dropped_at: float | None = None
        self._low_s = 0.0

    @property
    def known(self) -> bool:
        """Whether there is a usual rate to compare with."""
        return len(self._rates) >= KNOWN

    @property
    def score(self) -> float:
        """Share of `SLATE_S` for which the rate has been low."""
        return min(self._low_s / SLATE_S, 1.0)

    def at(self, now: float, received: int, *, flowing: bool) -> None:
        """So many bytes have come by now. While nothing flows there is no rate: silence has names of its own."""
        if not flowing:
            self._bucket = None
            return
        if self._bucket is None:
            self._bucket = now, received
            return
        began, before = self._bucket
        if now - began < BUCKET_S:
            return
        self._bucket = now, received
        self._judge((received - before) / (now - began), began, now)

    def _judge(self, rate: float, began: float, now: float) -> None:
        if self._dropped_at is not None:
            if rate < RETURNED * self._usual and now - self._dropped_at < ACCEPTED_S:
                self._low_s = now - self._dropped_at
                return
            if rate < RETURNED * self._usual:
                self._rates.clear()
            self._dropped_at, self._low_s = None, 0.0
        elif self.known:
            self._usual = median(self._rates)
            lately = max(self._rates[-1], self._rates[-2])
            if rate < LOW * self._usual and lately >= SUDDEN * self._usual:
                self._dropped_at, self._low_s = began, now - began
                return
        self._rates.append(rate)
