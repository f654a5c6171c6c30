"""The adaptive sampler: `max_gap` when calm, towards `min_gap` when suspicion rises.

The gap aimed at lies between the two on a logarithmic scale, because a suspicion of one half should cost the geometric
mean of the looks, not half of the most expensive rate. Looks come a little early by a random share (`jitter`), so that
a broadcaster cannot learn the instants, and now and then inside a group of pictures (`inner`), because a broadcaster
chooses the key pictures.
"""

from __future__ import annotations

import math
import random
from collections import deque

from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.base import Due

HALF_LIFE_S = 10.0
"""Suspicion halves in this time once nothing renews it: an act may come back; a false hit must not stay dear."""

UNKNOWN_KEY_INTERVAL_S = 2.0
"""Assumed until two key pictures were seen: what streaming services ask broadcasters to send."""

_LONGEST_KEY_INTERVAL_S = 60.0
_REMEMBERED_INTERVALS = 8
_MARGIN_SHARE = 0.05
_MARGIN_LIMIT_S = 0.5
"""Arrivals jitter: aim a twentieth of the gap, at most half a second, before the promise."""

_BETWEEN_KEYS = 1.1
"""Keys alone suffice while their interval is at most this multiple of the gap: 2.03 s keys do keep a 2 s gap."""


_AT_ONCE = Due(-math.inf, -math.inf, math.inf)


_CLOCKS_AGREE = 2.0
"""Media time may run so much faster or slower than arrivals over the remembered keys: a lag of seconds does that."""


class AdaptiveSampler:
    """Sampler for one stream. Pure but for the random numbers it is given; one caller at a time."""

    def __init__(self, spec: SamplingSpec, *, rng: random.Random) -> None:
        self._spec = spec
        self._rng = rng
        self._suspicion = 0.0
        self._suspected_at = 0.0
        self._demanded = (0.0, -math.inf)
        """From outside: suspicion, and until when it stands."""
        self._now = 0.0
        self._last_sample: float | None = None
        self._last_key: float | None = None
        self._last_key_media: float | None = None
        self._intervals: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED_INTERVALS)
        """Of arrival and of media time; the latter is infinite where it is not known."""
        self._usual_s = UNKNOWN_KEY_INTERVAL_S
        self._early = 0.0
        self._inner = False
        self._inside = 0.0
        self._draw()

    @property
    def gap_s(self) -> float:
        """The gap aimed at, at the newest time this sampler was told."""
        longest, shortest = self._spec.max_gap_s, self._spec.min_gap_s
        return float(longest * (shortest / longest) ** self._decayed(self._now))

    @property
    def key_interval_s(self) -> float:
        """Longest recent time between key pictures, as far as it is the stream's; bursts have a period that counts."""
        since = self._now - self._last_key if self._last_key is not None else 0.0
        return min(max(self._usual_s, since), _LONGEST_KEY_INTERVAL_S)

    @property
    def due(self) -> Due:
        """See `Sampler.due`."""
        if self._last_sample is None:
            return _AT_ONCE
        look_at, interval = self._due(), self.key_interval_s
        if self.between_keys() or not self._looks_inside():
            return Due(look_at - interval, look_at, look_at, self._rare_at())
        inner_at = look_at - self._inside * interval
        return Due(inner_at, look_at, inner_at, self._rare_at())

    def packet(
        self,
        *,
        arrival: float,
        key: bool,
        size: int,
        media_s: float | None = None,
        burst_s: float = 0.0,
        anchor: bool = True,
    ) -> bool:
        """Note a packet and answer whether to look at it; see `Sampler.packet`. `size` is in bytes."""
        del size, anchor  # novelty
        self._now = max(self._now, arrival)
        if key:
            self._note_key(arrival, media_s, burst_s)
            return self._key_is_due(arrival)
        if self._last_sample is None:
            return False
        if self._looks_inside() and not self.between_keys():
            return arrival >= self._due() - self._inside * self.key_interval_s
        # Keys alone cannot keep the gap, or the key that should have come in time did not.
        return arrival >= self._due()

    def sampled(self, arrival: float) -> None:
        """Start the next gap at `arrival`."""
        first = self._last_sample is None
        if self._last_sample is None or arrival > self._last_sample:
            self._last_sample = arrival
        self._draw()
        if first and self._spec.jitter:
            self._early = self._rng.random()  # or streams that began together would be looked at together for ever

    def suspect(self, suspicion: float, now: float) -> None:
        """Raise suspicion at once; it never falls but by its half-life."""
        self._now = max(self._now, now)
        self._suspicion = max(self._decayed(self._now), min(max(suspicion, 0.0), 1.0))
        self._suspected_at = self._now

    def demand(self, suspicion: float, *, until: float, now: float) -> None:
        """Take the demand from outside that stands until then, at least; it does not fade."""
        self._now = max(self._now, now)
        self._demanded = (min(max(suspicion, 0.0), 1.0), until)

    def between_keys(self) -> bool:
        """Whether keys come too seldom for the gap aimed at."""
        return self.key_interval_s > self.gap_s * _BETWEEN_KEYS

    def restart(self) -> None:
        """Begin a new session: its keys may come at another pace, and its first key is looked at."""
        self._last_sample = None
        self._last_key = self._last_key_media = None
        self._intervals.clear()
        self._usual_s = UNKNOWN_KEY_INTERVAL_S

    def _note_key(self, arrival: float, media_s: float | None, burst_s: float) -> None:
        """Learn how far apart keys are.

        A machine that lags reads keys late and several at once. Taken for the stream's own pace, that would make every
        key due and the lag worse; so arrivals count for no more than the media between them, while both clocks run at
        about the same speed. Where they do not, somebody writes media times as he likes, and arrivals count alone.
        """
        if self._last_key is not None:
            known = media_s is not None and self._last_key_media is not None
            media = media_s - self._last_key_media if known else math.inf  # type: ignore[operator]
            self._intervals.append((arrival - self._last_key, media + burst_s))
            arrived, shown = (sum(parts) for parts in zip(*self._intervals, strict=True))
            honest = arrived / _CLOCKS_AGREE <= shown <= arrived * _CLOCKS_AGREE + len(self._intervals) * burst_s
            self._usual_s = max(min(pair) if honest else pair[0] for pair in self._intervals)
        self._last_key, self._last_key_media = arrival, media_s

    def _key_is_due(self, arrival: float) -> bool:
        if self._last_sample is None:
            return True
        if self._looks_inside():
            return arrival >= self._due() - self._inside * self.key_interval_s
        return arrival >= self._due() - self.key_interval_s

    def _looks_inside(self) -> bool:
        """Whether the next look falls at a random instant: only where the buffer reaches back to a key picture."""
        return self._inner and self.key_interval_s <= self._spec.lookback_s

    def _due(self) -> float:
        gap = self.gap_s
        margin = min(gap * _MARGIN_SHARE, _MARGIN_LIMIT_S)
        return (self._last_sample or 0.0) + gap * (1.0 - self._early) - margin

    def _rare_at(self) -> float:
        return math.inf if self._last_key is None else self._last_key + self.gap_s * _BETWEEN_KEYS

    def _decayed(self, now: float) -> float:
        age = max(now - self._suspected_at, 0.0)
        level = self._suspicion * 0.5 ** (age / HALF_LIFE_S)
        demanded, until = self._demanded
        if now < until:
            level = max(level, demanded)
        return level if level > 0.01 else 0.0  # noqa: PLR2004  # a hundredth is calm: the gap is max_gap exactly

    def _draw(self) -> None:
        self._early = self._rng.random() * self._spec.jitter
        self._inner = self._rng.random() < self._spec.inner
        self._inside = self._rng.random()
