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

_DEAREST_S = 10.0
"""Of one look: one that takes longer is taken for a decoder that hangs, and ends with its watcher."""

_UNLIKE = 4.0
"""A picture is priced as at most so many times dearer or cheaper than the stream's others, whatever its bytes."""


class Burden:
    """Of one stream. One caller at a time.

    Its looks are priced by what its own looks took, in proportion to bytes, since decoding time follows those. What all
    streams took says what to expect of one that was never looked at.
    """

    def __init__(self, prices: Prices, now: float) -> None:
        """`prices`: of all streams of this watcher."""
        self.spent = Spent()
        self._prices = prices
        self._key_bytes = 0.0
        self._key_s: float | None = None
        """Decoding one of its key pictures, a running mean."""
        self._between: float | None = None
        """The same for each byte of pictures decoded one after another."""
        self._received = 0
        self._at = now
        self._rate = 0.0

    @property
    def score_s(self) -> float:
        """Scaling and inference of one look, seconds."""
        return self._prices.score_s

    def key(self, size: int) -> None:
        """A key picture of so many bytes came."""
        self._key_bytes += (size - self._key_bytes) * (_MEMORY if self._key_bytes else 1.0)

    def key_s(self, codec: str, size: float) -> float:
        """Decoding a key picture of so many bytes, seconds of processor time."""
        if self._key_s is None:
            return min(self._prices.key_s(codec, size), _DEAREST_S)
        unlike = size / self._key_bytes if self._key_bytes else 1.0
        return min(self._key_s * min(max(unlike, 1 / _UNLIKE), _UNLIKE), _DEAREST_S)

    def between_s(self, codec: str, size: float) -> float:
        """Decoding so many bytes of pictures one after another."""
        price = self._prices.between_s(codec, size) if self._between is None else self._between * size
        return min(price, _DEAREST_S)

    def looked(self, seen: Seen, looked: Looked) -> None:
        """A look is over: count what it took, and learn from it; broken pictures teach only what this stream costs."""
        self.spent = self.spent.plus(seen, inner=looked.aim is Aim.INNER)
        codec, whole = looked.packet.config.codec, seen.outcome is Outcome.SCORED
        if looked.aim is Aim.KEY:
            self._key_s = _towards(self._key_s, seen.decode_s)
            if whole:
                self._prices.decoded(codec, looked.packet.size, seen.decode_s, key=True)
        elif looked.size:
            self._between = _towards(self._between, seen.decode_s / looked.size)
            if whole:
                self._prices.decoded(codec, looked.size, seen.decode_s, key=False)
        if whole:
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
        between_s = self.between_s(codec, self._rate)
        inner = sampling.inner if sampling.lookback_s > 0 else 0.0
        return Load(
            look_s=self.key_s(codec, self._key_bytes) + self.score_s,
            score_s=self.score_s,
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


def _towards(mean: float | None, newest: float) -> float:
    return newest if mean is None else mean + _MEMORY * (newest - mean)
