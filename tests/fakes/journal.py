"""An audit log in memory, and a disk that can be full."""

from __future__ import annotations

from typing import Any

from streamwatch.audit.chain import Entry, Tip, line, read
from streamwatch.audit.log import AuditError, Fact


class FakeJournal:
    """Keeps lines as the log writes them."""

    def __init__(self, *before: bytes) -> None:
        self.lines: list[bytes] = list(before)
        self.last: Entry | None = read(before[-1]) if before else None
        self.tip = Tip(self.last.n, self.last.hash) if self.last else Tip()
        self.full = False
        self.attempts = 0
        self.aged: list[tuple[str, str]] = []
        self.closed = False

    def open(self) -> None:
        self._try()

    def append(self, *facts: Fact) -> None:
        self._try()
        for fact in facts:
            one, self.tip = line(self.tip, at=fact.at, kind=fact.kind, facts=fact.facts)
            self.lines.append(one)

    def age(self, *, at: str, delete: str, close: str) -> int:
        self._try()
        self.aged.append((delete, close))
        return 0

    def close(self) -> None:
        self.closed = True

    def _try(self) -> None:
        self.attempts += 1
        if self.full:
            raise AuditError("the audit log cannot be written: No space left on device")

    # --- what tests ask ---

    @property
    def entries(self) -> list[Entry]:
        return [read(data) for data in self.lines]

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries]

    def facts(self, kind: str) -> list[dict[str, Any]]:
        return [dict(entry.facts) for entry in self.entries if entry.kind == kind]
