"""What deciding costs: processor time of schedule and plan, and of the samplers, while many streams are watched.

The code is the real one in the real order; every call into it is timed, less what timing itself takes. The schedule's
part is the order of looks and the plan of what gives way, once a second; the samplers' part is all that they do for
each packet that may matter, signs of novelty included.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from streamwatch.bench.sampling import crowd
from streamwatch.bench.sampling.traces import Trace
from streamwatch.bench.sampling.world import World
from streamwatch.domain.streams import SamplingSpec

_WARM_S: Final = 10.0
_SAMPLER: Final = ("packet", "passed", "novel", "sampled", "suspect", "between_keys")
_OF_SCHEDULE: Final = ("wish", "press")
"""Of a sampler, what the schedule asks it."""
_PROPERTIES: Final = ("due", "gap_s", "pace", "promise_until")
_SCHEDULE: Final = ("put", "take", "spent", "press")
_TRIES: Final = 200_000


class Toll(NamedTuple):
    """Processor time of deciding, as shares of one core."""

    streams: int
    load: float
    """What the promise alone asks for."""
    calls_per_s: float
    """Of simulated time."""
    share: float
    """Schedule and plan."""
    samplers: float
    whole: float
    """All that the simulation does, pipelines and fakes included: a bound from above."""


class _Meter:
    """Sums up processor time in calls (others use this machine, too)."""

    def __init__(self, inside: list[bool]) -> None:
        """`inside`: shared by all meters, set while a timed call runs."""
        self.ns = 0
        self.calls = 0
        self._inside = inside

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed where no other timed one calls it."""
        inside = self._inside

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if inside[0]:
                return call(*args, **kwargs)
            inside[0] = True
            begun = time.thread_time_ns()
            try:
                return call(*args, **kwargs)
            finally:
                self.ns += time.thread_time_ns() - begun
                self.calls += 1
                inside[0] = False

        return wrapper

    def clear(self) -> None:
        """Begin anew."""
        self.ns = self.calls = 0

    def seconds(self) -> float:
        """So far, less what timing takes."""
        return max(self.ns - self.calls * _overhead_ns(), 0.0) / 1e9


class _Timed:
    """Stands for a sampler or a schedule: all that is asked of it is timed."""

    def __init__(self, inner: Any, methods: Mapping[str, _Meter], properties: Mapping[str, _Meter]) -> None:
        self._inner = inner
        self._properties = {
            name: meter.timed(lambda name=name: getattr(inner, name)) for name, meter in properties.items()
        }
        for name, meter in methods.items():
            setattr(self, name, meter.timed(getattr(inner, name)))

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__["_properties"].get(name)
        return found() if found is not None else getattr(self._inner, name)

    def __len__(self) -> int:
        return len(self._inner)


def measure(
    traces: Sequence[Trace], spec: SamplingSpec, *, count: int, seconds: float, load: float, seed: int = 1
) -> Toll:
    """Watch so many streams for so long. `load`: what the promise alone asks for, as a share of what a worker does."""
    asked = crowd.demand(traces, spec, max(count // 20, 1), seed) * 20
    inside = [False]
    schedule, samplers = _Meter(inside), _Meter(inside)
    asks = {**dict.fromkeys(_SAMPLER, samplers), **dict.fromkeys(_OF_SCHEDULE, schedule)}
    world = World(
        crowd.cast(traces, spec, count, seed),
        told=lambda _, __: None,
        speed=asked / load,
        seed=seed,
        around_sampler=lambda inner: _Timed(inner, asks, dict.fromkeys(_PROPERTIES, samplers)),
        around_schedule=lambda inner: _Timed(inner, dict.fromkeys(_SCHEDULE, schedule), {}),
    )
    world.planner.look_ahead = schedule.timed(world.planner.look_ahead)  # type: ignore[method-assign]
    world.run(_WARM_S)
    schedule.clear()
    samplers.clear()
    begun = time.thread_time()
    world.run(_WARM_S + seconds)
    whole = time.thread_time() - begun
    calls = schedule.calls + samplers.calls
    return Toll(
        count, load, calls / seconds, schedule.seconds() / seconds, samplers.seconds() / seconds, whole / seconds
    )


@functools.cache
def _overhead_ns() -> float:
    """What a timed call that does nothing seems to take."""
    meter = _Meter([False])
    empty = meter.timed(lambda: None)
    for _ in range(_TRIES):
        empty()
    return meter.ns / _TRIES
