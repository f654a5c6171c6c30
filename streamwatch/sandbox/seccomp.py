"""seccomp: the kernel refuses system calls that this process has no use for, in every thread, also those that run."""

from __future__ import annotations

import ctypes
import errno
import os

from streamwatch.sandbox import bpf, calls, kernel
from streamwatch.sandbox.grant import Grant
from streamwatch.sandbox.report import LayerState, why
from streamwatch.sandbox.syscalls import this_machine


class SystemCalls:
    """A filter, by `calls`: a watcher's by its grant, or, without one, the daemon's."""

    name = "system_calls"
    required = True

    def __init__(self, grant: Grant | None) -> None:
        self._grant = grant

    def apply(self) -> LayerState:
        """Install it for all threads, and prove it by a call that must fail."""
        rules = calls.of_the_daemon() if self._grant is None else calls.of_a_watcher(self._grant, pid=os.getpid())
        try:
            kernel.no_new_privileges()
            kernel.seccomp_filter(bpf.program(rules, this_machine()))
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        if _can_trace():
            return LayerState(self.name, in_force=False, detail="the kernel accepted it, and refuses nothing")
        return LayerState(self.name, in_force=True, detail=self._covers())

    def probe(self) -> LayerState:
        """Ask the kernel whether it knows the action that we need, and whether we know this machine."""
        try:
            this_machine()
            kernel.seccomp_knows_errno()
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        return LayerState(self.name, in_force=True, detail=self._covers())

    def _covers(self) -> str:
        if self._grant is None:
            return "no tracing, mounts, namespaces, kernel interfaces"
        ports = self._grant.ports
        reach = "any host" if ports is None else f"ports {', '.join(map(str, ports))}" if ports else "nowhere"
        return f"no process, no file change, no memory file, no kernel interface; sockets: {reach}"


def _missing(error: OSError) -> str:
    return f"this kernel (or container) takes no filter of system calls: {why(error)}"


def _can_trace() -> bool:
    """Whether a call that every filter of ours refuses gets to the kernel, where its nonsense fails otherwise."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(ctypes.c_long(this_machine().numbers["kcmp"]), *(ctypes.c_long(-1),) * 5)
    return ctypes.get_errno() != errno.EPERM
