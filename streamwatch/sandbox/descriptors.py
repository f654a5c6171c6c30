"""Which descriptors a watcher keeps: its output pipes and the link. What another process left open, it cannot use."""

from __future__ import annotations

import os
from collections.abc import Collection

from streamwatch.sandbox import kernel
from streamwatch.sandbox.report import LayerState, why

_OUTPUT = (1, 2)
_LAST = 0xFFFF_FFFF


class OnlyKnownDescriptors:
    """Close everything but stdout, stderr and `keep`; stdin becomes /dev/null, read-only."""

    name = "descriptors"
    required = False

    def __init__(self, keep: Collection[int]) -> None:
        self._kept = sorted({*_OUTPUT, *keep})

    def apply(self) -> LayerState:
        """Close, then list what is left. Runs while there is one thread, so nothing opens in between."""
        try:
            self._stdin()
            self._close()
            for kept in set(self._kept) - {*_OUTPUT}:
                os.set_inheritable(kept, False)  # noqa: FBT003 - the link is ours, not of a program that we might start
            extra = _open_descriptors() - {0, *self._kept}
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=why(error))
        if extra:
            return LayerState(self.name, in_force=False, detail=f"still open: {sorted(extra)[:10]}")
        return LayerState(self.name, in_force=True, detail="open: output and link")

    def probe(self) -> LayerState:
        """Closing always works."""
        return LayerState(self.name, in_force=True)

    def _stdin(self) -> None:
        """Descriptor 0 stays taken, so that no connection is ever given that number."""
        if 0 in self._kept:
            return
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        if nothing != 0:
            os.dup2(nothing, 0, inheritable=False)
            os.close(nothing)

    def _close(self) -> None:
        first = 1
        for kept in [*self._kept, _LAST]:
            if kept > first:
                _close_between(first, kept - 1)
            first = kept + 1


def _close_between(first: int, last: int) -> None:
    """By one system call, or one by one on a kernel before 5.9 or a machine whose numbers are unknown."""
    try:
        kernel.close_range(first, last)
    except OSError:
        for descriptor in _open_descriptors():
            if first <= descriptor <= last:
                os.close(descriptor)


def _open_descriptors() -> set[int]:
    """What is open, less the descriptor that lists it."""
    with os.scandir("/proc/self/fd") as entries:
        descriptors = [int(entry.name) for entry in entries]
    listed = set()
    for descriptor in descriptors:
        try:
            os.fstat(descriptor)
        except OSError:
            continue  # the listing's own, closed by now
        listed.add(descriptor)
    return listed
