"""What `streamwatch bench` measured, as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

Row = Mapping[str, Any]

_COSTS: Final[tuple[tuple[str, str, int], ...]] = (
    ("streams", "streams", 0),
    ("CPU-s/stream-min", "cpu", 4),
    ("receive", "cpu_receive", 4),
    ("decode", "cpu_decode", 4),
    ("scale", "cpu_scale", 4),
    ("infer", "cpu_infer", 4),
    ("inner", "cpu_inner", 4),
    ("publish", "cpu_publish", 4),
    ("bound", "bound", 4),
    ("x bound", "to_bound", 2),
    ("core %", "core_share", -1),
    ("strangers %", "strangers_share", -1),
    ("others %", "around_share", -1),
    ("looks/min", "looks_per_min", 2),
)
_KEEPS: Final[tuple[tuple[str, str, int], ...]] = (
    ("gap p50 s", "gap_p50_s", 2),
    ("p95", "gap_p95_s", 2),
    ("max", "gap_max_s", 2),
    ("uncovered s", "uncovered_s", 1),
    ("MB/stream", "stream_mb", 3),
    ("base MB", "watcher_base_mb", 0),
    ("kbit/s", "received_kilobits", 0),
    ("alerts", "alerts", 0),
    ("alert p50 ms", "alert_p50_s", -2),
    ("p95", "alert_p95_s", -2),
)
FIGURES: Final = {
    "cpu": "CPU-s/stream-min",
    "streams": "streams on one core",
    "stream_mb": "MB a stream",
    "watcher_base_mb": "MB, watcher without streams",
    "to_bound": "x lower bound",
    "worst_to_fair": "x the fair share, longest gap",
    "bytes_share": "share of the bytes",
    "alert_p50_s": "s, key received to alert, p50",
    "alert_p95_s": "s, key received to alert, p95",
    "vs_nokey": "x ffmpeg nokey",
    "vs_opencv": "x OpenCV",
    "vs_pyav": "x PyAV",
    "vs_ffmpeg": "x ffmpeg",
}
"""What figures are called."""
_CROWDED: Final = 0.03
"""Share of our core that others may use without being mentioned: the bench's own children start there now and then."""
_WIDTH: Final = 240
"""Of a table at most: a line that a terminal breaks is read more easily than a figure that is cut off."""
_PERCENT, _MILLISECONDS = -1, -2


def number(value: float | None, digits: int) -> str:
    """A figure as text; what was not measured is a dash."""
    if value is None:
        return "-"
    if digits == _PERCENT:
        return f"{100 * value:.0f}"
    if digits == _MILLISECONDS:
        return f"{1000 * value:.0f}"
    return f"{value:.{digits}f}"


def show(document: Row, console: Console) -> None:
    """Print machine, content, costs, promises, rivals and goals."""
    machine = document["machine"]
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, one of them for streamwatch; kernel {machine['kernel']}, "
        f"Python {machine['python']}"
    )
    for size, facts in document["contents"].items():
        console.print(
            f"{size}: {document['method']['publishers']} publishers, {facts['kilobits']} kbit/s, key pictures of "
            f"{facts['key_kilobytes']} kB every {facts['key_interval_s']:g} s"
        )
    for one in document["scenarios"]:
        if one["failed"]:
            console.print(f"{one['name']}: not measured: {one['failed']}")
    crowded = [one for one in document["scenarios"] if (one["median"].get("strangers_share") or 0) > _CROWDED]
    for one in crowded:
        share = one["median"]["strangers_share"]
        console.print(f"{one['name']}: somebody else used {100 * share:.0f} % of this core: its figures are too high")
    wide = Console(file=console.file, width=max(console.width, _WIDTH), highlight=False, markup=False)
    for table in tables(document):
        wide.print()
        wide.print(table)


def tables(document: Row) -> list[Table]:
    """What there is to show, in order."""
    made = [_figures(document, _COSTS), _figures(document, _KEEPS)]
    if document["rivals"]:
        made.append(_rivals(document))
    if any(one["goals"] for one in document["scenarios"]):
        made.append(_goals(document))
    return made


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", no_wrap=True, overflow="ignore")
    return table


def _figures(document: Row, columns: tuple[tuple[str, str, int], ...]) -> Table:
    table = _table("scenario", *(title for title, _, _ in columns))
    for one in document["scenarios"]:
        table.add_row(one["name"], *(number(one["median"].get(figure), digits) for _, figure, digits in columns))
    return table


def _rivals(document: Row) -> Table:
    """The common ways, and how many times dearer than ours each is."""
    ours = [one for one in document["scenarios"] if one["median"].get("vs_nokey") is not None]
    table = _table(
        "instead of streamwatch", "size", "CPU-s/stream-min", "MB/stream", *(f"x {one['name']}" for one in ours), left=2
    )
    for rival in document["rivals"]:
        ratios = (one["median"].get(f"vs_{rival['name']}") if one["size"] == rival["size"] else None for one in ours)
        table.add_row(
            rival["name"],
            rival["size"],
            number(rival["cpu"], 3),
            number(rival["stream_mb"], 1),
            *(number(ratio, 1) for ratio in ratios),
        )
    return table


def _goals(document: Row) -> Table:
    table = _table("scenario", "goal", "figure", "measured", "", left=1)
    for one in document["scenarios"]:
        for wanted in one["goals"]:
            sign = ">=" if wanted["at_least"] else "<="
            figure = FIGURES.get(wanted["figure"], wanted["figure"])
            value = "-" if wanted["value"] is None else f"{wanted['value']:g}"
            table.add_row(one["name"], f"{sign} {wanted['limit']:g}", figure, value, _verdict(wanted))
    return table


def _verdict(wanted: Row) -> str:
    if wanted["met"] is None:
        return "not measured"
    if wanted["met"]:
        return "met"
    return f"missed by {100 * wanted['missed_by']:.0f} %"
