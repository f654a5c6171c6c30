"""All experiments on sampling, one document: what was found, at what price, and the goals beside it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from streamwatch import __version__
from streamwatch.bench import clip, report
from streamwatch.bench.measure import Told
from streamwatch.bench.sampling import confirmation, crowd, recall, toll, traces
from streamwatch.bench.sampling.programme import LENGTHS_S, OTHER_CUTS
from streamwatch.bench.sampling.recall import FIXED, FULL, Found
from streamwatch.bench.sampling.traces import Trace, TraceSpec
from streamwatch.bench.scenarios import Goal
from streamwatch.config.models import Sampling
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.streams import SamplingSpec
from streamwatch.telemetry import logs

SCHEMA: Final = "streamwatch.bench.sampling/1"
LONG_S, SHORT_S = 20.0, 10.0
"""The two promises that are compared with fixed rates."""
EVENT_S: Final = 3.0
"""The goals are about events of this length."""
FEW_CUTS, MANY_CUTS = 2, 18
_SECONDS: Final = {0: 480, 2: 480, 8: 300, 18: 240}
"""Of a programme with so many other cuts a minute: the fewer cuts, the longer until enough of them are seen."""
_PRESSED_MIN_GAP_S: Final = 2.0
"""Of crowds under pressure: half a second between looks takes all pictures, of which one slow worker serves none."""
_LARGE: Final = 6.0
"""Times as many bytes as at 360p has 1080p at the rates that services ask for."""

_TOLL_LOADS: Final = (0.4, 1.0)
"""With room for all that is wished for, a worker is three quarters busy; and where something gives way every second."""
_MOST_PROCESSES: Final = 8

LOADS: Final = (1, 2, 3)
GOALS: Final = {
    "off": Goal("recall_ratio", 2.0, at_least=True),
    "on": Goal("recall_ratio", 1.8, at_least=True),
    "many": Goal("recall_ratio", 1.3, at_least=True),
    "short": Goal("recall_ratio", 1.9, at_least=True),
    "looks": Goal("looks_ratio", 1.2),
    "within": Goal("within", 0.999, at_least=True),
    "worst": Goal("worst", 1.1),
    "fair": Goal("to_fair", 1.5),
    "suspicious": Goal("suspicious_to_min_gap", 2.0),
    "declared": Goal("declared_off", 0.01),
    "confirm_p50": Goal("look_p50_s", 0.7),
    "confirm_p95": Goal("look_p95_s", 1.5),
    "toll": Goal("share", 0.02),
}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated."""

    seeds: int
    streams: int
    pressed: int
    seconds: float
    confirm: int
    loads: tuple[int, ...]
    toll_streams: int
    toll_s: float


WHOLE: Final = Size(40, 200, 120, 120.0, 8, LOADS, 1000, 20.0)
QUICK: Final = Size(10, 40, 40, 90.0, 4, (3,), 200, 10.0)


def spec(max_gap_s: float, **changes: Any) -> SamplingSpec:
    """As the defaults have it, with this promise; streams are no longer young."""
    usual = Sampling()
    made = SamplingSpec(
        max_gap_s=max_gap_s,
        min_gap_s=usual.min_gap,
        lookback_s=usual.lookback,
        novelty=usual.novelty,
        jitter=usual.jitter,
        inner=usual.inner,
    )
    return replace(made, **changes)


def programmes(*, quick: bool, told: Told) -> list[tuple[Trace, Trace]]:
    """Of every number of other cuts without and with scenecut: part of the package if quick, else drawn and encoded."""
    if quick:
        return [traces.recorded(cuts) for cuts in traces.RECORDED_CUTS]
    specs = [TraceSpec(cuts, _SECONDS[cuts]) for cuts in OTHER_CUTS]
    folder = clip.cache_folder()
    told("drawing and encoding programmes, unless they are there: minutes")
    with _pool() as pool:
        return list(pool.map(traces.record, specs, [folder] * len(specs)))


def simulate(*, quick: bool, told: Told) -> dict[str, Any]:
    """Everything but the check in real time."""
    size = QUICK if quick else WHOLE
    pairs = programmes(quick=quick, told=told)
    crowded = [trace for pair in pairs[:2] for trace in pair]
    usual, calmer = spec(SHORT_S), spec(SHORT_S, min_gap_s=_PRESSED_MIN_GAP_S)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "at": rfc3339(datetime.now(UTC)),
        "version": __version__,
        "machine": report.machine(),
        "quick": quick,
        "recall": [],
        "pressed": [],
        "confirmed": [],
        "toll": [],
    }
    with _pool() as pool:
        jobs: list[tuple[str, Callable[[Any], None], Future[Any]]] = []

        def job(name: str, put: Callable[[Any], None], work: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
            jobs.append((name, put, pool.submit(work, *args, **kwargs)))

        held = {"count": size.streams, "seconds": size.seconds, "seed": 1}
        job("held", lambda x: document.update(held=_held(x)), crowd.held, crowded, usual, busy=0.75, **held)
        for load in size.loads:
            seconds = max(3 * SHORT_S * load, 30.0) + size.seconds * 0.75
            pressed = {"count": size.pressed, "load": load, "seconds": seconds, "seed": 1}
            job(f"load {load}", lambda x: document["pressed"].append(_pressed(x)), crowd.pressed, crowded, calmer,
                **pressed)  # fmt: skip
            if load == max(size.loads):
                job(f"load {load}, many suspected", lambda x: document["pressed"].append(_pressed(x)),
                    crowd.pressed, crowded, calmer, beyond=2.0, **pressed)  # fmt: skip
        for name, scale in (("360p", 1.0), ("1080p", _LARGE)):
            job(f"confirmation {name}", partial(_put_confirmed, document, name), confirmation.confirm,
                pairs[0], usual, count=size.confirm, speed=1.0, scale=scale)  # fmt: skip
        for pair in pairs:
            for trace in pair:
                for gap in (LONG_S, SHORT_S):
                    name = f"recall, {trace.cuts_per_minute} cuts, {gap:g} s"
                    job(name, document["recall"].append, compared, trace, gap, size.seeds)
        for share in _TOLL_LOADS:
            job(f"toll, load {share:g}", lambda x: document["toll"].append(_toll(x)), toll.measure, crowded, usual,
                count=size.toll_streams, seconds=size.toll_s, load=share)  # fmt: skip
        for name, put, future in jobs:
            told(f"simulating: {name}")
            put(future.result())
    return document


def compared(trace: Trace, max_gap_s: float, seeds: int) -> dict[str, Any]:
    """One programme, one promise: the three samplers, and for the shorter promise a fixed rate that keeps it, too."""
    found = recall.compare(trace, spec(max_gap_s), range(seeds))
    made: dict[str, Any] = {
        "cuts_per_minute": trace.cuts_per_minute,
        "scenecut": trace.scenecut,
        "max_gap_s": max_gap_s,
        "samplers": {name: _found(one) for name, one in found.items()},
        "goals": [],
    }
    full, fixed = found[FULL].cells[EVENT_S].share, found[FIXED].cells[EVENT_S].share
    made["recall_ratio"] = full / fixed if fixed else None
    if max_gap_s == LONG_S:
        if trace.cuts_per_minute <= FEW_CUTS:
            made["goals"].append(report.goal(GOALS["on" if trace.scenecut else "off"], made["recall_ratio"]))
        elif trace.cuts_per_minute >= MANY_CUTS:
            made["goals"].append(report.goal(GOALS["many"], made["recall_ratio"]))
    else:
        same = recall.pooled(recall.runs(trace, recall.fixed(max_gap_s), range(seeds)))
        made["samplers"]["fixed, same gap"] = _found(same)
        made["recall_ratio"] = full / same.cells[EVENT_S].share
        made["looks_ratio"] = found[FULL].looks_per_min / same.looks_per_min
        if trace.cuts_per_minute <= FEW_CUTS:
            made["goals"] += [report.goal(GOALS["short"], made["recall_ratio"]),
                              report.goal(GOALS["looks"], made["looks_ratio"])]  # fmt: skip
    return made


def goals(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every goal, with the name of what it is about."""
    for one in document["recall"]:
        kind = "on" if one["scenecut"] else "off"
        about = f"{EVENT_S:g} s events, {one['cuts_per_minute']} cuts/min, scenecut {kind}, {one['max_gap_s']:g} s"
        yield from ((about, wanted) for wanted in one["goals"])
    yield from (
        (f"{document['held']['streams']} streams, worker busy 75 %", goal) for goal in document["held"]["goals"]
    )
    for one in document["pressed"]:
        yield from ((f"load {one['load']:g}x, {one['suspected']} suspected", wanted) for wanted in one["goals"])
    for one in document["confirmed"]:
        yield from ((f"confirmation, {one['size']}", wanted) for wanted in one["goals"])
    for one in document["toll"]:
        yield from ((f"schedule, {one['streams']} streams", wanted) for wanted in one["goals"])


def _found(found: Found) -> dict[str, Any]:
    return {
        "looks_per_min": found.looks_per_min,
        "cpu_ms_per_min": 1000 * found.cost_per_min,
        "inner_ms_per_min": 60_000 * found.inner_s / found.seconds,
        "recall": {
            f"{length:g}": {
                "seen": found.cells[length].seen, "of": found.cells[length].of, "share": found.cells[length].share,
                "interval": found.cells[length].interval,
            }
            for length in LENGTHS_S
        },
    }  # fmt: skip


def _held(held: crowd.Held) -> dict[str, Any]:
    wanted = [report.goal(GOALS["within"], held.within), report.goal(GOALS["worst"], held.worst)]
    return {**held._asdict(), "goals": wanted}


def _pressed(pressed: crowd.Pressed) -> dict[str, Any]:
    wanted = [report.goal(GOALS["declared"], pressed.declared_off)]
    if pressed.load > 1:
        wanted.append(report.goal(GOALS["fair"], pressed.to_fair))
    if pressed.fits and pressed.suspicious_worst_s is not None:
        wanted.append(report.goal(GOALS["suspicious"], pressed.suspicious_worst_s / pressed.min_gap_s))
    return {**pressed._asdict(), "declared_off": pressed.declared_off, "goals": wanted}


def _confirmed(size: str, confirmed: confirmation.Confirmed) -> dict[str, Any]:
    wanted: Sequence[tuple[str, float | None]] = (
        ("confirm_p50", confirmed.look_p50_s),
        ("confirm_p95", confirmed.look_p95_s),
    )
    return {"size": size, **confirmed._asdict(), "goals": [report.goal(GOALS[name], value) for name, value in wanted]}


def _put_confirmed(document: dict[str, Any], size: str, confirmed: confirmation.Confirmed) -> None:
    document["confirmed"].append(_confirmed(size, confirmed))


def _toll(measured: toll.Toll) -> dict[str, Any]:
    wanted = [report.goal(GOALS["toll"], measured.share)] if measured.load < 1 else []
    return {**measured._asdict(), "goals": wanted}


def _pool() -> ProcessPoolExecutor:
    cores = len(os.sched_getaffinity(0))
    return ProcessPoolExecutor(
        min(cores, _MOST_PROCESSES), mp_context=multiprocessing.get_context("spawn"), initializer=_quiet
    )


def _quiet() -> None:
    """What a simulated watcher warns of is measured, not said."""
    logs.configure(process="bench", level="error")
