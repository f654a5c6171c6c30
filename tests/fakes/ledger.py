"""The ledger in memory, with a switch for a disk that refuses."""

from __future__ import annotations

from typing import Any

from streamwatch.domain.errors import LedgerError
from streamwatch.ledger.memory import MemoryLedger

GUARDED = frozenset(name for name in vars(MemoryLedger) if not name.startswith("_"))


class FakeLedger(MemoryLedger):
    """While `broken`, every call raises LedgerError."""

    broken = False

    def __getattribute__(self, name: str) -> Any:
        if name in GUARDED and self.broken:
            raise LedgerError("the disk refuses")
        return super().__getattribute__(name)

    def close(self) -> None:
        self.broken = True
