"""Every other second: what all streams of this watcher ask for, what it can do, and what gives way."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import structlog

from streamwatch.runtime.workers import WorkerStatistics
from streamwatch.sampling.capacity import CALM, Load, Plan, Prices, plan

log = structlog.get_logger(__name__)

PLAN_S = 1.9
"""A plan holds so long: to price a thousand streams takes milliseconds. A little less than every other call."""

FULL = 1.05
"""A load at which the promise is said to be too much: a little over 1, since both sides are estimates."""
ROOM = 0.95

_SAME = 0.03
"""Factors and thrift that differ by less are the same: nobody is told."""


class Planned(Protocol):
    """What the planner needs of a stream."""

    def load(self) -> Load | None:
        """What it asks of the workers; None while nothing of it comes."""
        ...

    def press(self, plan: Plan) -> None:
        """The plan from now on. The same one again costs nothing."""
        ...


class Planner:
    """Of one watcher. Event loop only."""

    def __init__(self, prices: Prices) -> None:
        self.plan = CALM
        self._prices = prices
        self._told = CALM
        """What streams were told last."""
        self._at = -math.inf
        self._wall_s = self._processor_s = 0.0
        self._full = False

    def look_ahead(self, streams: Iterable[Planned], statistics: WorkerStatistics, workers: int, *, now: float) -> Plan:
        """Plan what comes, if it is time, and tell the streams where something gives way. Monotonic seconds."""
        if now - self._at < PLAN_S:
            return self.plan
        self._at = now
        self._prices.took(statistics.processor_s - self._processor_s, statistics.wall_s - self._wall_s)
        self._wall_s, self._processor_s = statistics.wall_s, statistics.processor_s
        everybody = tuple(streams)
        loads = [load for stream in everybody if (load := _asked(stream)) is not None]
        self.plan = plan(loads, self._prices.workers(workers))
        if not _same(self.plan, self._told):
            self._told = self.plan
        for stream in everybody:  # those that came since do not know it yet, nor those that slept while it changed
            stream.press(self._told)
        self._say(self.plan, len(loads))
        return self.plan

    def _say(self, made: Plan, streams: int) -> None:
        if made.load > FULL and not self._full:
            self._full = True
            log.warning("more streams than this watcher can look at: gaps stretch", streams=streams,
                        load=round(made.load, 2), stretch=round(made.floor_stretch, 2))  # fmt: skip
        elif made.load < ROOM and self._full:
            self._full = False
            log.info("there is room for every stream's promise again", streams=streams, load=round(made.load, 2))


def _asked(stream: Planned) -> Load | None:
    try:
        return stream.load()
    except Exception:  # what nobody foresaw about one stream must not cost the watcher
        log.exception("a stream cannot be priced")
        return None


def _gives_way(made: Plan) -> bool:
    return made.thrift > 0 or made.suspicion_stretch > 1 or made.floor_stretch != 1


def _same(one: Plan, other: Plan) -> bool:
    """Whether streams need not be told: but that something gives way, or no longer does, they always are."""
    if _gives_way(one) != _gives_way(other) or abs(one.thrift - other.thrift) > _SAME:
        return False
    pairs = (one.suspicion_stretch, other.suspicion_stretch), (one.floor_stretch, other.floor_stretch)
    return all(mine <= theirs * (1 + _SAME) and theirs <= mine * (1 + _SAME) for mine, theirs in pairs)
