"""The result as a picture: recall by length of events, and gaps under overload. Needs matplotlib.

Readable on light and dark pages: no background, and colours between the two.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from streamwatch.bench.sampling.experiment import LONG_S
from streamwatch.bench.sampling.recall import BLIND, FIXED, FULL

_INK: Final = "#808a94"
_COLOURS: Final = {FIXED: "#8a94a6", BLIND: "#c9a227", FULL: "#2f9e6b"}
_SUSPICIOUS: Final = "#c2533d"
_WIDTH, _HEIGHT = 10.0, 6.4
"""Inches."""
_SHOWN: Final = ((2, False), (2, True), (18, False), (18, True))
"""Other cuts a minute, and whether the encoder begins a group of pictures at cuts."""


def draw(document: Mapping[str, Any], form: str = "svg") -> bytes:
    """The picture, as `svg` or `png`; the same SVG for the same document."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra: only who draws needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    style: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "streamwatch", "font.family": "sans-serif", "font.size": 9,
        "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.edgecolor": _INK,
    }  # fmt: skip
    with mpl.rc_context(style):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        halves: Any = figure.subfigures(2, 1)
        above, below = halves
        panels = above.subplots(1, len(_SHOWN), sharey=True)
        for place, (axes, (cuts, scenecut)) in enumerate(zip(panels, _SHOWN, strict=True)):
            found = [one for one in document["recall"] if one["max_gap_s"] == LONG_S]
            one = next(one for one in found if (one["cuts_per_minute"], one["scenecut"]) == (cuts, scenecut))
            _recall(axes, one, first=place == 0)
        _pressed(below.subplots(1, 2), document)
        figure.supxlabel(f"simulated with real packet sizes; streamwatch {document['version']}, {document['at'][:10]}",
                         fontsize=8)  # fmt: skip
        out = io.BytesIO()
        figure.savefig(out, format=form, transparent=form == "svg", metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _recall(axes: Any, one: Mapping[str, Any], *, first: bool) -> None:
    """Bars of the three samplers for each length."""
    kind = "keys at cuts" if one["scenecut"] else "regular keys"
    looks = one["samplers"][FULL]["looks_per_min"]
    axes.set_title(f"{one['cuts_per_minute']} cuts/min, {kind}\n{looks:.1f} looks/min", loc="left", fontsize=9)
    lengths = list(one["samplers"][FULL]["recall"])
    for place, name in enumerate((FIXED, BLIND, FULL)):
        cells = [one["samplers"][name]["recall"][length] for length in lengths]
        shares = [cell["share"] for cell in cells]
        errors = [
            [max(share - cell["interval"][0], 0.0) for share, cell in zip(shares, cells, strict=True)],
            [max(cell["interval"][1] - share, 0.0) for share, cell in zip(shares, cells, strict=True)],
        ]
        axes.bar([at + (place - 1) * 0.27 for at in range(len(lengths))], shares, 0.25, yerr=errors, label=name,
                 color=_COLOURS[name], error_kw={"ecolor": _INK, "elinewidth": 0.8})  # fmt: skip
    axes.set_xticks(range(len(lengths)), [f"{length} s" for length in lengths])
    axes.set_ylim(0, 1.02)
    _plain(axes)
    if first:
        axes.set_ylabel("share of events seen")
        axes.legend(frameon=False, fontsize=8, loc="upper left")


def _pressed(panels: Sequence[Any], document: Mapping[str, Any]) -> None:
    fitting = sorted((one for one in document["pressed"] if one["fits"]), key=lambda one: one["load"])
    loads = [f"{one['load']:g}x" for one in fitting]
    calm, suspicious = panels
    calm.set_title("overload: longest gap of a calm stream, s", loc="left", fontsize=9)
    calm.bar(loads, [one["worst_s"] for one in fitting], 0.5, color=_COLOURS[FULL], label="longest")
    for place, one in enumerate(fitting):
        calm.hlines(one["fair_s"], place - 0.35, place + 0.35, color=_INK, label="" if place else "fair share")
    suspicious.set_title("longest gap of a suspicious stream, s", loc="left", fontsize=9)
    suspicious.bar(loads, [one["suspicious_worst_s"] or 0 for one in fitting], 0.5, color=_SUSPICIOUS)
    for place, one in enumerate(fitting):
        suspicious.hlines(one["min_gap_s"], place - 0.35, place + 0.35, color=_INK, label="" if place else "min_gap")
    for axes in panels:
        _plain(axes)
        if fitting:
            axes.set_ylim(0, axes.get_ylim()[1] * 1.15)
            axes.legend(frameon=False, fontsize=8)
