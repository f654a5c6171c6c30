"""Once a second: what all streams of this watcher ask for, what it can do, and what gives way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import structlog

from streamwatch.runtime.workers import WorkerStatistics
from streamwatch.sampling.capacity import CALM, Load, Plan, Prices, plan

log = structlog.get_logger(__name__)

FULL = 1.05
"""A load at which the promise is said to be too much: a little over 1, since both sides are estimates."""
ROOM = 0.95


class Planned(Protocol):
    """What the planner needs of a stream."""

    def load(self) -> Load | None:
        """What it asks of the workers; None while nothing of it comes."""
        ...

    def press(self, plan: Plan) -> None:
        """The plan from now on."""
        ...


class Planner:
    """Of one watcher. Event loop only."""

    def __init__(self, prices: Prices) -> None:
        self.plan = CALM
        self._prices = prices
        self._wall_s = self._processor_s = 0.0
        self._full = False

    def look_ahead(self, streams: Iterable[Planned], statistics: WorkerStatistics, workers: int) -> Plan:
        """Plan for the next second, and tell every stream where something gives way."""
        self._prices.took(statistics.processor_s - self._processor_s, statistics.wall_s - self._wall_s)
        self._wall_s, self._processor_s = statistics.wall_s, statistics.processor_s
        asking = [(stream, load) for stream in streams if (load := stream.load()) is not None]
        made = plan([load for _, load in asking], self._prices.workers(workers))
        before, self.plan = self.plan, made
        if _gives_way(made) or _gives_way(before):
            for stream, _ in asking:
                stream.press(made)
        self._say(made, len(asking))
        return made

    def _say(self, made: Plan, streams: int) -> None:
        if made.load > FULL and not self._full:
            self._full = True
            log.warning("more streams than this watcher can look at: gaps stretch", streams=streams,
                        load=round(made.load, 2), stretch=round(made.floor_stretch, 2))  # fmt: skip
        elif made.load < ROOM and self._full:
            self._full = False
            log.info("there is room for every stream's promise again", streams=streams, load=round(made.load, 2))


def _gives_way(made: Plan) -> bool:
    return made.thrift > 0 or made.suspicion_stretch > 1 or made.floor_stretch > 1
