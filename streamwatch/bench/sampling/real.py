"""The same in real time: a few streams through real servers and the real daemon, beside their simulation.

It shows whether the simulation stands for what runs: looks a minute and gaps of both, and what inner looks really cost.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

from streamwatch.bench import clip, measure, model
from streamwatch.bench import run as bench_run
from streamwatch.bench.measure import Told
from streamwatch.bench.programs import Child, environment, finish, pinned, python, require
from streamwatch.bench.sampling import crowd, traces
from streamwatch.bench.sampling.programme import Plot
from streamwatch.bench.sampling.traces import Trace
from streamwatch.bench.sampling.world import World
from streamwatch.bench.site import standing
from streamwatch.bench.statistics import percentile
from streamwatch.bench.subject import Job, Subject
from streamwatch.domain.streams import SamplingSpec

SIZE: Final = "360p"
STREAMS: Final = 12
PUBLISHERS: Final = 6
WINDOW_S: Final = 32.0
_SIMULATED_S: Final = 600.0
_ENCODE_S: Final = 300.0
_NEVER_S: Final = 3600.0
"""Between markers: nothing is to be found here."""
_FIGURES: Final = ("looks_per_min", "gap_p50_s", "gap_p95_s", "gap_max_s", "cpu_decode", "cpu_inner", "uncovered_s")


async def check(spec: SamplingSpec, *, told: Told) -> dict[str, Any]:
    """Measure, and simulate the same. Raises OutsideError where something is missing or does not start."""
    require(bench_run.PROGRAMS)
    there = bench_run.cores()
    file = clip.cache_folder() / clip.SIZES[SIZE].name
    if not file.is_file():
        told(f"drawing and encoding {clip.SIZES[SIZE].seconds} s of {SIZE}")
        command = python("streamwatch.bench.clip", SIZE, str(file))
        await finish(
            Child("the encoder", command, cores=there.others | {there.ours}, env=environment()), limit_s=_ENCODE_S
        )
    measured = await _measured(spec, file, there, told)
    told("simulating the same")
    return {
        "streams": STREAMS,
        "window_s": WINDOW_S,
        "measured": {name: measured.get(name) for name in _FIGURES},
        "simulated": await asyncio.to_thread(simulated, spec, file),
    }


async def _measured(spec: SamplingSpec, file: Path, there: bench_run.Cores, told: Told) -> measure.Figures:
    sampling = {"novelty": spec.novelty, "jitter": spec.jitter, "inner": spec.inner, "young": "0s"}
    job = Job(spec.max_gap_s, spec.lookback_s, model.build(clip.cache_folder(), cheap=True), sampling=sampling)
    with pinned(there.others), tempfile.TemporaryDirectory(prefix="streamwatch-bench-") as folder:
        told(f"{PUBLISHERS} publishers of {SIZE} go on air")
        async with standing(
            Path(folder), clip.SIZES[SIZE], SIZE, file,
            publishers=PUBLISHERS, marker_s=_NEVER_S, hls=False, cores=there.others,
        ) as site:  # fmt: skip
            subject = Subject(site, job, core=there.ours)
            try:
                await subject.begin(1)
                await measure.covered(subject, 1, told)
                await measure.grow(subject, 1, STREAMS, over_s=job.gap_s, told=told)
                await asyncio.sleep(job.gap_s)
                return await measure.window(
                    subject, site, job, STREAMS, few=1, small=None, window_s=WINDOW_S, told=told
                )
            finally:
                await subject.stop()


def simulated(spec: SamplingSpec, file: Path) -> dict[str, float | None]:
    """Looks and gaps of streams that show the clip over and over, as the simulation has them."""
    clip_spec = clip.SIZES[SIZE]
    columns = traces.packets(file, begin_s=clip.KEY_INTERVAL_S, end_s=clip.KEY_INTERVAL_S + clip_spec.seconds)
    trace = Trace(scenecut=False, cuts_per_minute=18, plot=Plot(clip_spec.seconds, (), ()), **columns._asdict())
    ears = crowd.Ears(spec, STREAMS)
    world = World(crowd.cast([trace], spec, STREAMS, 1), told=ears.told)
    world.run(crowd.WARM_S)
    world.run(crowd.WARM_S + _SIMULATED_S)
    gaps = ears.gaps(crowd.WARM_S, crowd.WARM_S + _SIMULATED_S)
    minutes = STREAMS * _SIMULATED_S / 60
    return {
        "looks_per_min": (len(gaps) - STREAMS) / minutes,
        "gap_p50_s": percentile(gaps, 0.5),
        "gap_p95_s": percentile(gaps, 0.95),
        "gap_max_s": max(gaps),
    }
