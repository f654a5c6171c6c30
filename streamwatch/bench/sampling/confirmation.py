"""From the first suspicious picture, and from the event's beginning, to a confirmed alert: two hits 400 ms apart.

Pipelines, look-back and policy are the real ones; the script scores every picture of an event over the threshold. What
the network and the daemon add is not in it.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from streamwatch.bench.sampling.programme import Event
from streamwatch.bench.sampling.traces import Trace
from streamwatch.bench.sampling.world import RULE, Cast, Script, Told, World
from streamwatch.bench.statistics import percentile
from streamwatch.domain.decisions import Level
from streamwatch.domain.streams import SamplingSpec
from streamwatch.link.messages import RuleLevel, Sampled

_SHORTEST_S = 3.0
"""Events that are shorter are rarely met at all."""
_HIT, _MISS = 0.95, 0.05


class Confirmed(NamedTuple):
    """How long it took. Seconds; None where nothing was confirmed."""

    events: int
    met: int
    """Of which a picture was looked at."""
    confirmed: int
    look_p50_s: float | None
    look_p95_s: float | None
    event_p50_s: float | None
    event_p95_s: float | None


class _Watch:
    """What was told of one stream."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.met: dict[Event, float] = {}
        self.confirmed: dict[Event, float] = {}
        self._begins = [event.begin for event in events]

    def event(self, media_s: float) -> Event | None:
        at = bisect_right(self._begins, media_s) - 1
        return self.events[at] if at >= 0 and media_s < self.events[at].end else None


def confirm(
    traces: Sequence[Trace], spec: SamplingSpec, *, count: int, speed: float, scale: float = 1.0, seed: int = 1
) -> Confirmed:
    """Watch the traces once each, `count` streams in all, with their events. `scale`: of sizes, for larger pictures."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    larger = [replace(trace, sizes=tuple(round(size * scale) for size in trace.sizes)) for trace in traces]
    watches: list[_Watch] = []
    streams: list[Cast] = []
    for number in range(count):
        trace = larger[number % len(larger)]
        begins = rng.uniform(0, spec.max_gap_s)
        events = [
            Event(event.begin + begins, event.length) for event in trace.plot.events if event.length >= _SHORTEST_S
        ]
        watches.append(_Watch(events))
        streams.append(Cast(trace, spec, script=_script(watches[-1]), begins=begins, ends=begins + trace.plot.seconds))

    def told(now: float, message: Told) -> None:
        if isinstance(message, Sampled):
            watch = watches[int(message.stream.removeprefix("stream "))]
            event = watch.event(message.media_s)
            if event is not None and message.scores[0].values[0][1] >= RULE.open.score:
                watch.met.setdefault(event, message.arrival)
        elif isinstance(message, RuleLevel) and message.level is Level.ALARM and message.last_seen is not None:
            watch = watches[int(message.stream.removeprefix("stream "))]
            event = watch.event(message.last_seen.media_s)
            if event is not None and event in watch.met:
                watch.confirmed.setdefault(event, now)

    world = World(streams, told=told, speed=speed, seed=seed)
    world.run(max(stream.ends for stream in streams) + 1)
    fresh = [(watch, event) for watch in watches for event in watch.confirmed if watch.met[event] <= event.end]
    from_look = [watch.confirmed[event] - watch.met[event] for watch, event in fresh]
    from_event = [watch.confirmed[event] - event.begin for watch, event in fresh]
    return Confirmed(
        sum(len(watch.events) for watch in watches),
        sum(len(watch.met) for watch in watches),
        len(fresh),
        percentile(from_look, 0.5),
        percentile(from_look, 0.95),
        percentile(from_event, 0.5),
        percentile(from_event, 0.95),
    )


def _script(watch: _Watch) -> Script:
    return lambda media_s: _HIT if watch.event(media_s) else _MISS
