"""Landlock: no file of this machine can be written, made, moved or removed by this process any more.

It covers the calling thread and what that thread starts, never threads that already run: so it is entered before
numpy, av, cv2 or onnxruntime is imported, each of which may start one, and the layer refuses a process that has more
than one. Reading stays free here.
"""

from __future__ import annotations

import os

from streamwatch.sandbox import kernel
from streamwatch.sandbox.report import LayerState, why

# Rights by the ABI that brought them. Everything that changes a file system, and device ioctls, which change devices.
_WRITE_FILE = 1 << 1
_REMOVE_DIR = 1 << 4
_REMOVE_FILE = 1 << 5
_MAKE_CHAR = 1 << 6
_MAKE_DIR = 1 << 7
_MAKE_REG = 1 << 8
_MAKE_SOCK = 1 << 9
_MAKE_FIFO = 1 << 10
_MAKE_BLOCK = 1 << 11
_MAKE_SYM = 1 << 12
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15

_FS_BY_ABI = (
    (
        1,
        _WRITE_FILE
        | _REMOVE_DIR
        | _REMOVE_FILE
        | _MAKE_CHAR
        | _MAKE_DIR
        | _MAKE_REG
        | _MAKE_SOCK
        | _MAKE_FIFO
        | _MAKE_BLOCK
        | _MAKE_SYM,
    ),
    (2, _REFER),
    (3, _TRUNCATE),
    (5, _IOCTL_DEV),
)
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


def scopes(abi: int) -> int:
    """What an ABI can keep inside: abstract sockets and signals."""
    return _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if abi >= _SCOPE_ABI else 0


def _covers(abi: int) -> str:
    missing = [
        name
        for since, name in ((2, "moving"), (3, "truncating"), (5, "device ioctls"), (6, "signals and abstract sockets"))
        if abi < since
    ]
    return f"ABI {abi}: nothing can be written" + (f"; this kernel cannot forbid {', '.join(missing)}" * bool(missing))


class NoWrites:
    """No write-like right on any file, by a ruleset without a single rule."""

    name = "landlock"
    required = True

    def apply(self) -> LayerState:
        """Restrict this process, and prove it by a write that must fail."""
        with os.scandir("/proc/self/task") as tasks:
            threads = len(list(tasks))
        if threads > 1:
            return LayerState(self.name, in_force=False, detail=f"{threads} threads run already; it would miss them")
        try:
            abi = kernel.landlock_abi()
            kernel.no_new_privileges()
            size = 24 if abi >= _SCOPE_ABI else 8
            ruleset = kernel.landlock_ruleset(fs=write_rights(abi), net=0, scoped=scopes(abi), size=size)
            try:
                kernel.landlock_restrict(ruleset)
            finally:
                os.close(ruleset)
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))
        if _can_write():
            return LayerState(self.name, in_force=False, detail="the kernel accepted it, and writing still works")
        return LayerState(self.name, in_force=True, detail=_covers(abi))

    def probe(self) -> LayerState:
        """Ask the kernel for its ABI."""
        try:
            return LayerState(self.name, in_force=True, detail=_covers(kernel.landlock_abi()))
        except OSError as error:
            return LayerState(self.name, in_force=False, detail=_missing(error))


def _missing(error: OSError) -> str:
    return f"this kernel (or container) offers no Landlock: {why(error)}; Linux 5.13 or newer with lsm=…,landlock does"


def _can_write() -> bool:
    """Whether the most harmless of all files opens for writing."""
    try:
        os.close(os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
