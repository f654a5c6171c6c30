"""What the process gives up by prctl and resource limits: new privileges, dumps, being traced, growing files."""

from __future__ import annotations

import os
import resource
import signal

from streamwatch.sandbox import kernel
from streamwatch.sandbox.report import LayerState, why


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
