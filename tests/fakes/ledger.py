"""The ledger in memory, with switches for a disk that refuses."""

from __future__ import annotations

from typing import Any

from streamwatch.domain.errors import LedgerError
from streamwatch.ledger.memory import MemoryLedger

GUARDED = frozenset(name for name in vars(MemoryLedger) if not name.startswith("_"))
WRITING = frozenset(
    {
        "commit",
        "offer",
        "acknowledged",
        "owe_again",
        "remember",
        "answered",
        "prune",
        "save_books",
        "tend",
        "keep_samples",
    }
)


class FakeLedger(MemoryLedger):
    """While `broken`, every call raises LedgerError; while `unwritable` (a full disk), every call that writes."""

    broken = False
    unwritable = False

    def __getattribute__(self, name: str) -> Any:
        if (name in GUARDED and self.broken) or (name in WRITING and self.unwritable):
            raise LedgerError("the disk refuses")
        return super().__getattribute__(name)

    def close(self) -> None:
        self.broken = True
