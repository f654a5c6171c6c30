"""The adaptive sampler: `max_gap` when calm, towards `min_gap` when suspicion rises.

The gap aimed at lies between the two on a logarithmic scale, because a suspicion of one half should cost the geometric
mean of the looks, not half of the most expensive rate. Looks come a little early by a random share (`jitter`), so that
a broadcaster cannot learn the instants, and now and then inside a group of pictures (`inner`), because a broadcaster
chooses the key pictures. Signs of novelty bring the next look forward. What nobody was promised gives way first where
the machine is too small (`press`).
"""

from __future__ import annotations

import math
import random

from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.base import Due, Pace
from streamwatch.sampling.capacity import BETWEEN_KEYS, CALM, Claim, Plan
from streamwatch.sampling.keys import Keys
from streamwatch.sampling.novelty import Budget, Novelty
from streamwatch.sampling.schedule import Wish
from streamwatch.sampling.suspicion import Suspicion

SUSPICIOUS = 0.1
"""From this suspicion on looks are paid from the share reserved for it; under it the gap is nearly the calm one."""

YOUNG_FACTOR = 2.0
"""A stream that just began is looked at twice as often; that wears off evenly over `young`."""

INNER_UNDER_SUSPICION = 0.5
"""Of the looks at a fully suspicious stream so many more fall inside, where its keys are dense enough to serve it."""

PATIENCE_S = 2.0
"""A sign of novelty waits so long for a key picture, which is far cheaper to decode than all that lies before the sign:
what is worth an alert lasts longer."""

LATE_S = 0.1
"""A key that is expected about when the gap ends is waited for so much longer: to look between keys instead, over and
over, would cost ten times as much."""

_MARGIN_SHARE = 0.05
_MARGIN_LIMIT_S = 0.5
"""Arrivals jitter: aim a twentieth of the gap, at most half a second, before the promise."""

_AT_ONCE = Due(-math.inf, -math.inf, math.inf)


class AdaptiveSampler:
    """Sampler for one stream. Pure but for the random numbers it is given; one caller at a time."""

    def __init__(self, spec: SamplingSpec, *, rng: random.Random, weight: float = 1.0, young: bool = True) -> None:
        """`young`: the stream begins now; False where it was live before this sampler was there."""
        self._spec = spec
        self._weight = weight
        self._rng = rng
        self._plan = CALM
        self._suspicion = Suspicion()
        self._now = 0.0
        self._began = None if young else -math.inf
        """When the session began; None before its first packet."""
        self._last_sample: float | None = None
        self._keys = Keys()
        self._novelty = Novelty()
        self._hints = Budget()
        self._novel_until = math.inf
        """A sign of novelty waits for a key until then; infinite where none does."""
        self._novel_at = -math.inf
        """Arrival of that sign."""
        self._held_until = -math.inf
        """Looks that show nothing are tried again at growing distances."""
        self._in_vain = 0
        self._tried_at = -math.inf
        self._early = 0.0
        self._inner = False
        self._inside = 0.0
        self._draw()

    # --- how often --------------------------------------------------------------------------------------------------

    @property
    def gap_s(self) -> float:
        """The gap aimed at, at the newest time this sampler was told."""
        return self._gap(self._suspicion.at(self._now))

    @property
    def key_interval_s(self) -> float:
        """See `Keys.interval_s`, at the newest time this sampler was told."""
        return self._keys.interval_s(self._now)

    @property
    def pace(self) -> Pace:
        """See `Sampler.pace`."""
        suspicion = self._suspicion.at(self._now)
        promise = self._spec.max_gap_s
        wish = self._calm_gap(thrift=0.0)
        aim = self._aim(suspicion, wish)
        return Pace(
            promise_s=self._spacing(promise, 0.0),
            wish_s=self._jittered(wish),
            aim_s=self._jittered(aim),
            suspicious=self._is_suspicious(suspicion, aim),
            key_interval_s=self.key_interval_s,
            weight=self._weight,
            hints_per_s=self._hints.per_s(self._now),
        )

    def wish(self, arrival: float) -> Wish:
        """See `Sampler.wish`."""
        last, spec = self._last_sample, self._spec
        if last is None:
            return Wish(Claim.FLOOR, arrival, 0.0, 0.0, self._weight)
        last = max(last, self._tried_at)  # what shows nothing may not be the most urgent of all for ever
        suspicion = self._suspicion.at(max(self._now, arrival))
        aim = self._aim(suspicion, self._calm_gap(thrift=self._plan.thrift))
        claim = Claim.SUSPICION if self._is_suspicious(suspicion, aim) else Claim.FLOOR
        return Wish(claim, last, aim, spec.max_gap_s, self._weight)

    @property
    def promise_until(self) -> float:
        """Until then the promise holds without another look; minus infinity before the first."""
        return -math.inf if self._last_sample is None else self._last_sample + self._spec.max_gap_s

    def press(self, plan: Plan) -> None:
        """Take note of how much the machine can take."""
        self._plan = plan

    # --- when -------------------------------------------------------------------------------------------------------

    @property
    def due(self) -> Due:
        """See `Sampler.due`."""
        if self._last_sample is None:
            return _AT_ONCE if self._held_until == -math.inf else Due(self._held_until, self._held_until, math.inf)
        look_at, interval = self._due(), self.key_interval_s
        if self._looks_inside():
            key_at = any_at = min(look_at - self._inside * interval, self._novel_until)
        else:
            key_at = look_at - interval if self._novel_until == math.inf else -math.inf
            any_at = min(self._any_at(), self._novel_until)
        look_at = max(min(look_at, self._novel_until), self._held_until)
        key_at, any_at = max(key_at, self._held_until), max(any_at, self._held_until)
        return Due(key_at, look_at, any_at, self._rare_at())

    def passed(self, size: int) -> bool:
        """See `Sampler.passed`."""
        return self._novelty.usual(size)

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
        self._now = max(self._now, arrival)
        if self._began is None:
            self._began = arrival
        if key:
            early = burst_s == 0.0 and self._keys.is_early(arrival, media_s)
            self._keys.note(arrival, media_s, burst_s)
            self._novelty.refresh()
            if early and self._novel_until == math.inf and self._follows(arrival):
                self._novel_until = self._instant(arrival) if self._looks_inside() else arrival
                self._novel_at = arrival
            return arrival >= self._held_until and self._key_is_due(arrival)
        if anchor and not self._novelty.usual(size):
            self.novel(arrival)
        if self._last_sample is None or arrival < self._held_until:
            return False
        inside, due = self._looks_inside(), self._due()
        # Keys alone cannot keep the gap, or the key that should have come in time did not, or a novelty cannot wait.
        at = due - self._inside * self.key_interval_s if inside else self._any_at()
        if arrival < min(at, self._novel_until):
            return False
        self._inner = self._inner and not inside
        return True

    def novel(self, arrival: float) -> None:
        """See `Sampler.novel`."""
        if self._last_sample is None or self._novel_until < math.inf or not self._follows(arrival):
            return
        self._novel_at = arrival
        if self._looks_inside():
            self._novel_until = self._instant(arrival)
            return
        soon = self.key_interval_s <= self._keys.usual_s and self._keys.expected - arrival <= PATIENCE_S
        self._novel_until = arrival + PATIENCE_S if soon or self._spec.lookback_s <= 0 else arrival

    def tried(self, arrival: float) -> None:
        """See `Sampler.tried`."""
        self._in_vain += 1
        self._tried_at = max(self._tried_at, arrival)
        pause = min(self._spec.min_gap_s * 2.0 ** min(self._in_vain - 1, 30), self._spec.max_gap_s / 2)
        self._held_until = max(self._now, arrival) + pause
        self._novel_until = math.inf

    def sampled(self, arrival: float, *, up_to: float | None = None) -> None:
        """Start the next gap at `arrival`; see `Sampler.sampled`."""
        first = self._last_sample is None
        if self._last_sample is None or arrival > self._last_sample:
            self._last_sample = arrival
        self._held_until, self._in_vain = -math.inf, 0
        if (arrival if up_to is None else up_to) >= self._novel_at:  # else it began before the sign came
            self._novel_until = math.inf
        self._draw()
        if first and self._spec.jitter:
            self._early = self._rng.random()  # or streams that began together would be looked at together for ever

    def suspect(self, suspicion: float, now: float) -> None:
        """Raise suspicion at once; it never falls but by its half-life."""
        self._now = max(self._now, now)
        self._suspicion.rise(suspicion, self._now)

    def demand(self, suspicion: float, *, until: float, now: float) -> None:
        """Take the demand from outside that stands until then, at least; it does not fade."""
        self._now = max(self._now, now)
        self._suspicion.demand(suspicion, until)

    def between_keys(self) -> bool:
        """Whether keys come too seldom for the gap aimed at."""
        # Where all promises are stretched, decoding everything for one that has rare keys would be at others' cost.
        return self.key_interval_s > self.gap_s * self._plan.floor(self._weight) * BETWEEN_KEYS

    def restart(self) -> None:
        """Begin a new session: its keys may come at another pace, and its first key is looked at."""
        self._began = self._last_sample = None
        self._keys = Keys()
        self._novelty.forget()
        self._novel_until = math.inf
        self._held_until = self._tried_at = self._novel_at = -math.inf
        self._in_vain = 0

    def tune(self, spec: SamplingSpec, *, weight: float) -> None:
        """Go on with other settings; what was learnt and suspected stays."""
        self._spec, self._weight = spec, weight

    # --- what it comes to -------------------------------------------------------------------------------------------

    def _calm_gap(self, *, thrift: float) -> float:
        """Without suspicion: `max_gap`, less for weight and youth as far as there is room for it."""
        spec = self._spec
        often = max(self._weight, 1.0)
        if self._began is not None and self._now - self._began < spec.young_s:
            often *= math.pow(YOUNG_FACTOR, 1.0 - (self._now - self._began) / spec.young_s)
        if often == 1.0:
            return spec.max_gap_s
        # No more often than keys come: between them a look costs all the pictures before it.
        shortest = min(max(spec.min_gap_s, self.key_interval_s), spec.max_gap_s)
        return max(spec.max_gap_s / math.pow(often, 1.0 - thrift), shortest)

    def _aim(self, suspicion: float, calm: float) -> float:
        shortest = min(self._spec.min_gap_s, calm)
        return calm * math.pow(shortest / calm, suspicion)

    def _gap(self, suspicion: float) -> float:
        aim = self._aim(suspicion, self._calm_gap(thrift=self._plan.thrift))
        if self._is_suspicious(suspicion, aim):
            aim = min(aim * self._plan.suspicion_stretch, self._spec.max_gap_s)
        return aim

    def _is_suspicious(self, suspicion: float, aim_s: float) -> bool:
        """Whether suspicion asks for more than the promise gives."""
        return suspicion >= SUSPICIOUS and aim_s < self._spec.max_gap_s

    def _jittered(self, gap_s: float) -> float:
        """As `_spacing`, on average over how early looks come: where keys decide, a little earlier is a whole key."""
        punctual, early = self._spacing(gap_s, 0.0), self._spacing(gap_s, self._spec.jitter)
        return 2.0 / (1.0 / punctual + 1.0 / early)

    def _spacing(self, gap_s: float, early: float) -> float:
        """Seconds between looks that keep this gap, seeing that they fall on keys where those are dense enough."""
        interval = self.key_interval_s
        reach = gap_s * (1.0 - early) - _margin(gap_s)
        if interval > gap_s * BETWEEN_KEYS:
            return max(reach, 0.01)
        return max(reach // interval, 1.0) * interval

    def _due(self) -> float:
        gap = self.gap_s
        early = self._early * (1.0 - self._plan.thrift)
        return (self._last_sample or 0.0) + gap * (1.0 - early) - _margin(gap)

    def _any_at(self) -> float:
        """When a packet between keys is looked at: at the end of the gap, unless a key is about to come.

        That gap is stretched with all promises: where there is too little, nothing is decoded between keys to keep one.
        """
        stretch = self._plan.floor(self._weight)
        due = self._due() + self.gap_s * (stretch - 1.0)
        expected = self._keys.expected
        if due < expected <= (self._last_sample or 0.0) + self.gap_s * stretch + LATE_S:
            return expected + LATE_S
        return due

    def _key_is_due(self, arrival: float) -> bool:
        if self._last_sample is None:
            return True
        if self._looks_inside():
            return arrival >= min(self._due() - self._inside * self.key_interval_s, self._novel_until)
        return self._novel_until < math.inf or arrival >= self._due() - self.key_interval_s

    def _instant(self, arrival: float) -> float:
        """When a look that falls inside follows a sign of novelty: whoever broadcasts makes the signs, too."""
        return arrival + self._inside * min(self._keys.usual_s, PATIENCE_S)

    def _looks_inside(self) -> bool:
        """Whether the next look falls at a random instant: only where the buffer reaches back to a key picture."""
        return self._inner and self._spec.lookback_s > 0 and not self.between_keys()

    def _rare_at(self) -> float:
        if self._keys.last is None:
            return math.inf
        return self._keys.last + self.gap_s * self._plan.floor(self._weight) * BETWEEN_KEYS

    # --- novelty ----------------------------------------------------------------------------------------------------

    def _follows(self, arrival: float) -> bool:
        """Whether a hint is followed: they are switched on, there is room, and not too many were."""
        if not self._spec.novelty:
            return False
        self._hints.seen(arrival)
        if self._rng.random() < self._plan.thrift:
            return False
        return self._hints.take(arrival)

    def _draw(self) -> None:
        """Choose where the next look falls. One that should have fallen inside and had to hurry instead is owed."""
        self._early = self._rng.random() * self._spec.jitter
        inner = self._spec.inner
        if inner > 0:
            inner = min(inner + INNER_UNDER_SUSPICION * self._suspicion.at(self._now), 1.0) * (1.0 - self._plan.thrift)
        self._inner = (self._inner and inner > 0) or self._rng.random() < inner
        self._inside = self._rng.random()


def _margin(gap_s: float) -> float:
    return min(gap_s * _MARGIN_SHARE, _MARGIN_LIMIT_S)
