"""How a replay looks on a terminal: sums by rule and stream, then what differs, one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamwatch.app.replay import Did, Replayed, Would
from streamwatch.cli.alerts_words import moment
from streamwatch.domain.decisions import RuleSpec
from streamwatch.domain.urls import printable

_NAME = 40
_LISTED = 20
_ROWS = 50


@dataclass(slots=True)
class _Sum:
    """Of one rule on one stream."""

    would: int = 0
    did: int = 0
    new: int = 0
    gone: int = 0
    gone_confirmed: int = 0
    unknown: int = 0


def draw(
    replayed: Replayed, woulds: Sequence[Would], dids: Sequence[Did], rules: Mapping[str, RuleSpec]
) -> RenderableType:
    """The whole picture."""
    first = min(span[0] for span in replayed.spans.values())
    last = max(span[1] for span in replayed.spans.values())
    head = f"{replayed.frames} frames of {len(replayed.spans)} streams, {moment(first)[:19]} to {moment(last)[:19]} UTC"
    sums = _sums(woulds, dids)
    if not sums:
        return Group(Text(head), Text("nothing would have opened, and nothing did"))
    parts: list[RenderableType] = [Text(head), _table(sums)]
    parts += _list("would have opened, and did not", [_would(one) for one in woulds if one.did is False])
    parts += _list("did open, and would not have", [_did(one, rules) for one in dids if one.would is False])
    return Group(*parts)


def _sums(woulds: Sequence[Would], dids: Sequence[Did]) -> dict[tuple[str, str], _Sum]:
    sums: dict[tuple[str, str], _Sum] = {}
    for would in woulds:
        one = sums.setdefault((would.opening.rule, would.opening.stream), _Sum())
        one.would += 1
        one.new += would.did is False
        one.unknown += would.did is None
    for did in dids:
        one = sums.setdefault((did.alert.rule, did.alert.stream), _Sum())
        one.did += 1
        one.gone += did.would is False
        one.gone_confirmed += did.would is False and did.alert.fate == "confirmed"
        one.unknown += did.would is None
    return dict(sorted(sums.items()))


def _table(sums: Mapping[tuple[str, str], _Sum]) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for column in ("rule", "stream"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for column in ("would open", "did open", "new", "gone", "of them confirmed", "not known"):
        table.add_column(column, justify="right", no_wrap=True)
    shown = sorted(sums, key=lambda key: (-(sums[key].new + sums[key].gone), key))[:_ROWS]
    for rule, stream in sorted(shown):
        one = sums[rule, stream]
        table.add_row(
            printable(rule, _NAME),
            printable(stream, _NAME),
            str(one.would),
            str(one.did),
            Text(str(one.new), style="yellow" if one.new else ""),
            Text(str(one.gone), style="yellow" if one.gone else ""),
            Text(str(one.gone_confirmed), style="bold red" if one.gone_confirmed else ""),
            Text(str(one.unknown), style="dim"),
        )
    more = len(sums) - len(shown)
    return Group(table, Text(f"and {more} more, which differ less", style="dim")) if more else table


def _list(heading: str, lines: list[Text]) -> list[RenderableType]:
    if not lines:
        return []
    more = (
        [Text(f"  and {len(lines) - _LISTED} more; --json has them all", style="dim")] if len(lines) > _LISTED else []
    )
    return [Text(f"{heading}: {len(lines)}", style="bold"), *lines[:_LISTED], *more]


def _would(would: Would) -> Text:
    one = would.opening
    return Text(
        f"  {moment(one.first)[:19]}  {printable(one.rule, _NAME)} on {printable(one.stream, _NAME)}: score "
        f"{one.score:.2f}, {one.hits} frames, for {max(one.last - one.first, 0.0):.0f} s"
    )


def _did(did: Did, rules: Mapping[str, RuleSpec]) -> Text:
    one = did.alert
    why = "" if one.rule in rules else ", whose rule is no more"
    style = "bold red" if one.fate == "confirmed" else ""
    words = (
        f"  {moment(one.first)[:19]}  {printable(one.rule, _NAME)} on {printable(one.stream, _NAME)}: {one.alert_id}"
    )
    return Text(f"{words}{why}, {one.fate}", style=style)
