"""What a line of the audit log costs here, fsync included: `python -m tests.audit.cost [FOLDER]`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from streamwatch.audit.log import AuditLog, Fact
from streamwatch.audit.segments import Reading
from streamwatch.audit.verification import verify
from tests.audit.book import AT

LINES = 2000
FACTS = {
    "alert_id": "01JABCDEFGHJKMNPQRSTVWXYZ0", "seq": 1, "severity": "high", "rule": "nudity", "kind": "classifier",
    "detector": {"name": "nudity", "version": "1", "sha256": "a" * 64},
}  # fmt: skip


def main() -> None:
    """Write, then read all of it."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        log, spent = AuditLog(Path(folder)), []
        for _ in range(LINES):
            began = time.perf_counter()
            log.append(Fact(AT, "alert.opened", FACTS))
            spent.append((time.perf_counter() - began) * 1000)
        log.close()
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        began = time.perf_counter()
        assert verify(Reading(Path(folder)).lines()).damages == []
        judged = LINES / (time.perf_counter() - began)
    p50, p95, p99 = (statistics.quantiles(spent, n=100)[q - 1] for q in (50, 95, 99))
    sys.stdout.write(f"a line, fsync included: p50 {p50:.2f} ms, p95 {p95:.2f} ms, p99 {p99:.2f} ms\n")
    sys.stdout.write(f"{size / LINES:.0f} bytes a line; {judged:,.0f} lines verified a second\n")


if __name__ == "__main__":
    main()
