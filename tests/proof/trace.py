"""What `strace -ff -xx -yy` wrote, as calls of processes. Pure but for reading its files.

One file a thread, so no call is cut in two by another one's line; every text is hex, so no text can look like syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    # opening, making, naming
    "open", "openat", "openat2", "creat", "truncate", "ftruncate", "fallocate", "rename", "renameat", "renameat2",
    "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat",
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "chmod",
    "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat",
    "utimensat",
    # memory that others can open
    "memfd_create", "memfd_secret", "shmget", "shmat", "msgget", "msgsnd", "mq_open", "mq_timedsend", "mmap",
    "add_key", "keyctl", "userfaultfd",
    # bytes going out
    "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice", "tee",
    "vmsplice", "copy_file_range", "io_uring_setup", "io_uring_enter", "io_submit", "process_vm_writev",
    # who and where
    "socket", "accept", "accept4", "connect", "bind", "clone", "clone3", "fork", "vfork", "execve", "execveat",
    "ptrace", "pidfd_getfd", "prctl", "mount", "move_mount", "pivot_root", "chroot", "unshare", "setns",
    "bpf", "personality",
)  # fmt: skip
"""Every call by which bytes can leave a process, or a process can get another way to let them out."""

_LINE = re.compile(r"^(?:(\d+\.\d+) )?(\w+)\((.*?)(?:\)\s+= (.*)|(<unfinished \.\.\.>).*|(\) = \?.*))$")
_DESCRIPTOR = re.compile(
    r"(-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)([A-Za-z0-9_-]*(?::\[[^\]]*\])?)(?:<[^>]*>)?>(\(deleted\))?"
)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_KILLED = re.compile(r"\+\+\+ killed by (SIG\w+)( \(core dumped\))? \+\+\+")
_NUMBER = re.compile(r"^-?\d+")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An open file as the kernel names it."""

    number: str
    path: str
    """Empty for what has no place in the file system."""
    label: str
    """`TCP:[127.0.0.1:1->127.0.0.1:2]`, `UNIX-STREAM:[5->6]` and the like."""
    deleted: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One system call."""

    at: float
    name: str
    arguments: str
    result: str

    @property
    def failed(self) -> bool:
        """Whether the kernel, or our sandbox, said no."""
        return self.result.startswith("-1 ")

    @property
    def number(self) -> int:
        """What it returned; -1 for what never returned."""
        found = _NUMBER.match(self.result)
        return int(found.group()) if found else -1

    @property
    def texts(self) -> tuple[bytes, ...]:
        """Its texts, in order."""
        return tuple(bytes.fromhex(text.replace("\\x", "")) for text, _ in _TEXT.findall(self.arguments))

    @property
    def cut(self) -> bool:
        """Whether a text was too long to be written down whole."""
        return any(more for _, more in _TEXT.findall(self.arguments))

    @property
    def on(self) -> Descriptor | None:
        """The descriptor it was made on: its first argument, if that is one."""
        return _descriptor(self.arguments)

    @property
    def opened(self) -> Descriptor | None:
        """The descriptor that it returned."""
        return _descriptor(self.result)


@dataclass(slots=True)
class Process:
    """A process and its threads."""

    pid: int
    parent: int | None
    program: tuple[str, ...] = ()
    """Its command line, once it runs one of its own."""
    calls: list[Call] = field(default_factory=list)
    """Of all its threads; each thread's in order."""
    end: str = ""
    """The signal that ended it."""
    core: bool = False
    """It left a core."""

    @property
    def seconds(self) -> float:
        """From its first to its last call."""
        times = [call.at for call in self.calls]
        return max(times) - min(times) if times else 0.0


def call(line: str) -> Call | None:
    """The call that a line tells of, if it does."""
    match = _LINE.match(line)
    if match is None:
        return None
    at, name, arguments, result, unfinished, _ = match.groups()
    return Call(float(at or 0), name, arguments, "" if unfinished else (result or "?"))


def _descriptor(text: str) -> Descriptor | None:
    match = _DESCRIPTOR.match(text)
    if match is None:
        return None
    number, path, label, deleted = match.groups()
    return Descriptor(number, bytes.fromhex(path.replace("\\x", "")).decode(errors="replace"), label, bool(deleted))


def read(files: Iterable[Path]) -> list[Process]:
    """The processes behind the files of one or more runs, `NAME.THREAD`. Threads go with their process."""
    lines = {int(file.suffix[1:]): file.read_text("ascii").splitlines() for file in files}
    return list(processes(lines).values())


def processes(lines: dict[int, list[str]]) -> dict[int, Process]:
    """By number of the first thread; `lines` are those of each thread."""
    calls = {thread: list(_calls(text)) for thread, text in lines.items()}
    owner, parents = _births(calls)
    found: dict[int, Process] = {}
    for thread in sorted(lines):
        first = thread
        while first in owner:
            first = owner[first]
        process = found.get(first)
        if process is None:
            parent = parents.get(first)
            while parent in owner:
                parent = owner[parent]
            process = found[first] = Process(first, parent)
        process.calls += calls[thread]
        for line in lines[thread][-3:]:
            if (killed := _KILLED.search(line)) is not None:
                process.end, process.core = killed.group(1), process.core or bool(killed.group(2))
    _programs(found.values())
    return found


def _births(calls: dict[int, list[Call]]) -> tuple[dict[int, int], dict[int, int]]:
    """Who made each thread, and each process."""
    owner: dict[int, int] = {}
    parents: dict[int, int] = {}
    for thread, made in calls.items():
        for one in made:
            if one.name in {"clone", "clone3", "fork", "vfork"} and not one.failed and one.number > 0:
                (owner if "CLONE_THREAD" in one.arguments else parents)[one.number] = thread
    return owner, parents


def _programs(found: Iterable[Process]) -> None:
    for process in found:
        runs = [one for one in process.calls if one.name in {"execve", "execveat"} and not one.failed]
        if runs:
            process.program = tuple(text.decode(errors="replace") for text in runs[-1].texts[1:])


def _calls(lines: Iterable[str]) -> Iterator[Call]:
    for line in lines:
        if "(" in line and (made := call(line)) is not None:
            yield made
