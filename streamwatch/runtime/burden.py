"""What a stream has cost, and what its next looks will. Pure."""

from __future__ import annotations

from streamwatch.domain.media import Aim
from streamwatch.domain.streams import SamplingSpec
from streamwatch.runtime.look import Outcome, Seen, Spent
from streamwatch.runtime.looks import Looked
from streamwatch.sampling.base import Pace
from streamwatch.sampling.capacity import Load, Prices

_MEMORY = 0.2
_SHORTEST_S = 0.5
"""Between two measurements of a rate; less says little, since media comes in batches."""


class Burden:
    """Of one stream. One caller at a time."""

    def __init__(self, prices: Prices, now: float) -> None:
        """`prices`: of all streams of this watcher; each teaches the others."""
        self.spent = Spent()
        self._prices = prices
        self._key_bytes = 0.0
        self._received = 0
        self._at = now
        self._rate = 0.0

    def key(self, size: int) -> None:
        """A key picture of so many bytes came."""
        self._key_bytes += (size - self._key_bytes) * (_MEMORY if self._key_bytes else 1.0)

    def looked(self, seen: Seen, looked: Looked) -> None:
        """A look is over: count what it took, and learn from it."""
        self.spent = self.spent.plus(seen, inner=looked.aim is Aim.INNER)
        codec = looked.packet.config.codec
        if looked.aim is Aim.KEY:
            self._prices.decoded(codec, looked.packet.size, seen.decode_s, key=True)
        elif looked.size:
            self._prices.decoded(codec, looked.size, seen.decode_s, key=False)
        if seen.outcome is Outcome.SCORED:
            self._prices.scored(seen.scale_s + sum(seen.infer_s))

    def rate(self, received: int, now: float) -> float:
        """Bytes a second lately, given all that was received since the beginning; monotonic seconds."""
        passed = now - self._at
        if passed >= _SHORTEST_S:
            newest = max(received - self._received, 0) / passed
            self._rate += (newest - self._rate) * (_MEMORY if self._rate else 1.0)
            self._received, self._at = received, now
        return self._rate

    def load(self, pace: Pace, sampling: SamplingSpec, codec: str) -> Load:
        """What looks at this pace ask of the workers."""
        prices = self._prices
        between_s = prices.between_s(codec, self._rate)
        inner = sampling.inner if sampling.lookback_s > 0 else 0.0
        return Load(
            look_s=prices.key_s(codec, self._key_bytes) + prices.score_s,
            score_s=prices.score_s,
            between_s=between_s,
            key_interval_s=pace.key_interval_s,
            promise_s=pace.promise_s,
            wish_s=pace.wish_s,
            aim_s=pace.aim_s,
            suspicious=pace.suspicious,
            weight=pace.weight,
            extra_s=inner * between_s * pace.key_interval_s / 2,
            hints_per_s=pace.hints_per_s,
        )
