"""Which stream a watcher was decoding when it died: a few numbers in memory that daemon and watcher share.

A message cannot say it: a decoder that crashes takes unsent words with it, and one that hangs may never come back. So
before it decodes, a watcher writes the number of the assignment (its epoch) into a page that outlives it. The page
holds 64 numbers, never a picture. Standard library only: it is opened before the sandbox is entered.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

VARIABLE = "STREAMWATCH_BLACK_BOX"
"""Environment variable with the number of the descriptor."""
CELLS = 64
_CELL = struct.Struct("<Q")
SIZE = CELLS * _CELL.size


class BlackBoxReader:
    """The daemon's side: makes the page, hands it to a watcher, reads it when that is gone."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("streamwatch-black-box", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, SIZE)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)

    def read(self) -> tuple[int, ...]:
        """Epochs of the looks in progress. What a watcher wrote is only a hint: look each up before believing it."""
        cells = os.pread(self.descriptor, SIZE, 0)  # not mapped here: nothing that a watcher does can fault us
        return tuple(epoch for (epoch,) in _CELL.iter_unpack(cells) if epoch)

    def close(self) -> None:
        """Give the page back once."""
        os.close(self.descriptor)


class BlackBox:
    """The watcher's side. Any thread."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page
        self._free = list(range(CELLS))
        self._lock = threading.Lock()

    @classmethod
    def inherited(cls, environment: Mapping[str, str] = os.environ) -> BlackBox:
        """The page that the daemon gave to this process, its descriptor closed; a private one where it gave none."""
        try:
            descriptor = int(environment.get(VARIABLE, ""))
            page = mmap.mmap(descriptor, SIZE)
        except (ValueError, OSError):
            return cls(mmap.mmap(-1, SIZE))
        os.close(descriptor)
        return cls(page)

    @contextmanager
    def looking(self, epoch: int) -> Iterator[None]:
        """Wrap what parses or decodes bytes of this assignment's stream. Costs about a microsecond."""
        with self._lock:
            cell = self._free.pop() if self._free else None
        if cell is None:
            yield  # more looks at once than cells: the others tell enough
            return
        _CELL.pack_into(self._page, cell * _CELL.size, epoch)
        try:
            yield
        finally:
            _CELL.pack_into(self._page, cell * _CELL.size, 0)
            with self._lock:
                self._free.append(cell)
