"""What a ledger's file holds, read from outside once its daemon has ended; and the disk it lies on."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tests.torture.verdict import Committed

_QUERY = """
SELECT e.alert_id, e.seq, e.event, a.severity, e.body, e.committed_at, e.offered_at
FROM events e JOIN alerts a ON a.id = e.alert_id ORDER BY e.position
"""


def events(folder: Path) -> list[Committed]:
    """Every event, in order of commit."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        return [Committed(*row) for row in db.execute(_QUERY)]


def disk(path: Path) -> str:
    """Device, file system and its options under a path, as /proc/mounts names them."""
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        device, where, kind, options, *_ = line.split()
        if path.resolve().is_relative_to(where) and len(where) >= len(best[0]):
            best = (where, f"{device} ({kind}, {options.partition(',')[0]}) at {where}")
    return best[1]
