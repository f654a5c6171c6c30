"""Many streams on one worker: gaps while there is room, what gives way at 1x, 2x and 3x its capacity, and recovery.

The load is what the promise alone asks for, as a share of what the worker can do: capacity is set by how fast the
worker is, so that the streams are the same ones at every load. Some streams are suspected from outside, as many as the
reserved share can serve, or more.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from streamwatch.bench.sampling.traces import Trace
from streamwatch.bench.sampling.world import Cast, Told, World
from streamwatch.bench.statistics import percentile
from streamwatch.coverage.books import Books
from streamwatch.domain.streams import SamplingSpec, StreamId
from streamwatch.link.messages import Sampled, StreamLevel
from streamwatch.sampling.capacity import COMFORT, RESERVED, Claim

WARM_S: Final = 30.0
"""Until sizes and intervals of keys are known."""
_GUESS: Final = 0.7
"""Of a worker's time the part that goes to the promise alone."""
_FITTING: Final = 0.9
"""Of the reserved share, asked for: it fits."""
_TRIES, _TRIAL_S = 2, 30.0
_RELIEF: Final = 0.5
"""The load after an overload."""


@dataclass(slots=True)
class Watched:
    """What is known of one stream from outside."""

    suspected: bool = False
    arrivals: list[float] = field(default_factory=list)
    """Of examined pictures."""
    live_since: float | None = None


class Ears:
    """Hears what the watcher says, keeps the daemon's books, and the truth beside them."""

    def __init__(self, spec: SamplingSpec, count: int) -> None:
        self.books = Books()
        self.streams = [Watched() for _ in range(count)]
        self._promise_s = spec.max_gap_s
        self._judge_at = 0.0
        for number in range(count):
            self.books.watch(StreamId(f"stream {number}"), max_gap_s=spec.max_gap_s, now=0.0)

    def told(self, now: float, message: Told) -> None:
        """As the daemon's reception takes it; the books are judged every second, as the daemon does."""
        if now >= self._judge_at:
            self._judge_at = now + 1.0
            self.books.judge(now)
        if isinstance(message, Sampled):
            stream = StreamId(message.stream)
            self.books.sampled(stream, arrival=message.arrival, gap_s=message.gap_s, now=now)
            self._of(message.stream).arrivals.append(message.arrival)
        elif isinstance(message, StreamLevel):
            self.books.level(
                StreamId(message.stream),
                session=message.session,
                live=message.live,
                ended=message.ended,
                reason=message.reason,
                detail=message.detail,
                now=now,
            )
            watched = self._of(message.stream)
            if message.live and watched.live_since is None:
                watched.live_since = now

    def declared_s(self, now: float) -> tuple[float, float]:
        """Uncovered seconds in the books, and until when they are settled."""
        self.books.judge(now)
        return sum(self.books.uncovered_total.values()), self.books.tally.boundary(now)

    def true_s(self, now: float) -> float:
        """Uncovered seconds as they were until then: all that lies further than the promise behind a picture."""
        lost = 0.0
        for watched in self.streams:
            if watched.live_since is None:
                continue
            edges = sorted((watched.live_since, *(at for at in watched.arrivals if at > watched.live_since)))
            edges = [*(at for at in edges if at < now), now]
            lost += sum(max(b - a - self._promise_s, 0.0) for a, b in itertools.pairwise(edges))
        return lost

    def gaps(self, begin: float, end: float, *, suspected: bool = False) -> list[float]:
        """Between examined pictures, of all gaps that end in a span of time; one that is still open counts, too."""
        found: list[float] = []
        for watched in self.streams:
            if watched.suspected is suspected:
                arrivals = sorted(watched.arrivals)
                found += [b - a for a, b in itertools.pairwise(arrivals) if begin <= b < end]
                before = [at for at in arrivals if at < end]
                if before:
                    found.append(end - before[-1])
        return found

    def _of(self, stream: str) -> Watched:
        return self.streams[int(stream.removeprefix("stream "))]


class Held(NamedTuple):
    """Whether the promise holds while there is room."""

    streams: int
    load: float
    busy: float
    """Share of the worker's time that looks took, with all that is wished for beside the promise."""
    gaps: int
    within: float
    """Share of gaps that are no longer than the promise."""
    worst: float
    """The longest one, in promises."""
    looks_per_min: float


class Pressed(NamedTuple):
    """How an overload went."""

    load: float
    suspected: int
    fits: bool
    """Whether what they ask for fits into the share that is reserved for suspicion."""
    fair_s: float
    """The promise stretched by the load, on what suspicion leaves of the worker."""
    worst_s: float
    to_fair: float
    suspicious_p50_s: float | None
    suspicious_p95_s: float | None
    suspicious_worst_s: float | None
    min_gap_s: float
    declared_s: float
    true_s: float
    recovery_s: float
    """From when the load fell to the end of the last gap over the promise."""

    @property
    def declared_off(self) -> float:
        """By which share of the truth the declared loss is off; where nothing was lost, of all time."""
        return abs(self.declared_s - self.true_s) / max(self.true_s, 1.0)


def cast(
    traces: Sequence[Trace], spec: SamplingSpec, count: int, seed: int, *, ends: float = math.inf, end: int = 0
) -> list[Cast]:
    """Streams that show the traces from anywhere on and begin within the first seconds; the last `end` do end."""
    rng = random.Random(seed)  # noqa: S311 - a simulation
    return [
        Cast(
            traces[number % len(traces)],
            spec,
            offset=rng.uniform(0, traces[number % len(traces)].plot.seconds - 10),
            begins=rng.uniform(0, 4),
            ends=ends if number >= count - end else math.inf,
        )
        for number in range(count)
    ]


def demand(traces: Sequence[Trace], spec: SamplingSpec, count: int, seed: int) -> float:
    """Worker seconds a second that the promise of these streams asks for at speed 1."""
    world = World(cast(traces, replace(spec, novelty=False), count, seed), told=lambda _, __: None, seed=seed)
    world.run(WARM_S)
    loads = [load for pipeline in world.pipelines if (load := pipeline.load()) is not None]
    return sum(load.rate(load.promise_s) for load in loads)


def held(traces: Sequence[Trace], spec: SamplingSpec, *, count: int, busy: float, seconds: float, seed: int) -> Held:
    """Watch streams on a worker that all their looks, wished for or promised, keep so busy."""
    asked = demand(traces, spec, count, seed)
    load = _GUESS * busy
    for _ in range(_TRIES):
        world = World(cast(traces, spec, count, seed), told=lambda _, __: None, speed=asked / load, seed=seed)
        world.run(WARM_S)
        before = world.spent_s
        world.run(WARM_S + _TRIAL_S)
        load *= busy / ((world.spent_s - before) / _TRIAL_S)
    return held_at(traces, spec, count=count, load=load, seconds=seconds, seed=seed)


def held_at(traces: Sequence[Trace], spec: SamplingSpec, *, count: int, load: float, seconds: float, seed: int) -> Held:
    """Watch streams whose promise alone asks for so much of the worker."""
    ears = Ears(spec, count)
    asked = demand(traces, spec, count, seed)
    world = World(cast(traces, spec, count, seed), told=ears.told, speed=asked / load, seed=seed)
    world.run(WARM_S)
    spent = world.spent_s
    world.run(WARM_S + seconds)
    gaps = ears.gaps(WARM_S, WARM_S + seconds)
    return Held(
        count,
        load,
        (world.spent_s - spent) / seconds,
        len(gaps),
        sum(gap <= spec.max_gap_s for gap in gaps) / len(gaps),
        max(gaps) / spec.max_gap_s,
        60 * (len(gaps) - count) / (count * seconds),
    )


def pressed(
    traces: Sequence[Trace],
    spec: SamplingSpec,
    *,
    count: int,
    load: float,
    seconds: float,
    seed: int,
    beyond: float = 0.0,
) -> Pressed:
    """Watch streams at a load of 1 and more, some of them suspected; then most of them end.

    As many are suspected as the reserved share serves; with `beyond` so many times as much of it is asked for.
    """
    asked = demand(traces, spec, count, seed)
    ears = Ears(spec, count)
    until = WARM_S + seconds
    speed = asked / load
    leaving = round(count * (1 - _RELIEF / load))
    world = World(cast(traces, spec, count, seed, ends=until, end=leaving), told=ears.told, speed=speed, seed=seed)
    world.run(WARM_S)
    able = COMFORT * RESERVED[Claim.SUSPICION]
    room = (beyond or _FITTING) * able
    chosen, taken = 0, 0.0
    for pipeline, watched in zip(world.pipelines, ears.streams, strict=True):
        pipeline.demand(1.0, seconds)
        one = pipeline.load()
        assert one is not None  # noqa: S101 - it is live
        if chosen and taken + one.rate(one.aim_s) > room:
            pipeline.demand(0.0, seconds)
            continue
        watched.suspected = True
        chosen, taken = chosen + 1, taken + one.rate(one.aim_s)
    settled = WARM_S + max(3 * spec.max_gap_s * load, 30.0)
    world.run(settled)
    spent, looks = world.spent_s, _looks(ears)
    world.run(until)
    calm, suspicious = ears.gaps(settled, until), ears.gaps(settled, until, suspected=True)
    # What a calm look costs is known; the rest of the worker's time went to suspicion.
    loads = [one for one, watched in zip(world.pipelines, ears.streams, strict=True) if not watched.suspected]
    costs = [load_of.look_s for one in loads if (load_of := one.load()) is not None]
    calm_looks = _looks(ears) - looks - len(suspicious)
    for_suspicion = max(world.spent_s - spent - calm_looks * sum(costs) / len(costs), 0.0) / (until - settled)
    left = max(1.0 - for_suspicion, RESERVED[Claim.FLOOR])
    fair = max(spec.max_gap_s, spec.max_gap_s * load / left)
    now = world.time.at
    declared, settled = ears.declared_s(now)
    true = ears.true_s(settled)
    world.run(until + 6 * spec.max_gap_s)
    late = [
        b - until
        for watched in ears.streams[: count - leaving]
        for a, b in itertools.pairwise(watched.arrivals)
        if b > until and b - a > spec.max_gap_s
    ]
    return Pressed(
        load,
        chosen,
        taken <= able,
        fair,
        max(calm),
        max(calm) / fair,
        percentile(suspicious, 0.5),
        percentile(suspicious, 0.95),
        max(suspicious, default=None),
        spec.min_gap_s,
        declared,
        true,
        max(late, default=0.0),
    )


def _looks(ears: Ears) -> int:
    return sum(len(watched.arrivals) for watched in ears.streams)
