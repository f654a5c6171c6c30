"""The few system calls that Python does not offer, through ctypes; no other file of this room knows a number."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
from collections.abc import Sequence

from streamwatch.sandbox.bpf import Instruction

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

# Numbers above 423 are the same on every architecture; the machines that we test are named all the same.
MACHINES = ("x86_64", "aarch64")
_CLOSE_RANGE = 436
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_SECCOMP = {"x86_64": 317, "aarch64": 277}

_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39

_PR_CAPBSET_DROP = 24

_LANDLOCK_VERSION = 1 << 0
_LANDLOCK_PATH_BENEATH = 1
_LANDLOCK_NET_PORT = 2

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_GET_ACTION_AVAIL = 2
_SECCOMP_TSYNC = 1 << 0
_SECCOMP_RET_ERRNO = 0x0005_0000

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAPABILITY_VERSION_3 = 0x2008_0522


class _RulesetAttr(ctypes.Structure):
    """`struct landlock_ruleset_attr`; older kernels take its first 8 or 16 bytes."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPortAttr(ctypes.Structure):
    """`struct landlock_net_port_attr`."""

    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


class _SockFilter(ctypes.Structure):
    """`struct sock_filter`."""

    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _SockFprog(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_SockFilter)))


class _CapHeader(ctypes.Structure):
    """`struct __user_cap_header_struct`."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    """`struct __user_cap_data_struct`."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


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


def landlock_allow_path(ruleset: int, *, rights: int, descriptor: int) -> None:
    """Allow these rights on what an open descriptor names, and below it. Rights of folders are refused for a file."""
    attr = _PathBeneathAttr(rights, descriptor)
    _syscall(
        _LANDLOCK_ADD_RULE,
        ctypes.c_int(ruleset),
        ctypes.c_int(_LANDLOCK_PATH_BENEATH),
        ctypes.byref(attr),
        ctypes.c_uint32(0),
    )


def landlock_allow_port(ruleset: int, *, rights: int, port: int) -> None:
    """Allow these network rights on one TCP port. ABI 4."""
    attr = _NetPortAttr(rights, port)
    _syscall(
        _LANDLOCK_ADD_RULE,
        ctypes.c_int(ruleset),
        ctypes.c_int(_LANDLOCK_NET_PORT),
        ctypes.byref(attr),
        ctypes.c_uint32(0),
    )


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


def seccomp_filter(program: Sequence[Instruction]) -> None:
    """Put a filter of system calls in force in all threads of this process. Needs no-new-privileges."""
    instructions = (_SockFilter * len(program))(*(_SockFilter(*instruction) for instruction in program))
    fprog = _SockFprog(len(program), instructions)
    thread = _syscall(
        _seccomp(), ctypes.c_uint(_SECCOMP_SET_MODE_FILTER), ctypes.c_uint(_SECCOMP_TSYNC), ctypes.byref(fprog)
    )
    if thread > 0:
        raise OSError(0, f"thread {thread} has a filter of its own")


def seccomp_knows_errno() -> None:
    """Raise OSError where the kernel has no filters, or cannot answer a call with an error."""
    action = ctypes.c_uint32(_SECCOMP_RET_ERRNO)
    _syscall(_seccomp(), ctypes.c_uint(_SECCOMP_GET_ACTION_AVAIL), ctypes.c_uint(0), ctypes.byref(action))


def _seccomp() -> int:
    return _SECCOMP.get(platform.machine(), 0)


def lock_memory() -> None:
    """Keep all memory of this process, as soon as it is touched, out of swap. The limit must have been raised."""
    flags = _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT
    if _LIBC.mlockall(ctypes.c_int(flags)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def unlimited_locking() -> None:
    """Raise the limit of locked memory to none. Raises OSError or ValueError without the right to."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def keep_capabilities(kept: int) -> int:
    """Give up every capability that is not in this set of bits, for good. Returns those that are left, as bits."""
    for number in range(64):
        if not kept >> number & 1 and _LIBC.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) < 0:
            break  # beyond the newest, or not ours to drop: then there is nothing to gain by exec either
    header, data = _CapHeader(_CAPABILITY_VERSION_3, 0), (_CapData * 2)()
    if _LIBC.capget(ctypes.byref(header), data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for word in range(2):
        bits = kept >> 32 * word & 0xFFFF_FFFF
        data[word].effective &= bits
        data[word].permitted &= bits
        data[word].inheritable = 0
    if _LIBC.capset(ctypes.byref(header), data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(data[0].permitted) | int(data[1].permitted) << 32
