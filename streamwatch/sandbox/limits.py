"""What the process gives up by prctl and resource limits: new privileges, dumps, being traced, growing files."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

from streamwatch.sandbox import kernel
from streamwatch.sandbox.report import LayerState, why

_CAP_DAC_READ_SEARCH = 1 << 2
"""Models may belong to another user."""
_MAPPED = 4 * 2**30
"""Bytes mapped and hardly touched: 0.8 GB of libraries, 64 MiB for each of the C library's arenas, 8 MiB a stack."""
_SWAP = "memory may be swapped out: give the service LimitMEMLOCK=infinity or MemorySwapMax=0, or switch swap off"


class NoNewPrivileges:
    """No exec of a set-user-id program gains anything; Landlock and seccomp stand on it."""

    name = "no_new_privileges"
    required = False

    def apply(self) -> LayerState:
        """Set it and read it back."""
        try:
            return LayerState(self.name, in_force=kernel.no_new_privileges())
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=why(error))

    def probe(self) -> LayerState:
        """Every kernel since Linux 3.5 has it."""
        return LayerState(self.name, in_force=True)


class NoDumps:
    """No core file, no core sent to a crash collector, no debugger: memory that held a picture cannot leave.

    Both halves are needed: where cores go to a program (`|` in core_pattern) the kernel ignores a limit of 0 and
    honours only the dumpable flag, which also closes /proc/PID/mem and ptrace to other processes of the same user.
    """

    name = "no_dumps"
    required = False

    def apply(self) -> LayerState:
        """Set both and read them back."""
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            closed = kernel.not_dumpable() and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=why(error))
        return LayerState(self.name, in_force=closed, detail=_tracers())

    def probe(self) -> LayerState:
        """Every kernel has it; who may still trace is told."""
        return LayerState(self.name, in_force=True, detail=_tracers())


def _tracers() -> str:
    return "root can still trace it" if os.geteuid() == 0 else ""


class NoFileGrowth:
    """Not one byte into a regular file or a memory file, also through a descriptor that was open before."""

    name = "no_file_growth"
    required = False

    def apply(self) -> LayerState:
        """Limit file size to 0; the signal that would kill is ignored, so that writing fails with an error."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=why(error))
        return LayerState(self.name, in_force=True)

    def probe(self) -> LayerState:
        """Every kernel has it."""
        return LayerState(self.name, in_force=True)


class DescriptorRoom:
    """The opposite of a limit: as many descriptors as the system allows us, since every stream needs one or two."""

    name = "descriptor_room"
    required = False

    def apply(self) -> LayerState:
        """Raise the soft limit to the hard one."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            return LayerState(self.name, in_force=False, detail=str(error))
        return LayerState(self.name, in_force=True, detail=f"{hard} descriptors")

    def probe(self) -> LayerState:
        """The hard limit of the process that asks."""
        return LayerState(
            self.name, in_force=True, detail=f"{resource.getrlimit(resource.RLIMIT_NOFILE)[1]} descriptors"
        )


class FewerRights:
    """Of root's rights, those to read files of others alone: as many as a watcher started by anyone else would need."""

    name = "capabilities"
    required = False

    def apply(self) -> LayerState:
        """Give up the rest, for good."""
        if os.geteuid() != 0:
            return self.probe()
        try:
            left = kernel.keep_capabilities(_CAP_DAC_READ_SEARCH)
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=why(error))
        return LayerState(self.name, in_force=left & ~_CAP_DAC_READ_SEARCH == 0, detail="root's, but for reading")

    def probe(self) -> LayerState:
        """Whoever is not root has none to give up."""
        return LayerState(self.name, in_force=True, detail="" if os.geteuid() == 0 else "not root: it has none")


class NoSwap:
    """Memory that held a picture is never written to a swap device."""

    name = "no_swap"
    required = False

    def __init__(self, swaps: str = "/proc/swaps") -> None:
        self._swaps = swaps

    def apply(self) -> LayerState:
        """Lock all memory, where there is any swap at all: locked memory is given back to the system less willingly."""
        if not self._any():
            return self.probe()
        try:
            kernel.unlimited_locking()
            kernel.lock_memory()
        except (OSError, ValueError):
            return LayerState(self.name, in_force=False, detail=_SWAP)
        return LayerState(self.name, in_force=True, detail="memory is locked")

    def probe(self) -> LayerState:
        """By what the machine has, and whether this user may lock."""
        if not self._any():
            return LayerState(self.name, in_force=True, detail="this machine swaps to no device")
        unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] == resource.RLIM_INFINITY
        if unlimited or os.geteuid() == 0:
            return LayerState(self.name, in_force=True, detail="memory can be locked")
        return LayerState(self.name, in_force=False, detail=_SWAP)

    def _any(self) -> bool:
        try:
            lines = Path(self._swaps).read_bytes().splitlines()
        except OSError:
            return True  # it cannot be seen: as if there were
        return len(lines) > 1


class AddressSpace:
    """A bound for what one process may map, far over what it needs: a bomb ends it, not the machine.

    The fleet judges by resident memory, once a second. This is for what happens within one: it holds whatever a
    decoder asks for at once. Memory that is mapped and never touched counts as well: libraries, stacks, arenas.
    """

    name = "address_space"
    required = False

    def __init__(self, memory: int) -> None:
        """`memory`: resident bytes that are allowed."""
        self._limit = 2 * memory + _MAPPED

    def apply(self) -> LayerState:
        """Set it, unless a lower one is set already."""
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = min(one for one in (self._limit, soft, hard) if one != resource.RLIM_INFINITY)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        except (OSError, ValueError) as error:
            return LayerState(self.name, in_force=False, detail=str(error))
        return LayerState(self.name, in_force=True, detail=f"{limit // 2**20} MiB")

    def probe(self) -> LayerState:
        """Every kernel has it."""
        return LayerState(self.name, in_force=True, detail=f"{self._limit // 2**20} MiB")
