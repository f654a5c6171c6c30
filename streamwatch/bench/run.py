"""The benchmark as a whole: what is installed, encoded and started, scenario by scenario; one document at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streamwatch.bench import clip, model, report, rivals, steps
from streamwatch.bench.measure import Figures, Told
from streamwatch.bench.programs import Child, environment, finish, pinned, python, require
from streamwatch.bench.scenarios import Scenario, derived
from streamwatch.bench.site import Site, standing
from streamwatch.bench.statistics import middle
from streamwatch.domain.errors import OutsideError

PROGRAMS: Final = ("ffmpeg", "nginx", "mosquitto", "mosquitto_sub")
_ENCODE_S: Final = 300.0
_BOUND_S: Final = 120.0
_RIVAL_STREAMS: Final = 2
_RIVAL_S: Final = 20.0
_RIVAL_GAP_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose."""

    scenarios: Sequence[Scenario]
    repeat: int = 1
    compare: bool = False
    publishers: int = 32
    rival_s: float = _RIVAL_S


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where."""

    ours: int
    others: frozenset[int]

    @property
    def shared(self) -> bool:
        """There is only one: publishers and server take from what is measured."""
        return self.ours in self.others


def cores() -> Cores:
    """One core for streamwatch, the others for everybody else."""
    all_of_them = sorted(os.sched_getaffinity(0))
    return Cores(all_of_them[0], frozenset(all_of_them[1:] or all_of_them))


@dataclass(slots=True)
class _Ground:
    """What stays while the scenarios of one size are run."""

    size: str
    core: int
    """streamwatch's."""
    file: Path
    made: clip.Clip
    site: Site


async def run(options: Options, *, told: Told) -> dict[str, Any]:
    """Measure everything; the document that says it. Raises OutsideError where something is missing."""
    require(PROGRAMS)
    _more_files()
    there = cores()
    results: list[dict[str, Any]] = []
    compared: list[dict[str, Any]] = []
    contents: dict[str, Any] = {}
    with pinned(there.others), tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as temporary:
        pending = list(options.scenarios)
        while pending:
            first = pending[0]
            group = [
                one for one in pending if (one.size, one.hls, one.marker_s) == (first.size, first.hls, first.marker_s)
            ]
            pending = [one for one in pending if one not in group]
            folder = Path(tempfile.mkdtemp(dir=temporary))
            async with _ground(first, folder, options, there, told) as ground:
                contents[ground.size] = report.content(ground.made)
                found = await _rivals(ground, options, there, told) if options.compare and not first.hls else {}
                compared += [{"size": ground.size, "name": name, **figures} for name, figures in found.items()]
                results += [await _repeated(scenario, ground, options.repeat, found, told) for scenario in group]
        if all(one["failed"] for one in results):
            raise OutsideError("; ".join(f"{one['name']}: {one['failed']}" for one in results))
        return report.document(
            results, compared, contents, publishers=options.publishers, repeat=options.repeat, shared=there.shared
        )


async def _repeated(
    scenario: Scenario, ground: _Ground, repeat: int, found: dict[str, Figures], told: Told
) -> dict[str, Any]:
    """A scenario's part of the document. One that cannot be measured does not cost the others, which took long."""
    runs: list[Figures] = []
    failed = ""
    try:
        for _ in range(repeat):
            runs.append(await _once(scenario, ground, found, told))  # noqa: PERF401 - those before a failure stay
    except OutsideError as error:
        failed = str(error)
        told(f"{scenario.name}: {failed}")
    return report.result(scenario, runs, middle(runs), failed=failed)


async def _once(scenario: Scenario, ground: _Ground, found: dict[str, Figures], told: Told) -> Figures:
    """One run of a scenario, with the lower bound of the same minute and the ratios to the rivals."""

    def say(text: str) -> None:
        told(f"{scenario.name}: {text}")

    made = model.build(clip.cache_folder(), cheap=not scenario.infer)
    figures = await steps.run(scenario, ground.site, made, core=ground.core, told=say)
    say("the lower bound")
    bound = await _bound(ground, made)
    figures = {**figures, **bound, **derived(figures, sum(bound.values()), ground.made.bits_per_s / 1000)}
    cpu = figures["cpu"]
    return {**figures, **{f"vs_{name}": _ratio(rival["cpu"], cpu) for name, rival in found.items()}}


async def _bound(ground: _Ground, made: Path) -> dict[str, float]:
    """Processor milliseconds of one look with everything bare and warm, on the same core."""
    said: list[str] = []
    command = python("streamwatch.bench.bare", "bound", ground.size, str(ground.file), str(made))
    child = Child("the lower bound", command, cores=frozenset({ground.core}), env=environment(), on_line=said.append)
    await finish(child, limit_s=_BOUND_S)
    try:
        parsed: dict[str, float] = json.loads(said[-1])
    except (ValueError, IndexError) as error:
        raise OutsideError("the lower bound was not measured") from error
    return {f"bound_{name}": value for name, value in parsed.items()}


async def _rivals(ground: _Ground, options: Options, there: Cores, told: Told) -> dict[str, Figures]:
    """All common ways, one after the other, on the streams of this site."""
    found: dict[str, Figures] = {}
    for rival in rivals.RIVALS:
        runs = [
            await rivals.measure(
                rival, ground.site, streams=min(_RIVAL_STREAMS, options.publishers), gap_s=_RIVAL_GAP_S,
                window_s=options.rival_s, core=there.ours, told=lambda text: told(f"{ground.size}: {text}"),
            )
            for _ in range(options.repeat)
        ]  # fmt: skip
        found[rival.name] = middle(runs)
    return found


@contextlib.asynccontextmanager
async def _ground(
    scenario: Scenario, folder: Path, options: Options, there: Cores, told: Told
) -> AsyncIterator[_Ground]:
    """Encode what is shown, unless it is there from an earlier run; start everything around the daemon."""
    spec = clip.SIZES[scenario.size]
    file = clip.cache_folder() / spec.name
    if not file.is_file():
        told(f"drawing and encoding {spec.seconds} s of {scenario.size}")
        command = python("streamwatch.bench.clip", scenario.size, str(file))
        await finish(
            Child("the encoder", command, cores=there.others | {there.ours}, env=environment()), limit_s=_ENCODE_S
        )
    made = await asyncio.to_thread(clip.load, file, spec)
    told(f"{options.publishers} publishers of {scenario.size} go on air")
    async with standing(
        folder, spec, scenario.size, file,
        publishers=options.publishers, marker_s=scenario.marker_s, hls=scenario.hls, cores=there.others,
    ) as site:  # fmt: skip
        yield _Ground(scenario.size, there.ours, file, made, site)


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    return theirs / ours if theirs is not None and ours else None


def _more_files() -> None:
    """Let the processes that we start open a file for every stream."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
