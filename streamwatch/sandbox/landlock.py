"""Landlock: what this process can no longer do to files, read, and connect to, whatever its code does.

It covers the calling thread and what that thread starts, never threads that already run: so it is entered before
numpy, av, cv2 or onnxruntime is imported, each of which may start one, and the layer refuses a process that has more
than one. Each layer here is a ruleset of its own; the kernel asks all of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from streamwatch.sandbox import kernel
from streamwatch.sandbox.grant import Grant
from streamwatch.sandbox.report import LayerState, why

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_TRUNCATE = 1 << 14
_REFER = 1 << 13
_IOCTL_DEV = 1 << 15
_CHANGES = 0b1_1111_1111_0010
"""WRITE_FILE, REMOVE_DIR, REMOVE_FILE and the seven kinds of MAKE_*: all of ABI 1 that change a file system."""
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_FS_BY_ABI = ((1, _CHANGES), (2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
_NET_ABI, _BIND_TCP, _CONNECT_TCP = 4, 1 << 0, 1 << 1
_SCOPE_ABI = 6
_SCOPE_ABSTRACT_SOCKETS = 1 << 0
_SCOPE_SIGNALS = 1 << 1


def write_rights(abi: int) -> int:
    """Every write-like right that an ABI knows, as `handled_access_fs`."""
    rights = 0
    for since, bits in _FS_BY_ABI:
        if abi >= since:
            rights |= bits
    return rights


def _covers(abi: int, writable: Sequence[str] = ()) -> str:
    missing = [name for since, name in ((2, "moving"), (3, "truncating"), (5, "device ioctls")) if abi < since]
    where = f"only below {', '.join(writable)}" if writable else "nothing can be written"
    return f"ABI {abi}: {where}" + (f"; this kernel cannot forbid {', '.join(missing)}" * bool(missing))


class NoWrites:
    """No write-like right on any file but below `writable`: folders, or single files such as a device."""

    name = "landlock"
    required = True

    def __init__(self, writable: Sequence[str] = ()) -> None:
        self._writable = tuple(writable)

    def apply(self) -> LayerState:
        """Restrict this process, and prove it by a write that must fail."""
        with os.scandir("/proc/self/task") as tasks:
            threads = len(list(tasks))
        if threads > 1:
            return LayerState(self.name, in_force=False, detail=f"{threads} threads run already; it would miss them")
        try:
            abi = kernel.landlock_abi()
            rights = write_rights(abi)
            with _ruleset(fs=rights) as ruleset:
                _allow(ruleset, rights, self._writable)
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        if _can_write():
            return LayerState(self.name, in_force=False, detail="the kernel accepted it, and writing still works")
        return LayerState(self.name, in_force=True, detail=_covers(abi, self._writable))

    def probe(self) -> LayerState:
        """Ask the kernel for its ABI."""
        try:
            return LayerState(self.name, in_force=True, detail=_covers(kernel.landlock_abi(), self._writable))
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))


class OnlyReads:
    """Nothing can be read but the interpreter, libraries and what else `paths` names; nothing can be executed."""

    name = "reading"
    required = False

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(paths)

    def apply(self) -> LayerState:
        """Restrict this process. Paths that are not there are passed over."""
        rights = _READ_FILE | _READ_DIR
        try:
            with _ruleset(fs=rights | _EXECUTE) as ruleset:
                _allow(ruleset, rights, self._paths)
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        return LayerState(self.name, in_force=True, detail=self._said())

    def probe(self) -> LayerState:
        """Every ABI has it."""
        try:
            kernel.landlock_abi()
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        return LayerState(self.name, in_force=True, detail=self._said())

    def _said(self) -> str:
        if "/" in self._paths:
            return "everything can be read, nothing executed"
        return "interpreter, libraries, certificates and what was granted; nothing executed"


class TcpPorts:
    """No server, and connections to the granted ports alone: the second net under the filter of system calls."""

    name = "tcp_ports"
    required = False

    def __init__(self, grant: Grant) -> None:
        self._ports = grant.ports

    def apply(self) -> LayerState:
        """Restrict this process, where the kernel can."""
        known = self.probe()
        if not known.in_force:
            return known
        rights = _BIND_TCP if self._ports is None else _BIND_TCP | _CONNECT_TCP
        try:
            with _ruleset(net=rights) as ruleset:
                for port in self._ports or ():
                    kernel.landlock_allow_port(ruleset, rights=_CONNECT_TCP, port=port)
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        return known

    def probe(self) -> LayerState:
        """From ABI 4."""
        ports = self._ports
        to = "any port" if ports is None else f"ports {', '.join(map(str, ports))}" if ports else "no port"
        return _since(_NET_ABI, self.name, "Linux 6.7", f"no server; connections to {to}")


class Scopes:
    """No signal to a process outside, and no connection to its abstract sockets."""

    name = "scopes"
    required = False

    def apply(self) -> LayerState:
        """Restrict this process, where the kernel can."""
        known = self.probe()
        if not known.in_force:
            return known
        try:
            with _ruleset(scoped=_SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS):
                pass
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        return known

    def probe(self) -> LayerState:
        """From ABI 6."""
        return _since(_SCOPE_ABI, self.name, "Linux 6.12", "signals and abstract sockets stay inside")


@contextmanager
def _ruleset(*, fs: int = 0, net: int = 0, scoped: int = 0) -> Iterator[int]:
    """A ruleset that denies these rights, to be given its exceptions; in force when the block ends well."""
    kernel.no_new_privileges()
    size = 24 if scoped else 16 if net else 8
    ruleset = kernel.landlock_ruleset(fs=fs, net=net, scoped=scoped, size=size)
    try:
        yield ruleset
        kernel.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, rights: int, paths: Iterable[str]) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            kernel.landlock_allow_path(ruleset, rights=rights if folder else rights & _OF_A_FILE, descriptor=descriptor)
        finally:
            os.close(descriptor)


def _since(abi: int, name: str, linux: str, covers: str) -> LayerState:
    try:
        have = kernel.landlock_abi()
    except OSError as error:
        return LayerState(name, in_force=False, detail=_missing(error))
    if have < abi:
        return LayerState(name, in_force=False, detail=f"needs Landlock ABI {abi} ({linux}); this kernel has {have}")
    return LayerState(name, in_force=True, detail=covers)


def _missing(error: OSError) -> str:
    return f"this kernel (or container) offers no Landlock: {why(error)}; Linux 5.13 or newer with lsm=…,landlock does"


def _can_write() -> bool:
    """Whether something opens for writing that nobody needs; opening harms nothing."""
    try:
        os.close(os.open("/dev/zero", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
