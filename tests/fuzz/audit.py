"""Lines of an audit log that somebody had in hands, and checkpoints as a stranger may have kept them."""

from __future__ import annotations

import functools

from streamwatch.audit.chain import MAX_LINE, Tip, Unreadable, line, read
from streamwatch.audit.checkpoint import MAX_BYTES, checkpoint, compare, wanted
from streamwatch.audit.checkpoint import read as read_checkpoint
from streamwatch.audit.verification import RETENTION, verify
from tests.fuzz.engine import Target

_AT = "2026-11-21T10:00:00.000Z"


@functools.cache
def _log() -> tuple[bytes, ...]:
    tip, lines = Tip(), []
    for number, kind in enumerate(("daemon.started", "alert.opened", "verdict.given", RETENTION, "a", "b")):
        facts = {"n": 1, "hash": lines[0][-67:-3].decode()} if kind == RETENTION else {"who": "anna", "x": [number, {}]}
        one, tip = line(tip, at=_AT, kind=kind, facts=facts)
        lines.append(one)
    return tuple(lines)


def check_line(data: bytes) -> None:
    """What is read is written again as it was."""
    try:
        entry = read(data)
    except Unreadable as why:
        assert str(why)
        return
    assert len(data) <= MAX_LINE
    again, tip = line(Tip(entry.n - 1, entry.prev), at=entry.at, kind=entry.kind, facts=entry.facts)
    assert tip.hash == entry.hash or again != data, "two lines with one hash"
    assert entry.hash.encode() in data


def check_log(data: bytes) -> None:
    """A damaged log is sound only if nothing is missing but its tail, or its head where a line tells of it."""
    parts = data.split(b"\n")
    lines = [part + b"\n" for part in parts[:-1]] + [part for part in parts[-1:] if part]
    point = checkpoint(Tip(6, _log()[-1][-67:-3].decode()), node="n", boot_id="b", at=_AT, lines=1)
    found = verify(lines, wanted=wanted([point]))
    assert all(1 <= damage.line <= max(len(lines), 1) for damage in found.damages)
    assert all(len(str(damage)) < 400 for damage in found.damages)
    if found.damages:
        return
    log, told = list(_log()), len(lines) and lines[0] == _log()[1]
    assert lines == log[: len(lines)] or (told and lines == log[1 : 1 + len(lines)] and log[3] in lines)
    assert bool(compare(found, [point])) is (not lines or lines[-1] != log[-1])


def check_checkpoint(data: bytes) -> None:
    try:
        point = read_checkpoint(data)
    except Unreadable:
        return
    assert len(point.payload()) <= MAX_BYTES
    assert read_checkpoint(point.payload()) == point
    for damage in compare(verify(_log(), wanted=wanted([point])), [point]):
        assert len(str(damage)) < 400


def _points() -> list[bytes]:
    points = [checkpoint(Tip(n, "a" * 64), node="edge-1", boot_id="b", at=_AT, lines=n) for n in (0, 3, 9)]
    return [*(point.payload() for point in points), b"streamwatch/v1/edge-1/audit " + points[1].payload() + b"\n"]


TARGETS = (
    Target("audit-lines", check_line, lambda: list(_log()), ("audit.chain",)),
    Target(
        "audit-log", check_log, lambda: [b"".join(_log()), b"".join(_log()[1:])], ("audit.verification",), brief=2000
    ),
    Target("audit-checkpoints", check_checkpoint, _points, ("audit.checkpoint",)),
)
