"""How many events are seen, and at what price: fixed-rate sampling, this sampler without novelty, and all of it.

All three look equally often on average: the first two are given the gap at which they do. Where no single gap does it,
since looks fall on key pictures, some streams have the next shorter one and the others the next longer one. Looks are
counted outside events, which are a hundred times as frequent here as anywhere; the seconds after an event belong to it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from streamwatch.bench.sampling import viewing
from streamwatch.bench.sampling.programme import APART_S, LENGTHS_S, Event
from streamwatch.bench.sampling.traces import Trace
from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.adaptive import AdaptiveSampler

FULL, BLIND, FIXED = "full", "without novelty", "fixed rate"
"""The samplers that are compared."""
AFTER_S: Final = 3.0
"""Looks so soon after an event follow from the cut that ends it."""
_CALM_S: Final = min(APART_S) - 2.0
"""Before an event so long nothing of another one."""
_Z: Final = 1.96
"""Of a normal distribution: 95 % lie within."""
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_SCOUTS: Final = 2
"""Runs that tell between which two gaps to look."""
_FIXED_GAPS_S: Final = (1.0, 2.2, 3.2, 4.4, 5.5, 6.5, 8.6, 10.6, 12.6, 14.6, 16.6, 18.6, 20.6, 24.6, 30.6)


class Cell(NamedTuple):
    """How many of the events of one length were seen."""

    seen: int
    of: int

    @property
    def share(self) -> float:
        """Recall."""
        return self.seen / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Between which recall lies at 95 % (Wilson)."""
        if not self.of:
            return (0.0, 1.0)
        p, n, square = self.share, self.of, _Z * _Z
        middle, half = p + square / (2 * n), _Z * math.sqrt(p * (1 - p) / n + square / (4 * n * n))
        return ((middle - half) / (1 + square / n), (middle + half) / (1 + square / n))


@dataclass(frozen=True, slots=True)
class Found:
    """What some runs over a trace came to."""

    seconds: float
    """Outside events, of all runs."""
    looks: int
    """In them."""
    cost_s: float
    """Processor time of them."""
    inner_s: float
    """The part of it for looks between keys."""
    cells: dict[float, Cell]
    """By length of events."""

    @property
    def looks_per_min(self) -> float:
        """On average."""
        return 60 * self.looks / self.seconds

    @property
    def cost_per_min(self) -> float:
        """Seconds of processor time a minute."""
        return 60 * self.cost_s / self.seconds


def pooled(parts: Sequence[Found]) -> Found:
    """All runs together."""
    return Found(
        sum(part.seconds for part in parts),
        sum(part.looks for part in parts),
        sum(part.cost_s for part in parts),
        sum(part.inner_s for part in parts),
        {
            length: Cell(sum(part.cells[length].seen for part in parts), sum(part.cells[length].of for part in parts))
            for length in LENGTHS_S
        },
    )


def starts(trace: Trace, length: float) -> list[float]:
    """Cuts at which an event of this length can begin: no edge of another one shortly before or within.

    Beside the events that were placed, every other cut is as good a beginning: what comes before and after it is the
    programme as it is.
    """
    plot = trace.plot
    edges = sorted(edge for event in plot.events for edge in (event.begin, event.end))
    return [
        cut
        for cut in plot.all_cuts
        if _CALM_S <= cut <= plot.seconds - length
        and not any(cut - _CALM_S < edge < cut + length and edge != cut for edge in edges)
    ]


def run(trace: Trace, spec: SamplingSpec, seed: int, *, begins: dict[float, list[float]] | None = None) -> Found:
    """Watch a trace once. How long ago the last look was differs with the seed, evenly over any row of seeds."""
    sampler = AdaptiveSampler(spec, rng=random.Random(seed), young=False)  # noqa: S311 - a simulation
    sampler.sampled(-(seed * _GOLDEN % 1.0) * spec.max_gap_s)
    looks = list(viewing.watch(trace, sampler, spec))
    shown = [look.shown for look in looks]
    begins = begins or {length: starts(trace, length) for length in LENGTHS_S}
    cells = {}
    for length, cuts in begins.items():
        cells[length] = Cell(sum(_any_within(shown, cut, cut + length) for cut in cuts), len(cuts))
    zones = [Event(event.begin, event.length + AFTER_S) for event in trace.plot.events]
    zones.append(Event(0.0, spec.max_gap_s))
    outside = [look for look in looks if not any(zone.begin <= look.shown < zone.end for zone in zones)]
    return Found(
        _outside(zones, trace.plot.seconds),
        len(outside),
        sum(look.cost_s for look in outside),
        sum(look.cost_s for look in outside if not look.key),
        cells,
    )


def runs(trace: Trace, spec: SamplingSpec, seeds: range) -> list[Found]:
    """Watch a trace often."""
    begins = {length: starts(trace, length) for length in LENGTHS_S}
    return [run(trace, spec, seed, begins=begins) for seed in seeds]


def fixed(gap_s: float) -> SamplingSpec:
    """Of a sampler that takes the key by which this gap would be broken, whatever happens."""
    return SamplingSpec(max_gap_s=gap_s, min_gap_s=gap_s, lookback_s=0, novelty=False, jitter=0, inner=0)


def blind(spec: SamplingSpec, gap_s: float) -> SamplingSpec:
    """The same sampler without novelty, at this gap."""
    return replace(spec, max_gap_s=gap_s, min_gap_s=min(spec.min_gap_s, gap_s), novelty=False)


def at_rate(trace: Trace, specs: Sequence[SamplingSpec], looks_per_min: float, seeds: range) -> Found:
    """Runs that look so often on average: the two neighbouring specs, mixed. `specs`: from short to long gaps."""
    scouts = seeds[:_SCOUTS]
    high = next(
        (n for n in range(1, len(specs)) if pooled(runs(trace, specs[n], scouts)).looks_per_min < looks_per_min),
        len(specs) - 1,
    )
    made = {n: runs(trace, specs[n], seeds) for n in (high - 1, high)}
    while high + 1 < len(specs) and pooled(made[high]).looks_per_min > looks_per_min:
        high += 1
        made[high] = runs(trace, specs[high], seeds)
    while high > 1 and pooled(made[high - 1]).looks_per_min < looks_per_min:
        high -= 1
        made[high - 1] = runs(trace, specs[high - 1], seeds)
    mixes = (pooled([*made[high - 1][:many], *made[high][many:]]) for many in range(len(seeds) + 1))
    return min(mixes, key=lambda mix: abs(mix.looks_per_min - looks_per_min))


def compare(trace: Trace, spec: SamplingSpec, seeds: range) -> dict[str, Found]:
    """The full sampler, and the two others at its average of looks."""
    full = pooled(runs(trace, spec, seeds))
    rate = full.looks_per_min
    return {
        FULL: full,
        BLIND: at_rate(trace, [blind(spec, gap) for gap in _FIXED_GAPS_S], rate, seeds),
        FIXED: at_rate(trace, [fixed(gap) for gap in _FIXED_GAPS_S], rate, seeds),
    }


def _any_within(shown: Sequence[float], begin: float, end: float) -> bool:
    return any(begin <= at < end for at in shown)


def _outside(zones: Sequence[Event], seconds: float) -> float:
    left, until = 0.0, 0.0
    for zone in sorted(zones):
        left += max(zone.begin - until, 0.0)
        until = max(until, min(zone.end, seconds))
    return left + seconds - until
