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
from collections import deque

from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.base import Due, Pace
from streamwatch.sampling.capacity import BETWEEN_KEYS, CALM, Claim, Plan
from streamwatch.sampling.novelty import EARLY, Budget, Novelty
from streamwatch.sampling.schedule import Wish

HALF_LIFE_S = 10.0
"""Suspicion halves in this time once nothing renews it: an act may come back; a false hit must not stay dear."""

UNKNOWN_KEY_INTERVAL_S = 2.0
"""Assumed until two key pictures were seen: what streaming services ask broadcasters to send."""

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

_LONGEST_KEY_INTERVAL_S = 60.0
_REMEMBERED_INTERVALS = 8
_MARGIN_SHARE = 0.05
_MARGIN_LIMIT_S = 0.5
"""Arrivals jitter: aim a twentieth of the gap, at most half a second, before the promise."""

_CALM_BELOW = 0.01
"""A hundredth is calm: the gap is `max_gap` exactly."""

_AT_ONCE = Due(-math.inf, -math.inf, math.inf)

_TOGETHER_S = 0.01
"""Keys that arrive within this came in one read: where every picture is a key, a dozen do."""

_CLOCKS_AGREE = 2.0
"""Media time may run so much faster or slower than arrivals over the remembered keys: a lag of seconds does that."""


class AdaptiveSampler:
    """Sampler for one stream. Pure but for the random numbers it is given; one caller at a time."""

    def __init__(self, spec: SamplingSpec, *, rng: random.Random, weight: float = 1.0, young: bool = True) -> None:
        """`young`: the stream begins now; False where it was live before this sampler was there."""
        self._spec = spec
        self._weight = weight
        self._rng = rng
        self._plan = CALM
        self._suspicion = 0.0
        self._suspected_at = 0.0
        self._demanded = (0.0, -math.inf)
        """From outside: suspicion, and until when it stands."""
        self._now = 0.0
        self._began = None if young else -math.inf
        """When the session began; None before its first packet."""
        self._last_sample: float | None = None
        self._last_key: float | None = None
        self._last_key_media: float | None = None
        self._intervals: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED_INTERVALS)
        """Of arrival and of media time; the latter is infinite where it is not known."""
        self._usual_s = UNKNOWN_KEY_INTERVAL_S
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
        return self._gap(self._suspected(self._now))

    @property
    def key_interval_s(self) -> float:
        """Longest recent time between key pictures, as far as it is the stream's; bursts have a period that counts."""
        since = self._now - self._last_key if self._last_key is not None else 0.0
        return min(max(self._usual_s, since, _TOGETHER_S), _LONGEST_KEY_INTERVAL_S)

    @property
    def pace(self) -> Pace:
        """See `Sampler.pace`."""
        suspicion = self._suspected(self._now)
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
        suspicion = self._suspected(max(self._now, arrival))
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
            early = burst_s == 0.0 and self._is_early(arrival, media_s)
            self._note_key(arrival, media_s, burst_s)
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
        expected = self._last_key + self._usual_s if self._last_key is not None else math.inf
        soon = self.key_interval_s <= self._usual_s and expected - arrival <= PATIENCE_S
        self._novel_until = arrival + PATIENCE_S if soon or self._spec.lookback_s <= 0 else arrival

    def tried(self, arrival: float) -> None:
        """See `Sampler.tried`."""
        self._in_vain += 1
        self._tried_at = max(self._tried_at, arrival)
        pause = min(self._spec.min_gap_s * 2.0 ** min(self._in_vain - 1, 30), self._spec.max_gap_s / 2)
        self._held_until = max(self._now, arrival) + pause
        self._novel_until = math.inf

    def sampled(self, arrival: float) -> None:
        """Start the next gap at `arrival`."""
        first = self._last_sample is None
        if self._last_sample is None or arrival > self._last_sample:
            self._last_sample = arrival
        self._held_until, self._in_vain = -math.inf, 0
        if arrival >= self._novel_at:  # a look that began before the sign came did not see what it is about
            self._novel_until = math.inf
        self._draw()
        if first and self._spec.jitter:
            self._early = self._rng.random()  # or streams that began together would be looked at together for ever

    def suspect(self, suspicion: float, now: float) -> None:
        """Raise suspicion at once; it never falls but by its half-life."""
        self._now = max(self._now, now)
        self._suspicion = max(self._faded(self._now), min(max(suspicion, 0.0), 1.0))
        self._suspected_at = self._now

    def demand(self, suspicion: float, *, until: float, now: float) -> None:
        """Take the demand from outside that stands until then, at least; it does not fade."""
        self._now = max(self._now, now)
        self._demanded = (min(max(suspicion, 0.0), 1.0), until)

    def between_keys(self) -> bool:
        """Whether keys come too seldom for the gap aimed at."""
        # Where all promises are stretched, decoding everything for one that has rare keys would be at others' cost.
        return self.key_interval_s > self.gap_s * self._plan.floor(self._weight) * BETWEEN_KEYS

    def restart(self) -> None:
        """Begin a new session: its keys may come at another pace, and its first key is looked at."""
        self._began = self._last_sample = None
        self._last_key = self._last_key_media = None
        self._intervals.clear()
        self._usual_s = UNKNOWN_KEY_INTERVAL_S
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
        expected = math.inf if self._last_key is None else self._last_key + self._usual_s
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
        return arrival + self._inside * min(self._usual_s, PATIENCE_S)

    def _looks_inside(self) -> bool:
        """Whether the next look falls at a random instant: only where the buffer reaches back to a key picture."""
        return self._inner and self._spec.lookback_s > 0 and not self.between_keys()

    def _rare_at(self) -> float:
        if self._last_key is None:
            return math.inf
        return self._last_key + self.gap_s * self._plan.floor(self._weight) * BETWEEN_KEYS

    # --- novelty ----------------------------------------------------------------------------------------------------

    def _is_early(self, arrival: float, media_s: float | None) -> bool:
        """Whether a key comes before its time: by the encoder's own clock where it is known, since arrivals bunch."""
        if self._last_key is None or len(self._intervals) < 2:  # noqa: PLR2004 - two intervals make something usual
            return False
        since = arrival - self._last_key
        if since < _TOGETHER_S:
            return False
        if media_s is not None and self._last_key_media is not None:
            since = max(since, media_s - self._last_key_media)
        return since < EARLY * self._usual_s

    def _follows(self, arrival: float) -> bool:
        """Whether a hint is followed: they are switched on, there is room, and not too many were."""
        if not self._spec.novelty:
            return False
        self._hints.seen(arrival)
        if self._rng.random() < self._plan.thrift:
            return False
        return self._hints.take(arrival)

    # --- what is learnt ---------------------------------------------------------------------------------------------

    def _note_key(self, arrival: float, media_s: float | None, burst_s: float) -> None:
        """Learn how far apart keys are.

        A machine that lags reads keys late and several at once. Taken for the stream's own pace, that would make every
        key due and the lag worse; so arrivals count for no more than the media between them, while both clocks run at
        about the same speed. Where they do not, somebody writes media times as he likes, and arrivals count alone.
        """
        if self._last_key is not None and arrival - self._last_key < _TOGETHER_S:
            return  # read at once: how far apart they are is told by the first of each read
        if self._last_key is not None:
            known = media_s is not None and self._last_key_media is not None
            media = media_s - self._last_key_media if known else math.inf  # type: ignore[operator]
            self._intervals.append((arrival - self._last_key, media + burst_s))
            arrived, shown = (sum(parts) for parts in zip(*self._intervals, strict=True))
            honest = arrived / _CLOCKS_AGREE <= shown <= arrived * _CLOCKS_AGREE + len(self._intervals) * burst_s
            self._usual_s = max(min(pair) if honest else pair[0] for pair in self._intervals)
        self._last_key, self._last_key_media = arrival, media_s

    def _suspected(self, now: float) -> float:
        demanded, until = self._demanded
        faded = self._faded(now)
        return max(faded, demanded) if now < until else faded

    def _faded(self, now: float) -> float:
        age = max(now - self._suspected_at, 0.0)
        level = self._suspicion * 0.5 ** (age / HALF_LIFE_S)
        return level if level > _CALM_BELOW else 0.0

    def _draw(self) -> None:
        """Choose where the next look falls. One that should have fallen inside and had to hurry instead is owed."""
        self._early = self._rng.random() * self._spec.jitter
        inner = self._spec.inner
        if inner > 0:
            inner = min(inner + INNER_UNDER_SUSPICION * self._suspected(self._now), 1.0) * (1.0 - self._plan.thrift)
        self._inner = (self._inner and inner > 0) or self._rng.random() < inner
        self._inside = self._rng.random()


def _margin(gap_s: float) -> float:
    return min(gap_s * _MARGIN_SHARE, _MARGIN_LIMIT_S)
