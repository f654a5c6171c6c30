"""How coverage looks on a terminal: the node, its origins, what is not covered and why, who waits longest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streamwatch.domain.urls import printable

_BAR, _SHORT_BAR = 16, 6
_NARROW = 80
_FRAME = 4
"""Columns of a panel's frame."""
_COLUMNS = (("reason", 11), ("for", 8), ("last seen something", 19), ("1 h", 8), ("broken", 6))
"""Beside a stream's name, the most important first, and how wide each is at least: the last ones give way to names.
Not "last frame": where a picture shows nothing, frames come and somebody looks."""
_ALWAYS = 2
"""So many of them stay, whatever the names are."""
_SAID = 24
"""What is said of a stream has a column where there is so much room left."""
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
        wrapped = int(width < _NARROW)  # the words below the sums take two lines
        room = max(height - _FRAMES - wrapped - len(origins), 2 * _LEAST)
        gaps = max(min(len(waiting), _GAP_LINES, room - min(len(uncovered) + 1, room - _LEAST)), 0)
        most = max(room - gaps, _LEAST)
    parts: list[RenderableType] = []
    if trouble:
        parts.append(Text(f"{trouble} (below: what it said last)", style="bold red"))
    parts.append(Panel(_sums(answer["node"], origins, width), title=_title(answer), title_align="left"))
    parts.append(_uncovered(answer, uncovered, most, width=width))
    if waiting and gaps:
        bar = _BAR if width >= _NARROW else _SHORT_BAR
        parts.append(Panel(_gaps(waiting[:gaps], bar), title="longest waits among the others", title_align="left"))
    return Group(*parts)


def _title(answer: dict[str, Any]) -> str:
    return f"coverage of {answer['node']['name']} at {answer['at'][11:19]} UTC"


def _sums(node: dict[str, Any], origins: list[dict[str, Any]], width: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("", no_wrap=True)
    for column in ("live", "covered", "1 m", "1 h", "24 h"):
        table.add_column(column, justify="right", no_wrap=True, min_width=8 if width >= _NARROW else None)
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


def _uncovered(answer: dict[str, Any], uncovered: list[dict[str, Any]], most: int, *, width: int) -> RenderableType:
    total = answer["node"]["uncovered"]
    if not total:
        said, style = _nothing_uncovered(answer["node"])
        return Panel(Text(said, style=style), title="uncovered now: 0", title_align="left")
    shown = uncovered[: most if len(uncovered) <= most and total == len(uncovered) else max(most - 1, 1)]
    names = [printable(stream["stream"], _NAME) for stream in shown]
    columns, spare = _fitting(width - _FRAME - max(map(cell_len, names)))
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("stream", no_wrap=True, overflow="ellipsis", ratio=None if spare >= _SAID else 1)
    for column, least in columns:
        table.add_column(column, no_wrap=True, min_width=least)
    if spare >= _SAID:
        table.add_column("what is said of it", no_wrap=True, overflow="ellipsis", ratio=1)
    for name, stream in zip(names, shown, strict=True):
        cells: dict[str, str | Text] = {
            "reason": Text(stream["reason"] or "", style="bold red"),
            "for": _ago(answer["at"], stream["since"]),
            "last seen something": "" if stream["gap_now_s"] is None else _gap(stream),
            "1 h": _share(stream["coverage_1h"]),
            "broken": f"{stream['breaches_1h']}x",
        }
        detail = [Text(printable(stream["detail"], 80), style="dim")] if spare >= _SAID else []
        table.add_row(name, *(cells[column] for column, _ in columns), *detail)
    more = total - len(shown)
    body: RenderableType = Group(table, Text(f"and {more} more", style="dim")) if more else table
    return Panel(body, title=f"uncovered now: {total}", title_align="left", border_style="red")


def _fitting(room: int) -> tuple[list[tuple[str, int]], int]:
    """The columns that fit beside the names, and what they leave; `room`: what the longest name leaves."""
    fitting = []
    for number, (column, least) in enumerate(_COLUMNS):
        if number < _ALWAYS or room > least:
            fitting.append((column, least))
            room -= least + 1
    return fitting, room if len(fitting) == len(_COLUMNS) else 0


def _nothing_uncovered(node: dict[str, Any]) -> tuple[str, str]:
    """What it means that nothing is uncovered, in words and a style: safety, or silence."""
    if node["live"]:
        return "every live stream is covered", "green"
    if node["coverage_24h"] is not None:
        return "no stream is live now", "yellow"
    waited = f"; streams waited for: {node['connecting']}" if node["connecting"] else ""
    return f"nothing was live{waited}", "yellow"


def _gaps(waiting: list[dict[str, Any]], bar: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, max_width=_NAME)
    table.add_column(no_wrap=True)
    for stream in waiting:
        table.add_row(printable(stream["stream"], _NAME), _wait(stream, bar))
    return table


def _wait(stream: dict[str, Any], bar: int) -> Text:
    """A bar that is full when the promise is broken."""
    gap_s, promise_s = stream["gap_now_s"], stream["max_gap_s"]
    if gap_s is None:
        return Text("")
    filled = min(round(gap_s / promise_s * bar), bar)
    style = "green" if gap_s <= promise_s else "red"
    return Text.assemble(("━" * filled, style), ("─" * (bar - filled), "dim"), f" {_gap(stream)}")


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
