"""The result as a picture: what each way costs a stream, and what it takes of memory. Needs matplotlib.

Readable on light and dark pages: no background, and colours between the two.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_INK: Final = "#808a94"
_OURS, _THEIRS = "#2f9e6b", "#8a94a6"
_RIVALS: Final = {
    "opencv": "OpenCV read()",
    "pyav": "PyAV, every frame",
    "ffmpeg": "ffmpeg, every frame",
    "nokey": "ffmpeg -skip_frame nokey",
}
_WIDTH, _HEIGHT, _FOOT = 10.0, 2.3, 0.3
"""Inches: of all, of a size's panels, of the line below."""
_ROOM: Final = 4.0
"""To the right of the longest bar, as a factor on the logarithmic axis, for its figure."""


class Bar(NamedTuple):
    """One way of watching."""

    name: str
    value: float
    ours: bool


def costs(document: Mapping[str, Any], size: str) -> list[Bar]:
    """Processor seconds a stream and minute, the dearest first."""
    theirs = [Bar(_RIVALS[one["name"]], one["cpu"], ours=False) for one in document["rivals"] if one["size"] == size]
    ours = [
        Bar(f"streamwatch, every {one['gap_s']:g} s", one["median"]["cpu"], ours=True) for one in _ours(document, size)
    ]
    return sorted([*theirs, *ours], key=lambda bar: -bar.value)


def memories(document: Mapping[str, Any], size: str) -> list[Bar]:
    """Megabytes that one more stream takes, the most first. What is too little to be measured is left out."""
    theirs = [
        Bar(_RIVALS[one["name"]], one["stream_mb"], ours=False) for one in document["rivals"] if one["size"] == size
    ]
    found = [one["median"].get("stream_mb") for one in _ours(document, size)]
    most = max((value for value in found if value is not None), default=0.0)
    ours = [Bar("streamwatch", most, ours=True)] if most > 0 else []
    return sorted([*theirs, *ours], key=lambda bar: -bar.value)


def _ours(document: Mapping[str, Any], size: str) -> list[Mapping[str, Any]]:
    """The scenarios that do what the others do, and score and alert beside."""
    return [
        one
        for one in document["scenarios"]
        if (one["size"], one["kind"], one["transport"], one["lookback_s"]) == (size, "steady", "rtmp", 0)
        and one["inference"]
    ]


def draw(document: Mapping[str, Any], form: str = "svg") -> bytes:
    """The picture, as `svg` or `png`; the same SVG for the same document."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra: only who draws needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    sizes = [size for size in document["contents"] if costs(document, size)]
    style: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "streamwatch", "font.family": "sans-serif", "font.size": 9,
        "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.edgecolor": _INK,
    }  # fmt: skip
    with mpl.rc_context(style):
        figure = Figure(figsize=(_WIDTH, _HEIGHT * max(len(sizes), 1) + _FOOT), layout="constrained")
        panels = figure.subplots(max(len(sizes), 1), 2, squeeze=False)
        for row, size in zip(panels, sizes, strict=False):
            _panel(row[0], costs(document, size), f"{size}: processor seconds a stream and minute", "{:.2g} s")
            _panel(row[1], memories(document, size), f"{size}: megabytes for one more stream", "{:.2g} MB")
        at = document["at"][:10]
        figure.supxlabel(f"{document['machine']['cpu']}, one core; streamwatch {document['version']}, {at}", fontsize=8)
        out = io.BytesIO()
        figure.savefig(out, format=form, transparent=form == "svg", metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _panel(axes: Any, bars: Sequence[Bar], title: str, form: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    places = range(len(bars))
    axes.barh(places, [bar.value for bar in bars], color=[_OURS if bar.ours else _THEIRS for bar in bars], height=0.7)
    axes.set_yticks(list(places), [bar.name for bar in bars])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    if bars:
        axes.set_xlim(min(bar.value for bar in bars) / 2, max(bar.value for bar in bars) * _ROOM)
    for place, bar in zip(places, bars, strict=True):
        axes.text(bar.value * 1.08, place, form.format(bar.value), va="center", fontweight="bold" if bar.ours else None)
