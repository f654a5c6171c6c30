"""One stream watched on a fake clock: a trace's packets go to a real sampler, and its looks are taken at once. Pure.

What stands between packets and sampler in a watcher is repeated here with care: packets between keys are passed by
while nothing is due, and a look between keys needs all pictures since the newest key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from streamwatch.bench.sampling.prices import BETWEEN_S_PER_BYTE, KEY_S_PER_BYTE, SCORE_S
from streamwatch.bench.sampling.traces import Trace
from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.base import Sampler


class Look(NamedTuple):
    """One look. Seconds of the programme."""

    at: float
    """When it was taken."""
    shown: float
    """What moment its picture shows."""
    key: bool
    decoded: int
    """Bytes that were decoded for it."""

    @property
    def cost_s(self) -> float:
        """Of processor time, decoding, scaling and inference."""
        return self.decoded * (KEY_S_PER_BYTE if self.key else BETWEEN_S_PER_BYTE) + SCORE_S


def watch(
    trace: Trace, sampler: Sampler, spec: SamplingSpec, *, seen: Callable[[Look], float] = lambda _: 0.0
) -> Iterator[Look]:
    """The looks that the sampler takes at a trace. `seen` scores a look's picture and answers with the suspicion."""
    hints = spec.novelty and spec.lookback_s > 0
    calm_until = float("-inf")
    decoded, newest = 0, 0.0
    for arrival, size, key, anchor, shown in zip(
        trace.arrivals, trace.sizes, trace.keys, trace.anchors, trace.shown, strict=True
    ):
        if key:
            decoded, newest = size, shown
        else:
            decoded += size
            newest = max(newest, shown)
        told = anchor and hints
        if not key and arrival < calm_until:
            if not told or sampler.passed(size):
                continue
            sampler.novel(arrival)
            told = False
        if sampler.packet(arrival=arrival, key=key, size=size, media_s=arrival, anchor=told):
            look = Look(arrival, newest, key, decoded)
            sampler.sampled(arrival)
            sampler.suspect(seen(look), arrival)
            yield look
        due = sampler.due
        calm_until = float("-inf") if sampler.between_keys() else min(due.any_at, due.rare_at)
