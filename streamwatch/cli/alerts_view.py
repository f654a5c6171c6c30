"""How alerts look on a terminal: a table of them, and a table of what became of each rule's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamwatch.alerts import ulid
from streamwatch.cli.alerts_words import body_of, moment, span
from streamwatch.domain.urls import printable
from streamwatch.ledger.reading import AlertRow

__all__ = ["counted", "listed", "made", "span"]

_STYLES = {"urgent": "bold red", "high": "red", "low": "yellow", "test": "dim"}
_NAME = 40


def made(alert_id: str) -> str | None:
    """When an alert was named, RFC 3339; None where its id does not say."""
    at = ulid.seconds(alert_id)
    return moment(at).replace(" ", "T") if at else None


_COLUMNS = (("id", 26), ("opened (UTC)", 19), ("severity", 8), ("stream", 12), ("rule", 12), ("stands", 22),
            ("people", 18), ("score", 5), ("broker", 7))  # fmt: skip
"""In the order of their worth, with the least width at which each is of use: an id that is cut is of none."""


def listed(alerts: Sequence[AlertRow], *, now: float, width: int = 200) -> RenderableType:
    """One line an alert; the newest last, where the prompt is. On a narrow terminal some columns are left out."""
    if not alerts:
        return Text("no such alert is kept")
    columns: list[tuple[str, int]] = []
    taken = 0
    for column, least in _COLUMNS:
        if columns and taken + least > width:
            break
        columns.append((column, least))
        taken += least + 2
    table = Table(box=None, pad_edge=False)
    for column, least in columns:
        table.add_column(column, no_wrap=True, min_width=least, overflow="ellipsis")
    for alert in alerts:
        document = body_of(alert.document)
        score = document.get("score")
        opened = made(alert.id)
        cells: dict[str, str | Text] = {
            "id": alert.id,
            "opened (UTC)": "-" if opened is None else opened[:19].replace("T", " "),
            "severity": Text(alert.severity, style=_STYLES.get(alert.severity, "")),
            "stream": printable(alert.stream, _NAME),
            "rule": printable(alert.rule, _NAME),
            "stands": _stands(alert, document, now),
            "people": _people(alert, document),
            "score": f"{score:.2f}" if isinstance(score, int | float) else "-",
            "broker": Text(f"{alert.owed} owed", style="yellow") if alert.owed else "has it",
        }
        table.add_row(*(cells[column] for column, _ in columns))
    return table


def counted(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Rules with the fates of their alerts; those of tests in a table of their own."""
    if not rows:
        return Text("no alert opened in that time, or none is kept")
    parts: list[RenderableType] = []
    for tests in (False, True):
        chosen = [row for row in rows if row["test"] is tests]
        if chosen:
            parts += [Text("tests", style="dim"), _counts(chosen)] if tests else [_counts(chosen)]
    return Group(*parts)


def _counts(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    for column in ("alerts", "open", "confirmed", "dismissed", "undecided", "precision", "95 % between"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        known = row["precision"] is not None
        table.add_row(
            printable(row["rule"], _NAME),
            *(str(row[name]) for name in ("alerts", "open", "confirmed", "dismissed", "undecided")),
            f"{row['precision'] * 100:.0f} % of {row['precision_of']}" if known else "-",
            f"{row['precision_low'] * 100:.0f} and {row['precision_high'] * 100:.0f} %" if known else "-",
        )
    return table


def _stands(alert: AlertRow, document: dict[str, Any], now: float) -> Text:
    since = f" {span(max(now - alert.changed_at, 0.0))} ago"
    if alert.open:
        return Text(f"open, last word{since}", style="" if alert.acknowledged else "bold")
    reason = document.get("close_reason")
    return Text(f"closed{since}{f': {printable(str(reason))}' if reason else ''}", style="dim")


def _people(alert: AlertRow, document: dict[str, Any]) -> Text:
    human = document.get("human")
    if isinstance(human, dict):
        return Text(printable(f"{human.get('verdict')} ({human.get('moderator')})", _NAME))
    return Text("acknowledged") if alert.acknowledged else Text("nobody yet", style="yellow" if alert.open else "dim")
