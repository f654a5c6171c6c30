"""How the demo looks on a terminal: streams and their gaps, alerts, and where to find everything."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streamwatch.app.demo import GAP, Scene

_STYLES = {"covered": "bold green", "uncovered": "bold red", "connecting": "yellow", "ended": "dim"}
_EVENTS = {"opened": "bold red", "updated": "red", "closed": "green", "reminder": "yellow"}
_BAR = 20
_WIDE = 110
_FRAME_LINES = 12
"""Lines that are neither streams, alerts nor addresses."""
_LEAST_ALERTS = 2


def draw(scene: Scene, *, width: int = 120, height: int = 40) -> RenderableType:
    """The whole picture, for a terminal of this size: on a small one, addresses and old alerts give way."""
    lines = max(height - _FRAME_LINES - len(scene.addresses) - len(scene.streams), _LEAST_ALERTS)
    return Group(
        Panel(_streams(scene, with_address=width >= _WIDE), title=f"streams, promised gap {GAP}", title_align="left"),
        Panel(_alerts(scene, lines), title="alerts, as a subscriber receives them; newest first", title_align="left"),
        Panel(_foot(scene), title="where", title_align="left"),
    )


def alert_line(document: dict[str, Any]) -> str:
    """One alert event in words."""
    why = f" ({document['close_reason']})" if document.get("close_reason") else ""
    latency = f", {document['latency_ms']} ms after the frame arrived" if document.get("latency_ms") else ""
    score = "" if document["event"] == "closed" else f", score {document['score']:.2f}"
    return (
        f"ALERT {document['event']}{why}: stream {document['stream']['id']}, rule {document['rule']}, "
        f"severity {document['severity']}{score}{latency}"
    )


def coverage_line(document: dict[str, Any]) -> str:
    """The node's coverage in words; no share of nothing is told."""
    if not document["streams_live"]:
        return "nothing is live" if document["coverage_24h"] is not None else "nothing was live yet"
    said = f"{document['streams_covered']} of {document['streams_live']} live streams covered"
    return said if document["coverage_1h"] is None else f"{said}, {document['coverage_1m']:.0%} of the last minute"


def _streams(scene: Scene, *, with_address: bool) -> RenderableType:
    if not scene.streams:
        return Text("starting …", style="dim")
    table = Table(box=None, pad_edge=False, expand=True)
    columns = ("stream", "state", "last gap", "since the last look")
    for column in (*columns, "address") if with_address else columns:
        table.add_column(column, no_wrap=True)
    for stream in scene.streams:
        state = stream["state"] + (f": {stream['reason']}" if stream["reason"] else "")
        gap = "" if stream["gap_s"] is None else f"{stream['gap_s']:.1f} s"
        table.add_row(
            stream["stream"],
            Text(state, style=_STYLES.get(stream["state"], "")),
            gap,
            _age(stream["last_sample_s"], stream["max_gap_s"]),
            *([Text(stream["url"], style="dim")] if with_address else []),
        )
    return table


def _age(age_s: float | None, promise_s: float) -> Text:
    """A bar that fills while nobody looks, and is empty again after each look."""
    if age_s is None:
        return Text("")
    filled = min(round(age_s / promise_s * _BAR), _BAR)
    style = "green" if age_s <= promise_s else "red"
    return Text.assemble(("━" * filled, style), ("─" * (_BAR - filled), "dim"), f" {age_s:4.1f} s")


def _alerts(scene: Scene, most: int) -> RenderableType:
    if not scene.alerts:
        return Text("none yet: the streams show the test card from time to time", style="dim")
    lines = Text()
    for received, document in list(reversed(scene.alerts))[:most]:
        lines.append(f"{received:%H:%M:%S}  ", style="dim")
        lines.append(alert_line(document) + "\n", style=_EVENTS.get(document["event"], ""))
    lines.right_crop(1)
    lines.no_wrap = True
    lines.overflow = "ellipsis"
    return lines


def _foot(scene: Scene) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for name, address in scene.addresses.items():
        table.add_row(name, address)
    if scene.coverage:
        table.add_row("coverage", coverage_line(scene.coverage))
    if scene.status:
        table.add_row("daemon", scene.status["state"] + "".join(f"; {reason}" for reason in scene.status["reasons"]))
    table.add_row("", Text("Ctrl-C ends everything; nothing was stored but alert texts, in a folder that goes with it"))
    return table
