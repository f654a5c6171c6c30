"""Writes an audit log until it is killed, and says each line that is durable: `python -m tests.audit.writer FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from streamwatch.audit.log import AuditLog, Fact
from tests.audit.book import AT


def main() -> None:
    """Write for ever."""
    log = AuditLog(Path(sys.argv[1]), segment_bytes=20_000)
    number = 0
    while True:
        number += 1
        log.append(
            *(Fact(AT, "a.kind", {"number": number, "pad": "x" * (number % 120)}) for _ in range(1 + number % 3))
        )
        sys.stdout.write(f"{log.tip.n}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
