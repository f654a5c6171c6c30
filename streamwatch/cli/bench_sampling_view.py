"""What `streamwatch bench sampling` found, as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from streamwatch.bench.sampling import experiment
from streamwatch.cli.bench_view import number

Row = Mapping[str, Any]

FIGURES: Final = {
    "recall_ratio": "x recall of a fixed rate",
    "looks_ratio": "x looks of a fixed rate",
    "within": "share of gaps within max_gap",
    "worst": "longest gap / max_gap",
    "to_fair": "longest gap / fair share",
    "suspicious_to_min_gap": "longest suspicious gap / min_gap",
    "declared_off": "declared against true loss, off by",
    "look_p50_s": "s, suspicious picture to confirmed, p50",
    "look_p95_s": "s, suspicious picture to confirmed, p95",
    "share": "share of a core for schedule and plan",
}
"""What figures are called."""
_WIDTH: Final = 200


def show(document: Row, console: Console) -> None:
    """Print what was found, at what price, what was promised, and the goals."""
    wide = Console(file=console.file, width=max(console.width, _WIDTH), highlight=False, markup=False)
    for title, table in tables(document):
        wide.print(f"\n{title}")
        wide.print(table)


def tables(document: Row) -> list[tuple[str, Table]]:
    """What there is to show, in order."""
    made = [
        ("Recall of events that begin with a cut, at equal looks a minute (95 % intervals)", _recall(document)),
        ("Many streams on one worker (10 s promised)", _pressed(document)),
        ("From the first suspicious picture, and from the event's beginning, to confirmed", _confirmed(document)),
    ]
    made.append(("What deciding costs, % of a core", _toll(document["toll"])))
    if "real" in document:
        made.append(("In real time, beside the simulation of the same", _real(document["real"])))
    return [*made, ("Goals", _goals(document))]


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", no_wrap=True, overflow="ignore")
    return table


def _recall(document: Row) -> Table:
    lengths = list(document["recall"][0]["samplers"]["full"]["recall"])
    table = _table("cuts/min", "scenecut", "max_gap", "sampler", "looks/min", "CPU ms/min", "inner ms/min",
                   *(f"{length} s" for length in lengths), left=4)  # fmt: skip
    for one in document["recall"]:
        for name, found in one["samplers"].items():
            cells = (found["recall"][length] for length in lengths)
            table.add_row(
                str(one["cuts_per_minute"]), "on" if one["scenecut"] else "off", f"{one['max_gap_s']:g} s", name,
                number(found["looks_per_min"], 2), number(found["cpu_ms_per_min"], 0),
                number(found["inner_ms_per_min"], 0),
                *(f"{cell['share']:.2f} [{cell['interval'][0]:.2f}-{cell['interval'][1]:.2f}]" for cell in cells),
            )  # fmt: skip
    return table


def _pressed(document: Row) -> Table:
    table = _table("load", "streams suspected", "fair s", "longest s", "suspicious p50 s", "p95", "max", "min_gap",
                   "declared h", "true h", "recovered after s")  # fmt: skip
    held = document["held"]
    table.add_row(f"busy {100 * held['busy']:.0f} %", "0", "-", number(10 * held["worst"], 1))
    for one in document["pressed"]:
        table.add_row(
            f"{one['load']:g}x", f"{one['suspected']}{'' if one['fits'] else ', too many'}", number(one["fair_s"], 1),
            number(one["worst_s"], 1), number(one["suspicious_p50_s"], 2), number(one["suspicious_p95_s"], 2),
            number(one["suspicious_worst_s"], 2), number(one["min_gap_s"], 1), number(one["declared_s"] / 3600, 2),
            number(one["true_s"] / 3600, 2), number(one["recovery_s"], 1),
        )  # fmt: skip
    return table


def _confirmed(document: Row) -> Table:
    table = _table("size", "events", "met", "confirmed", "from look p50 s", "p95", "from event p50 s", "p95")
    for one in document["confirmed"]:
        table.add_row(
            one["size"], str(one["events"]), str(one["met"]), str(one["confirmed"]), number(one["look_p50_s"], 2),
            number(one["look_p95_s"], 2), number(one["event_p50_s"], 2), number(one["event_p95_s"], 2),
        )  # fmt: skip
    return table


def _real(real: Row) -> Table:
    if "failed" in real:
        table = _table("not made")
        table.add_row(real["failed"])
        return table
    table = _table("", "looks/min", "gap p50 s", "p95", "max", "decode CPU-s/min", "of inner looks", "uncovered s")
    for name in ("measured", "simulated"):
        one = real[name]
        table.add_row(
            name, number(one["looks_per_min"], 2), number(one["gap_p50_s"], 2), number(one["gap_p95_s"], 2),
            number(one["gap_max_s"], 2), number(one.get("cpu_decode"), 4), number(one.get("cpu_inner"), 4),
            number(one.get("uncovered_s"), 1),
        )  # fmt: skip
    return table


def _toll(tolls: Sequence[Row]) -> Table:
    table = _table("streams", "load", "calls/s", "schedule and plan", "samplers", "whole simulation")
    for one in tolls:
        shares = (number(100 * one[name], 2) for name in ("share", "samplers", "whole"))
        table.add_row(str(one["streams"]), f"{one['load']:g}x", number(one["calls_per_s"], 0), *shares)
    return table


def _goals(document: Row) -> Table:
    table = _table("about", "goal", "figure", "measured", "", left=1)
    for about, wanted in experiment.goals(document):
        value = "-" if wanted["value"] is None else f"{wanted['value']:.3g}"
        sign = ">=" if wanted["at_least"] else "<="
        table.add_row(about, f"{sign} {wanted['limit']:g}", FIGURES[wanted["figure"]], value, _verdict(wanted))
    return table


def _verdict(wanted: Row) -> str:
    if wanted["met"] is None:
        return "not measured"
    return "met" if wanted["met"] else f"missed by {100 * wanted['missed_by']:.0f} %"
