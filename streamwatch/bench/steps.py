"""How a scenario is run: in steady state, at a share of the core, or with more and more streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from streamwatch.bench import measure, proc
from streamwatch.bench.measure import FEW, Figures, Told
from streamwatch.bench.scenarios import Kind, Scenario, next_count
from streamwatch.bench.site import Site
from streamwatch.bench.subject import Job, Subject
from streamwatch.domain.errors import OutsideError

_STEPS: Final = 6
"""Numbers of streams that are tried before the search ends."""
_LOAD_STEPS: Final = 3
_SETTLED_S: Final = 30.0
"""After so long with too many streams their gaps are as long as they will be."""
_NEAR: Final = 0.03
"""How far from the share of the core that is wanted is near enough."""


async def run(scenario: Scenario, site: Site, model: Path, *, core: int, told: Told) -> Figures:
    """Measure a scenario once. Raises OutsideError where it cannot be measured."""
    job = Job(scenario.gap_s, scenario.lookback_s, model, fallback=scenario.fallback, hits=scenario.hits)
    async with _watching(site, job, core) as subject:
        few = min(FEW, scenario.streams)
        await subject.begin(few)
        await measure.covered(subject, few, told)
        await asyncio.sleep(job.gap_s)
        bench = _Bench(
            subject=subject, site=site, job=job, scenario=scenario,
            small=proc.memory(measure.holder(subject)), few=few, told=told,
        )  # fmt: skip
        match scenario.kind:
            case Kind.STEADY:
                return await bench.at(scenario.streams)
            case Kind.OVER:
                return await bench.over(scenario.streams)
            case Kind.LOAD:
                return await loaded(bench.at, scenario)
            case Kind.LIMIT:
                return await search(bench.at, bench.window, first=scenario.streams, most=scenario.most, told=told)


def kept(figures: Figures) -> bool:
    """Whether every stream was looked at within the gap all the time, and no watcher broke."""
    return figures["uncovered_s"] == 0 and not figures["restarts"]


async def loaded(at: Callable[[int], Awaitable[Figures]], scenario: Scenario) -> Figures:
    """Measure with as many streams as take the scenario's share of the core, or come near to it in a few steps."""
    streams = scenario.streams
    for _ in range(_LOAD_STEPS):
        figures = await at(streams)
        share = figures["core_share"] or 1.0
        wanted = min(max(round(streams * scenario.load / share), 1), scenario.most)
        if abs(share - scenario.load) <= _NEAR or wanted == streams:
            break
        streams = wanted
    return figures


async def search(
    at: Callable[[int], Awaitable[Figures]],
    again: Callable[[], Awaitable[Figures]],
    *,
    first: int,
    most: int,
    told: Told = lambda _: None,
) -> Figures:
    """The figures of the largest number that kept the gap; `broke_at` is the smallest that did not, if one did.

    `at` measures with so many streams, `again` once more with as many. Raises OutsideError where already `first` are
    more than can be covered.
    """
    best: Figures | None = None
    streams = first
    for _ in range(_STEPS):
        try:
            figures = await at(streams)
            if not kept(figures):
                figures = await again()  # others use this machine too: only what happens twice is ours
        except OutsideError as error:
            if best is None:
                raise
            told(str(error))
            return {**best, "broke_at": streams}
        if not kept(figures):
            return {**(best or {**figures, "streams": 0}), "broke_at": streams, "broke_by_s": figures["uncovered_s"]}
        best = figures
        if streams >= most:
            break
        streams = next_count(streams, figures["core_share"] or 1.0, most=most)
    return {**(best or {}), "broke_at": None}


class _Bench:
    """A daemon that is measured with growing numbers of streams."""

    def __init__(
        self,
        *,
        subject: Subject,
        site: Site,
        job: Job,
        scenario: Scenario,
        small: proc.Memory | None,
        few: int,
        told: Told,
    ) -> None:
        self._subject, self._site, self._job, self._scenario = subject, site, job, scenario
        self._small, self._few, self._now, self._told = small, few, few, told

    async def at(self, streams: int) -> Figures:
        """Watch so many streams and measure."""
        before, self._now = self._now, streams
        await measure.grow(self._subject, before, streams, over_s=self._job.gap_s, told=self._told)
        return await self.window()

    async def over(self, streams: int) -> Figures:
        """Watch more streams than can be looked at in time, wait until gaps are as long as they get, and measure."""
        before, self._now = self._now, streams
        await measure.add(self._subject, before, streams, over_s=self._job.gap_s, told=self._told)
        self._told(f"{streams} streams settle")
        await asyncio.sleep(_SETTLED_S)
        figures = await self.window()
        looks, worst = figures["looks_per_min"], figures["gap_max_s"]
        fair = 60 / looks if looks else None
        return {**figures, "fair_s": fair, "worst_to_fair": worst / fair if worst is not None and fair else None}

    async def window(self) -> Figures:
        """Measure what is watched now."""
        return await measure.window(
            self._subject, self._site, self._job, self._now,
            few=self._few, small=self._small, window_s=self._scenario.window_s, told=self._told,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def _watching(site: Site, job: Job, core: int) -> AsyncIterator[Subject]:
    subject = Subject(site, job, core=core)
    try:
        yield subject
    finally:
        await subject.stop()
