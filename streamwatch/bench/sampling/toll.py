"""What deciding costs: processor time of samplers, schedule and planner while many streams are watched.

The code is the real one in the real order; every call into it is timed, less what timing itself takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from streamwatch.bench.sampling import crowd
from streamwatch.bench.sampling.traces import Trace
from streamwatch.bench.sampling.world import World
from streamwatch.domain.streams import SamplingSpec

_WARM_S: Final = 10.0
_SAMPLER: Final = ("packet", "passed", "novel", "sampled", "suspect", "between_keys", "wish", "press")
_PROPERTIES: Final = ("due", "gap_s", "pace", "promise_until")
_SCHEDULE: Final = ("put", "take", "spent")
_TRIES: Final = 200_000


class Toll(NamedTuple):
    """Processor time of deciding."""

    streams: int
    calls_per_s: float
    """Of simulated time."""
    share: float
    """Of one core."""
    whole: float
    """The same for all that the simulation does, pipelines and fakes included: a bound from above."""


class _Meter:
    """Sums up time in calls."""

    def __init__(self) -> None:
        self.ns = 0
        self.calls = 0
        self._depth = 0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed where no other timed one calls it. Processor time: others use this machine too."""

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return call(*args, **kwargs)
            self._depth = 1
            begun = time.thread_time_ns()
            try:
                return call(*args, **kwargs)
            finally:
                self.ns += time.thread_time_ns() - begun
                self.calls += 1
                self._depth = 0

        return wrapper


class _Timed:
    """Stands for a sampler or a schedule: all that is asked of it is timed."""

    def __init__(self, inner: Any, meter: _Meter, methods: Sequence[str], properties: Sequence[str] = ()) -> None:
        self._inner = inner
        self._properties = {name: meter.timed(lambda name=name: getattr(inner, name)) for name in properties}
        for name in methods:
            setattr(self, name, meter.timed(getattr(inner, name)))

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__["_properties"].get(name)
        return found() if found is not None else getattr(self._inner, name)

    def __len__(self) -> int:
        return len(self._inner)


def measure(traces: Sequence[Trace], spec: SamplingSpec, *, count: int, seconds: float, seed: int = 1) -> Toll:
    """Watch so many streams for so long."""
    asked = crowd.demand(traces, spec, max(count // 20, 1), seed) * 20
    meter = _Meter()
    world = World(
        crowd.cast(traces, spec, count, seed),
        told=lambda _, __: None,
        speed=asked / 0.5,
        seed=seed,
        around_sampler=lambda inner: _Timed(inner, meter, _SAMPLER, _PROPERTIES),
        around_schedule=lambda inner: _Timed(inner, meter, _SCHEDULE),
    )
    world.planner.look_ahead = meter.timed(world.planner.look_ahead)  # type: ignore[method-assign]
    world.run(_WARM_S)
    meter.ns = meter.calls = 0
    begun = time.thread_time()
    world.run(_WARM_S + seconds)
    whole = time.thread_time() - begun
    spent = max(meter.ns - meter.calls * _overhead_ns(), 0.0) / 1e9
    return Toll(count, meter.calls / seconds, spent / seconds, whole / seconds)


def _overhead_ns() -> float:
    """What a timed call that does nothing seems to take."""
    meter = _Meter()
    empty = meter.timed(lambda: None)
    for _ in range(_TRIES):
        empty()
    return meter.ns / _TRIES
