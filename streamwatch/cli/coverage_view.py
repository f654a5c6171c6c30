"""How coverage looks on a terminal: the node, its origins, what is not covered and why, who waits longest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streamwatch.domain.urls import printable

_BAR = 16
_WIDE = 100
_FRAMES = 10
"""Lines that are neither origins nor streams."""
_UNCOVERED_LINES, _GAP_LINES = 30, 8
_LEAST = 3
_NAME = 40
_GOOD, _FAIR = 0.999, 0.99
_ORIGINS = 8
_MINUTE = 60


def draw(answer: dict[str, Any], *, width: int, height: int | None, trouble: str = "") -> RenderableType:
    """The whole picture; `height` None: as long as it gets. `trouble`: why this is not the newest."""
    uncovered = [stream for stream in answer["streams"] if stream["state"] == "uncovered"]
    waiting = [s for s in answer["streams"] if s["state"] in ("covered", "connecting") and s["gap_now_s"] is not None]
    origins = answer["origins"][:_ORIGINS]
    most, gaps = _UNCOVERED_LINES, _GAP_LINES
    if height is not None:
        room = max(height - _FRAMES - len(origins), 2 * _LEAST)
        gaps = max(min(len(waiting), _GAP_LINES, room - min(len(uncovered) + 1, room - _LEAST)), 0)
        most = max(room - gaps, _LEAST)
    parts: list[RenderableType] = []
    if trouble:
        parts.append(Text(f"{trouble} (below: what it said last)", style="bold red"))
    parts.append(Panel(_sums(answer["node"], origins), title=_title(answer), title_align="left"))
    parts.append(_uncovered(answer, uncovered, most, wide=width >= _WIDE))
    if waiting and gaps:
        parts.append(Panel(_gaps(waiting[:gaps]), title="longest waits among the others", title_align="left"))
    return Group(*parts)


def _title(answer: dict[str, Any]) -> str:
    return f"coverage of {answer['node']['name']} at {answer['at'][11:19]} UTC"


def _sums(node: dict[str, Any], origins: list[dict[str, Any]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("", no_wrap=True)
    for column in ("live", "covered", "1 m", "1 h", "24 h"):
        table.add_column(column, justify="right", no_wrap=True, min_width=8)
    rows = [("all streams", node)] + [(f"from {printable(origin['name'], _NAME)}", origin) for origin in origins]
    for name, row in rows:
        missing = row["live"] - row["covered"]
        table.add_row(
            Text(name, style="bold" if row is node else ""),
            str(row["live"]),
            Text(str(row["covered"]), style="red" if missing else "green"),
            *(_share(row[f"coverage_{window}"]) for window in ("1m", "1h", "24h")),
        )
    words = [f"longest wait {_seconds(node['worst_gap_s'])}", f"{node['breaches_1h']} promises broken in an hour"]
    if node["connecting"]:
        words.append(f"{node['connecting']} never live")
    return Group(table, Text(" · ".join(words), style="dim"))


def _uncovered(answer: dict[str, Any], uncovered: list[dict[str, Any]], most: int, *, wide: bool) -> RenderableType:
    total = answer["node"]["uncovered"]
    if not total:
        said, style = _nothing_uncovered(answer["node"])
        return Panel(Text(said, style=style), title="uncovered now: 0", title_align="left")
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("stream", no_wrap=True, overflow="ellipsis", ratio=3)
    for column, least in (("reason", 11), ("for", 8), ("last frame", 16), ("1 h", 8), ("broken", 6)):
        table.add_column(column, no_wrap=True, min_width=least)
    if wide:
        table.add_column("what is said of it", no_wrap=True, overflow="ellipsis", ratio=2)
    shown = uncovered[: most if len(uncovered) <= most and total == len(uncovered) else max(most - 1, 1)]
    for stream in shown:
        table.add_row(
            printable(stream["stream"], _NAME),
            Text(stream["reason"] or "", style="bold red"),
            _ago(answer["at"], stream["since"]),
            "" if stream["gap_now_s"] is None else _gap(stream),
            _share(stream["coverage_1h"]),
            f"{stream['breaches_1h']}x",
            *([Text(printable(stream["detail"], 80), style="dim")] if wide else []),
        )
    more = total - len(shown)
    body: RenderableType = Group(table, Text(f"and {more} more", style="dim")) if more else table
    return Panel(body, title=f"uncovered now: {total}", title_align="left", border_style="red")


def _nothing_uncovered(node: dict[str, Any]) -> tuple[str, str]:
    """What it means that nothing is uncovered, in words and a style: safety, or silence."""
    if node["live"]:
        return "every live stream is covered", "green"
    if node["coverage_24h"] is not None:
        return "no stream is live now", "yellow"
    waited = f"; streams waited for: {node['connecting']}" if node["connecting"] else ""
    return f"nothing was live{waited}", "yellow"


def _gaps(waiting: list[dict[str, Any]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, max_width=_NAME)
    table.add_column(no_wrap=True)
    for stream in waiting:
        table.add_row(printable(stream["stream"], _NAME), _wait(stream))
    return table


def _wait(stream: dict[str, Any]) -> Text:
    """A bar that is full when the promise is broken."""
    gap_s, promise_s = stream["gap_now_s"], stream["max_gap_s"]
    if gap_s is None:
        return Text("")
    filled = min(round(gap_s / promise_s * _BAR), _BAR)
    style = "green" if gap_s <= promise_s else "red"
    return Text.assemble(("━" * filled, style), ("─" * (_BAR - filled), "dim"), f" {_gap(stream)}")


def _gap(stream: dict[str, Any]) -> str:
    return f"{_seconds(stream['gap_now_s'])} of {_seconds(stream['max_gap_s'])}"


def _share(ratio: float | None) -> Text:
    if ratio is None:  # nothing was live
        return Text("-", style="dim")
    style = "green" if ratio >= _GOOD else "yellow" if ratio >= _FAIR else "red"
    return Text(f"{_down(ratio * 100)} %", style=style)


def _down(percent: float) -> str:
    """Rounded down: 100 % is said of nothing less."""
    return f"{int(percent * 100) / 100:.2f}"


def _ago(now: str, since: str) -> str:
    return _seconds(max((datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds(), 0.0))


def _seconds(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"
