"""Logs to damage: lines as they are written, and what hands can do to them."""

from __future__ import annotations

from typing import Any

from streamwatch.audit.chain import GENESIS, Tip, line

AT = "2026-11-21T10:00:00.000Z"


def written(count: int, *, after: Tip | None = None, kind: str = "command.accepted", **facts: Any) -> list[bytes]:
    """So many lines, from the first one or after another one."""
    tip, lines = after or Tip(0, GENESIS), []
    for number in range(count):
        one, tip = line(tip, at=AT, kind=kind, facts={"verb": "verdict", "number": number, **facts})
        lines.append(one)
    return lines


def tip_of(lines: list[bytes]) -> Tip:
    """Where they end."""
    number = int(lines[-1].partition(b'"n":')[2].partition(b",")[0])
    return Tip(number, lines[-1][-67:-3].decode())
