"""What is measured, and what it should reach. Values and pure sums; nothing here does anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How a scenario is run."""

    STEADY = "steady"
    """So many streams, measured in steady state."""
    LIMIT = "limit"
    """More and more streams until the gap breaks."""
    OVER = "over"
    """More streams than the core can look at in time, measured once they have settled."""
    LOAD = "load"
    """As many streams as make a given share of the core, measured in steady state."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for one figure."""

    figure: str
    limit: float
    at_least: bool = False
    says: str = ""
    """What it means, where the figure's own name does not say it."""

    def met(self, value: float | None) -> bool | None:
        """Whether a measured value reaches it; None where nothing was measured."""
        if value is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit

    def miss(self, value: float) -> float:
        """By how much a value misses it, as a share of the limit; negative when it is better."""
        share = (value - self.limit) / self.limit if self.limit else value
        return -share if self.at_least else share


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the result."""

    name: str
    size: str
    gap_s: float
    streams: int
    window_s: float
    """With keys every 2 s, a gap of 10 s is looked at every 8 s: whole multiples of that count every stream alike."""
    says: str
    kind: Kind = Kind.STEADY
    lookback_s: float = 0.0
    hls: bool = False
    infer: bool = True
    """False: the cheapest detector there can be, for goals that leave inference out."""
    marker_s: float = 60.0
    """Each publisher shows the marker once in so many seconds."""
    load: float = 0.0
    """Share of the core, for Kind.LOAD."""
    most: int = 1000
    """Streams, for Kind.LIMIT and Kind.LOAD."""
    fallback: bool = False
    hits: int = 1
    """Over 1: the rule confirms as rules do, hits 400 ms apart, and suspicion looks as often as it likes."""
    goals: tuple[Goal, ...] = ()

    @property
    def at(self) -> str:
        """Size and gap, by which ratios are given."""
        return f"{self.size} {self.gap_s:g} s"


_MEMORY: Final = (Goal("stream_mb", 0.3), Goal("watcher_base_mb", 130))

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "360p-10s", "360p", 10, 600, 56, "look-back off",
        goals=(Goal("cpu", 0.060), *_MEMORY, Goal("vs_nokey", 5, at_least=True), Goal("vs_opencv", 45, at_least=True)),
    ),
    Scenario(
        "360p-10s-lookback", "360p", 10, 400, 56, "look-back 4 s", lookback_s=4,
        goals=(Goal("cpu", 0.075), Goal("stream_mb", 0.3 + 0.72 * 4 / 8, says="0.3 MB and bit rate x look-back")),
    ),
    Scenario(
        "360p-2s", "360p", 2, 180, 40, "a look at every key picture",
        goals=(
            Goal("cpu", 0.185), Goal("vs_nokey", 1.6, at_least=True), Goal("vs_opencv", 13, at_least=True),
            Goal("to_bound", 1.15),
        ),
    ),
    Scenario(
        "1080p-10s", "1080p", 10, 160, 56, "look-back off",
        goals=(Goal("cpu", 0.18), Goal("vs_nokey", 5, at_least=True), *_MEMORY),
    ),
    Scenario(
        "1080p-2s", "1080p", 2, 40, 40, "a look at every key picture",
        goals=(Goal("vs_nokey", 1.15, at_least=True), Goal("to_bound", 1.15)),
    ),
    Scenario(
        "hls-10s", "360p", 10, 800, 56, "HLS, segments of 4 s, no inference", hls=True, infer=False,
        goals=(Goal("cpu", 0.025), Goal("bytes_share", 0.12), Goal("stream_mb", 0.5)),
    ),
    Scenario(
        "load-60", "360p", 10, 100, 56, "latency with the core at 60 %", kind=Kind.LOAD, load=0.6,
        goals=(Goal("alert_p95_s", 0.180),),
    ),
    Scenario(
        "confirm-360p", "360p", 2, 24, 120, "from the first suspicious picture to the confirmed alert", lookback_s=4,
        hits=2, marker_s=40, goals=(Goal("alert_p50_s", 0.7), Goal("alert_p95_s", 1.5)),
    ),
    Scenario(
        "confirm-1080p", "1080p", 2, 8, 120, "the same at 1080p", lookback_s=4,
        hits=2, marker_s=40, goals=(Goal("alert_p50_s", 0.7), Goal("alert_p95_s", 1.5)),
    ),
    Scenario(
        "overload", "360p", 2, 600, 60, "about three times the streams that keep this gap", kind=Kind.OVER,
        goals=(Goal("worst_to_fair", 1.5),),
    ),
    Scenario(
        "limit", "360p", 10, 200, 40, "most streams on the core", kind=Kind.LIMIT, most=1400,
        goals=(Goal("streams", 800, at_least=True),),
    ),
    Scenario(
        "hls-limit", "360p", 10, 400, 40, "most HLS streams on the core, no inference", kind=Kind.LIMIT, most=1200,
        hls=True, infer=False, goals=(Goal("streams", 1000, at_least=True),),
    ),
)  # fmt: skip
"""What `streamwatch bench` measures by default, with the goals that streamwatch sets itself."""


def named(name: str) -> Scenario | None:
    """The scenario of a name."""
    return next((scenario for scenario in SCENARIOS if scenario.name == name), None)


def next_count(streams: int, share: float, *, most: int, target: float = 0.85) -> int:
    """How many streams to try after so many took this share of the core: towards `target`, then by tenths."""
    if share <= 0:
        return min(streams * 2, most)
    aim = round(streams * target / share)
    return min(max(aim, streams + max(streams // 10, 1)), most)


def with_streams(scenario: Scenario, streams: int) -> Scenario:
    """The same with another number of streams."""
    return replace(scenario, streams=streams)


def derived(
    figures: Mapping[str, float | None], bound_ms: float | None, clip_kilobits: float
) -> dict[str, float | None]:
    """What follows from measured figures: the lower bound at the same looks a minute, and the share of bytes read."""
    looks, cpu, received = (figures.get(name) for name in ("looks_per_min", "cpu", "received_kilobits"))
    bound = looks * bound_ms / 1000 if looks is not None and bound_ms is not None else None
    return {
        "bound": bound,
        "to_bound": cpu / bound if cpu is not None and bound else None,
        "bytes_share": received / clip_kilobits if received is not None and clip_kilobits else None,
    }
