"""Which system calls a watcher, and which the daemon, gives up. Pure: what is refused, why, with which error.

Everything else is allowed: interpreter, FFmpeg and onnxruntime make some hundred different calls, and a new version of
any of them may make one more. What is listed is what could carry a picture out, reach another process, or widen the
kernel's surface without any use to us. The list follows the calls that Docker's and systemd's default filters refuse
(moby profiles/seccomp, systemd's @-groups), and what a test of ours found Landlock to let through.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable

from streamwatch.sandbox.bpf import ALLOW, Clause, Has, Is, Judgement, Rules, refuse
from streamwatch.sandbox.grant import Grant

_NO = refuse(errno.EPERM)
_MISSING = refuse(errno.ENOSYS)
_NO_TERMINAL = refuse(errno.ENOTTY)

# fmt: off
_KERNEL = (  # to be changed, loaded into, traced with or set: never ours to do
    "add_key", "request_key", "keyctl", "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf",
    "perf_event_open", "userfaultfd", "fanotify_init", "fanotify_mark", "kexec_load", "kexec_file_load",
    "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff", "syslog", "acct", "settimeofday",
    "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "modify_ldt",
    "personality", "vhangup", "lookup_dcookie", "nfsservctl", "uselib", "sysfs", "_sysctl", "ustat", "quotactl",
    "quotactl_fd",
)
_MOUNTS = (
    "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree",
    "open_tree_attr", "mount_setattr", "statmount", "listmount", "unshare", "setns", "name_to_handle_at",
    "open_by_handle_at",
)
_OTHERS = (  # other processes: their memory, their descriptors, themselves
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp",
)
_SHARED = (  # memory that others can open, or that outlives us
    "memfd_secret", "shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd",
    "msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
)
_FILES = (  # Landlock stops most of these; not attributes, modes, owners and times, nor, before ABI 3, truncating
    "creat", "truncate", "ftruncate", "fallocate", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
    "symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat", "setxattr",
    "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
    "file_setattr",
)
_ONLY_THE_DAEMONS = (
    "fork", "vfork", "execve", "execveat", "memfd_create", "pidfd_open", "pidfd_send_signal", "tkill", "listen",
    "accept", "accept4", "splice", "tee", "vmsplice", "sendfile", "copy_file_range", "inotify_init", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "setfsuid", "setfsgid", "setgroups", "capset", "setrlimit", "seccomp",
    "setpriority", "sched_setparam", "sched_setscheduler", "sched_setattr", "ioprio_set", "migrate_pages", "move_pages",
)
# fmt: on

_CLONE_THREAD = 0x10000
_CLONE_NAMESPACES = 0x7E02_0000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. NEWTIME has no place among clone's flags."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
_TYPE = 0xF  # the rest of a socket's type are SOCK_NONBLOCK and SOCK_CLOEXEC
_MSG_FASTOPEN = 0x2000_0000  # connects
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_IOCTLS = {
    "TCGETS": 0x5401, "TIOCOUTQ": 0x5411, "TIOCGWINSZ": 0x5413, "FIONREAD": 0x541B, "FIONBIO": 0x5421,
    "FIONCLEX": 0x5450, "FIOCLEX": 0x5451, "TCGETS2": 0x802C_542A,
}  # fmt: skip
"""All that a watcher's libraries use: is it a terminal, how much waits, do not block, close on exec. Of those refused,
FS_IOC_SETFLAGS and FS_IOC_FSSETXATTR matter most: they write into the inode of a file that was opened for reading,
which no right of Landlock covers."""
_FCNTLS = {
    "F_SETOWN": 8, "F_SETSIG": 10, "F_SETOWN_EX": 15, "F_SETLEASE": 1024, "F_NOTIFY": 1026, "F_ADD_SEALS": 1033,
    "F_SET_RW_HINT": 1036, "F_SET_FILE_RW_HINT": 1038,
}  # fmt: skip
"""Signals to whoever is named as owner, and what marks a file for others."""

_PRCTL = {
    "PR_SET_PDEATHSIG": 1, "PR_SET_DUMPABLE": 4, "PR_SET_KEEPCAPS": 8, "PR_CAPBSET_DROP": 24, "PR_SET_SECUREBITS": 28,
    "PR_SET_MM": 35, "PR_SET_CHILD_SUBREAPER": 36, "PR_CAP_AMBIENT": 47, "PR_SET_PTRACER": 0x59616D61,
}  # fmt: skip
"""What a watcher gave up by prctl, and what would undo it."""


def of_the_daemon() -> Rules:
    """It starts processes, writes its folder and connects; it never touches the kernel, mounts or other processes."""
    return {
        **_refused((*_KERNEL, *_MOUNTS, *_OTHERS, *_SHARED)),
        "clone": Judgement((Clause((Has(0, _CLONE_NAMESPACES),), _NO),), ALLOW),
        "clone3": _MISSING,
        "ioctl": Judgement((Clause((Is(1, _TIOCSTI),), _NO), Clause((Is(1, _TIOCLINUX),), _NO)), ALLOW),
    }


def of_a_watcher(grant: Grant, *, pid: int) -> Rules:
    """It computes, reads, and speaks over what it was given. `pid`: its own number, the only one it may signal."""
    return {
        **_refused((*_KERNEL, *_MOUNTS, *_OTHERS, *_SHARED, *_FILES, *_ONLY_THE_DAEMONS)),
        "clone": Judgement((Clause((Has(0, _CLONE_NAMESPACES),), _NO), Clause((Has(0, _CLONE_THREAD),), ALLOW)), _NO),
        "clone3": _MISSING,  # its flags lie behind a pointer; the C library then uses clone
        "open": _reading(1),
        "openat": _reading(2),
        "openat2": _MISSING,  # the same
        "prctl": Judgement(tuple(Clause((Is(0, option),), _NO) for option in _PRCTL.values()), ALLOW),
        "prlimit64": Judgement((Clause((Has(2),), _NO), Clause((Is(0, 0),), ALLOW), Clause((Is(0, pid),), ALLOW)), _NO),
        "kill": _only(pid),
        "tgkill": _only(pid),  # what abort() and raise() use
        "rt_sigqueueinfo": _only(pid),
        "rt_tgsigqueueinfo": _only(pid),
        "ioctl": Judgement(tuple(Clause((Is(1, request),), ALLOW) for request in _IOCTLS.values()), _NO_TERMINAL),
        "fcntl": Judgement(tuple(Clause((Is(1, command),), _NO) for command in _FCNTLS.values()), ALLOW),
        **_sockets(grant),
    }


def _refused(names: Iterable[str]) -> dict[str, int]:
    return dict.fromkeys(names, _NO)


def _reading(flags: int) -> Judgement:
    return Judgement((Clause((Has(flags, _WRITING),), _NO),), ALLOW)


def _only(pid: int) -> Judgement:
    return Judgement((Clause((Is(0, pid),), ALLOW),), _NO)


def _sockets(grant: Grant) -> dict[str, int | Judgement]:
    """Pairs of stream sockets for the event loop to wake itself; others only as far as the grant goes.

    Datagram pairs would do as well, and could be sent from to any address of a socket in the file system. A connected
    stream socket cannot be turned elsewhere without connect, or sending with MSG_FASTOPEN.
    """
    anywhere, nowhere = grant.ports is None, grant.ports == ()
    datagrams = anywhere or grant.udp
    families = (socket.AF_INET, socket.AF_INET6)
    kinds = [(socket.SOCK_STREAM, (0, socket.IPPROTO_TCP))] if not nowhere else []
    kinds += [(socket.SOCK_DGRAM, (0, socket.IPPROTO_UDP))] if datagrams else []
    made = tuple(
        Clause((Is(0, family), Is(1, kind, _TYPE), Is(2, protocol)), ALLOW)
        for family in families
        for kind, protocols in kinds
        for protocol in protocols
    )
    return {
        "socket": Judgement(made, _NO),
        "socketpair": Judgement((Clause((Is(0, socket.AF_UNIX), Is(1, socket.SOCK_STREAM, _TYPE)), ALLOW),), _NO),
        "connect": ALLOW if made else _NO,
        "bind": ALLOW if datagrams else _NO,
        "sendto": Judgement(
            (Clause((Has(3, _MSG_FASTOPEN),), _NO), *(() if datagrams else (Clause((Has(4),), _NO),))), ALLOW
        ),
        "sendmsg": Judgement((Clause((Has(2, _MSG_FASTOPEN),), _NO),), ALLOW),
        "sendmmsg": ALLOW if datagrams else _NO,  # the C library's resolver
    }
