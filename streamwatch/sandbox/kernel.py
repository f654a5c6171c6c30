"""The few system calls that Python does not offer, through ctypes; no other file of this room knows a number."""

from __future__ import annotations

import ctypes
import os
import platform

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

# Numbers above 423 are the same on every architecture; the machines that we test are named all the same.
MACHINES = ("x86_64", "aarch64")
_CLOSE_RANGE = 436
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39

_LANDLOCK_VERSION = 1 << 0


class _RulesetAttr(ctypes.Structure):
    """`struct landlock_ruleset_attr`; older kernels take its first 8 or 16 bytes."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


def _syscall(number: int, *arguments: object) -> int:
    if platform.machine() not in MACHINES:
        raise OSError(0, f"system call numbers are known for {' and '.join(MACHINES)}, not {platform.machine()}")
    result: int = _LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, value: int = 0) -> int:
    zero = ctypes.c_ulong(0)
    result: int = _LIBC.prctl(option, ctypes.c_ulong(value), zero, zero, zero)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def landlock_abi() -> int:
    """The highest Landlock ABI of this kernel, 1 or more. Raises OSError where there is none."""
    return _syscall(
        _LANDLOCK_CREATE_RULESET, ctypes.c_void_p(None), ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_VERSION)
    )


def landlock_ruleset(*, fs: int, net: int, scoped: int, size: int) -> int:
    """A descriptor of a ruleset that denies these rights; `size` is how much of the structure the kernel knows."""
    attr = _RulesetAttr(fs, net, scoped)
    return _syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0))


def landlock_restrict(ruleset: int) -> None:
    """Put the ruleset in force for this thread and what it starts. Needs no-new-privileges."""
    _syscall(_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))


def close_range(first: int, last: int) -> None:
    """Close every descriptor from `first` to `last`, both included."""
    _syscall(_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_uint(0))


def no_new_privileges() -> bool:
    """Forbid this thread and what it starts to gain rights by exec; returns whether the kernel agrees."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return _prctl(_PR_GET_NO_NEW_PRIVS) == 1


def not_dumpable() -> bool:
    """No core dump and no attaching by processes without special rights; returns whether the kernel agrees."""
    _prctl(_PR_SET_DUMPABLE, 0)
    return _prctl(_PR_GET_DUMPABLE) == 0


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` to this process when the thread that started it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal)
