"""One measurement: a site, a daemon, a window of steady state, and the figures taken from outside.

What is measured is the difference between the two ends of the window; nothing of the daemon's start is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from streamwatch.bench import proc
from streamwatch.bench.site import AlertSeen, Site
from streamwatch.bench.statistics import percentile
from streamwatch.bench.subject import DETECTOR, Job, Subject
from streamwatch.domain.errors import OutsideError

Told = Callable[[str], None]
"""Hears what is being done, for a person who waits."""

FEW: Final = 4
"""Streams of the small measurement of memory."""
_COVER_S: Final = 60.0
_COVER_PER_STREAM_S: Final = 0.08
_STEP_S: Final = 1.25
"""A daemon reads a changed configuration a second later at most."""
_MIB: Final = 1024 * 1024
_PARTS: Final = ("receive", "decode", "scale", "infer", "inner")
_PART: Final = "streamwatch_watcher_cpu_seconds_total{{part={}}}"
_GAPS: Final = "streamwatch_sample_gap_seconds"
_SAME_S: Final = 0.05
"""Two ages of the newest frame that differ by less from what has passed belong to the same frame."""

_NOTHING: Final = proc.Usage(0.0, 0.0)

Figures = dict[str, float | None]


class Snapshot(NamedTuple):
    """Everything that grows, at one instant."""

    at: float
    wall: float
    usage: dict[int, proc.Usage]
    """Of the daemon and what it started."""
    around: dict[int, proc.Usage]
    """Of server, publishers, broker and subscriber."""
    busy_s: float
    """Of the core, whoever used it."""
    metrics: dict[str, float]


@dataclass(slots=True)
class GapBook:
    """The gaps of all streams, asked for now and then: each stream's newest one, and each gap once."""

    gaps: list[float]
    worst: float = 0.0
    _known: dict[str, float] | None = None

    def note(self, streams: list[dict[str, Any]], now: float) -> None:
        """Take what `/streams` shows. The first time only says from when on gaps count."""
        frames = {s["sid"]: now - s["last_sample_s"] for s in streams if s["last_sample_s"] is not None}
        if self._known is not None:
            for stream in streams:
                before, at = self._known.get(stream["sid"]), frames.get(stream["sid"])
                if stream["gap_s"] is not None and at is not None and (before is None or at - before > _SAME_S):
                    self.gaps.append(stream["gap_s"])
            self.worst = max([self.worst, *self.gaps[-len(streams) :], *(now - at for at in frames.values())])
        self._known = frames


async def take(subject: Subject, site: Site) -> Snapshot:
    """Read everything that grows."""
    metrics = await subject.metrics()
    ours, around = _usage(subject.processes), _usage(site.processes)
    return Snapshot(time.monotonic(), time.time(), ours, around, proc.core_busy(subject.core), metrics)


def _usage(pids: Iterable[int]) -> dict[int, proc.Usage]:
    return {pid: found for pid in pids if (found := proc.usage(pid)) is not None}


def holder(subject: Subject) -> int:
    """The watcher that holds the streams: of the daemon's children the one that worked most; a spare idles."""
    found = {pid: used.cpu_s for pid in proc.children(subject.pid) if (used := proc.usage(pid)) is not None}
    if not found:
        raise OutsideError("the daemon has no watcher")
    return max(found, key=lambda pid: found[pid])


async def grow(subject: Subject, now: int, streams: int, *, over_s: float, told: Told) -> None:
    """Do as `add`, then wait until all are covered."""
    await add(subject, now, streams, over_s=over_s, told=told)
    await covered(subject, streams, told)


async def add(subject: Subject, now: int, streams: int, *, over_s: float, told: Told) -> None:
    """Add streams little by little over `over_s` seconds, as they go live in the world.

    All at once, they would be looked at together from then on.
    """
    steps = max(min(int(over_s / _STEP_S), streams - now), 1)
    begun = time.monotonic()
    for step in range(1, steps + 1):
        subject.watch(now + (streams - now) * step // steps)
        told(f"{now + (streams - now) * step // steps} of {streams} streams assigned")
        await asyncio.sleep(begun + over_s * step / steps - time.monotonic())


async def covered(subject: Subject, streams: int, told: Told) -> None:
    """Wait until so many streams are covered. Raises OutsideError where that takes too long."""
    limit = _COVER_S + _COVER_PER_STREAM_S * streams
    await subject.covered(streams, limit_s=limit, told=lambda ready: told(f"{ready} of {streams} streams covered"))


async def window(
    subject: Subject,
    site: Site,
    job: Job,
    streams: int,
    *,
    few: int,
    small: proc.Memory | None,
    window_s: float,
    told: Told,
) -> Figures:
    """Measure what is already covered."""
    book = GapBook([])
    book.note(await subject.streams(), time.monotonic())
    before = await take(subject, site)
    end = before.at + window_s
    while (left := end - time.monotonic()) > 0:
        told(f"measuring {streams} streams, {left:.0f} s to go")
        await asyncio.sleep(min(left, job.gap_s))
        book.note(await subject.streams(), time.monotonic())
    after = await take(subject, site)
    full = proc.memory(holder(subject))
    alerts = [seen for seen in site.subscriber.alerts if before.wall <= seen.at <= after.wall]
    figures = figures_of(before, after, daemon=subject.pid, watcher=holder(subject), streams=streams)
    return {**figures, **gap_figures(book), **memory_figures(small, full, few, streams), **latency_figures(alerts)}


def figures_of(before: Snapshot, after: Snapshot, *, daemon: int, watcher: int, streams: int) -> Figures:
    """What the two ends of a window say. Processor time in seconds per stream and minute."""
    seconds = after.at - before.at
    minutes = streams * seconds / 60

    def used(pid: int) -> tuple[float, float]:
        then, now = before.usage.get(pid, _NOTHING), after.usage.get(pid, _NOTHING)
        return now.cpu_s - then.cpu_s, now.main_s - then.main_s

    def grown(name: str) -> float:
        return after.metrics.get(name, 0.0) - before.metrics.get(name, 0.0)

    whole = sum(used(pid)[0] for pid in after.usage)
    around = sum(now.cpu_s - before.around.get(pid, _NOTHING).cpu_s for pid, now in after.around.items())
    watching, main = used(watcher)
    looks = grown(f"streamwatch_samples_total{{detector={DETECTOR}}}")
    parts: Figures = {}
    for part in _PARTS:
        name = _PART.format(part)
        if name in after.metrics:
            parts[f"cpu_{part}"] = grown(name) / minutes
    if "cpu_decode" not in parts:
        parts["cpu_decode"] = grown("streamwatch_decode_seconds_total") / minutes
    if "cpu_infer" not in parts:
        parts["cpu_infer_and_scale"] = grown("streamwatch_inference_seconds_sum") / minutes
    uncovered = sum(grown(name) for name in after.metrics if name.startswith("streamwatch_uncovered_seconds_total"))
    gaps = grown(f"{_GAPS}_count")
    received = sum(grown(name) for name in after.metrics if name.startswith("streamwatch_received_bytes_total"))
    return {
        "streams": streams,
        "window_s": seconds,
        "cpu": whole / minutes,
        "core_share": whole / seconds,
        "strangers_share": max((after.busy_s - before.busy_s) / seconds - whole / seconds, 0.0),
        "around_share": around / seconds,
        "cpu_watcher_main": main / minutes,
        "cpu_watcher_workers": (watching - main) / minutes,
        "cpu_publish": used(daemon)[0] / minutes,
        **parts,
        "looks_per_min": looks / minutes,
        "gap_mean_s": grown(f"{_GAPS}_sum") / gaps if gaps else None,
        "uncovered_s": uncovered,
        "uncovered_share": uncovered / (streams * seconds),
        "looks_missed": grown("streamwatch_dropped_total{what=look}"),
        "received_kilobits": received * 8 / 1000 / (streams * seconds),
        "restarts": sum(grown(name) for name in after.metrics if name.startswith("streamwatch_watcher_restarts_total")),
    }


def gap_figures(book: GapBook) -> Figures:
    """Percentiles of the gaps that were seen, and the longest time without a frame."""
    return {
        "gap_p50_s": percentile(book.gaps, 0.5),
        "gap_p95_s": percentile(book.gaps, 0.95),
        "gap_max_s": book.worst,
        "gaps_seen": len(book.gaps),
    }


def memory_figures(small: proc.Memory | None, full: proc.Memory | None, few: int, streams: int) -> Figures:
    """Of the watcher. A stream's share is the difference between few and all: what is there anyway is not in it."""
    if small is None or full is None:
        return {}
    per = (full.heap - small.heap) / (streams - few) if streams > few else None
    return {
        "watcher_rss_mb": full.rss / _MIB,
        "watcher_pss_mb": full.pss / _MIB,
        "watcher_base_mb": (small.rss - max(per or 0.0, 0.0) * few) / _MIB,
        "watcher_base_pss_mb": (small.pss - max(per or 0.0, 0.0) * few) / _MIB,
        "stream_mb": None if per is None else per / _MIB,
    }


def latency_figures(alerts: list[AlertSeen]) -> Figures:
    """From a key picture received to the alert at the subscriber."""
    after = [seen.after_s for seen in alerts]
    found = {
        "alert_p50_s": percentile(after, 0.5),
        "alert_p95_s": percentile(after, 0.95),
        "alert_max_s": percentile(after, 1),
    }
    return {"alerts": len(after), **found}
