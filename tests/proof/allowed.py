"""What a process of ours may have done, judged by its trace. Pure.

The daemon may write below its state folder and make the black box (512 bytes of memory that it shares with a watcher);
both may open /dev/null. Bytes may go to the link, to the output pipes and to the servers they were sent to. All else is
a finding; what the kernel or the sandbox refused is listed, not held against us.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.proof.haystack import Blob, Found
from tests.proof.trace import Call, Descriptor, Process

LARGEST_WRITE = 16 * 1024
"""Bytes in one call: what the wall lets a watcher say at once (`link.messages.MAX_REPORT`). A thumbnail of 74 x 74
colours is more. HTTP answers of the daemon are exempt, and searched like everything else."""
STEADY_BYTES = 32 * 1024
"""Bytes a second that one watcher may say over its whole life, beside `ONCE_BYTES`: scores take far less."""
ONCE_BYTES = 256 * 1024
BLACK_BOX, BLACK_BOX_BYTES = "streamwatch-black-box", 4096

_SWITCHES = frozenset({"-P", "-I", "-E", "-s", "-S", "-B", "-u"})
_WRITING = re.compile(r"\bO_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)\b")
_OPENS = frozenset({"open", "openat", "openat2", "creat"})
_NAMES = frozenset({
    "truncate", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "chmod",
    "fchmodat", "fchmodat2", "chown", "lchown", "fchownat", "utime", "utimes", "futimesat", "utimensat",
})  # fmt: skip
_ON_FILES = frozenset({"ftruncate", "fallocate", "fchmod", "fchown"})
_SENDS = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg"})
_NEVER = frozenset({
    "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
    "removexattr", "lremovexattr", "fremovexattr", "memfd_secret", "shmget", "shmat", "msgget", "msgsnd", "mq_open",
    "mq_timedsend", "add_key", "keyctl", "userfaultfd", "sendfile", "splice", "tee", "vmsplice", "copy_file_range",
    "io_uring_setup", "io_uring_enter", "io_submit", "process_vm_writev", "ptrace", "pidfd_getfd", "mount",
    "move_mount", "pivot_root", "chroot", "unshare", "setns", "bpf",
})  # fmt: skip
_KINDS = {
    "/dev/null": "/dev/null", "UNIX": "link", "pipe:": "pipe", "anon_inode:": "wake-up", "NETLINK": "kernel",
}  # fmt: skip
_PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
_TCP = re.compile(r"TCP(?:v6)?:\[.*:(\d+)->.*:(\d+)\]")
_ADDRESS = re.compile(r'inet_addr\("((?:\\x[0-9a-f]{2})*)"\)')


@dataclass(frozen=True, slots=True)
class Site:
    """What is normal where this run took place."""

    state: Path
    """The daemon's state folder, resolved."""
    broker: int
    http: frozenset[int]
    """Ports on which the daemon listened."""
    ingest: frozenset[int]
    """Ports of the servers that streams come from."""


@dataclass(slots=True)
class Judged:
    """Of all processes together."""

    findings: list[Found] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """What was tried in vain, by process, call, error and name."""
    opened: Counter[str] = field(default_factory=Counter)
    """What was opened for writing and may be, by process and place."""
    said: list[Blob] = field(default_factory=list)
    """All bytes that left, by process and where they went."""
    calls: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """Bytes that left, by process and kind of target."""
    largest: Counter[str] = field(default_factory=Counter)
    """The most bytes in one call, by process and kind of target."""


def role(process: Process) -> str:
    """What it is: `watcher`, `daemon` (the one that nobody of ours started), or what it runs."""
    if _runs_watcher(process.program):
        return "watcher"
    if process.parent is None:
        return "daemon"
    return os.path.basename(process.program[0]) if process.program else "child before it runs"  # noqa: PTH119


def _runs_watcher(program: tuple[str, ...]) -> bool:
    """Whether a command line is that of a watcher: our interpreter, its switches, our module."""
    words = [word for word in program[1:] if word not in _SWITCHES]
    return program[:1] == (sys.executable,) and words[:2] == ["-m", "streamwatch.app.watcher"]


def judge(processes: Iterable[Process], site: Site) -> Judged:
    """Everything that these processes did that matters."""
    judged = Judged()
    for process in processes:
        _Judge(process, site, judged).judge()
    return judged


class _Judge:
    """Of one process."""

    def __init__(self, process: Process, site: Site, judged: Judged) -> None:
        self._process = process
        self._role = role(process)
        self._site = site
        self._judged = judged
        self._streams: defaultdict[str, list[bytes]] = defaultdict(list)
        self._total = 0
        self._far: dict[str, int] = {}
        """Port to which a descriptor was connected; the tracer may have learnt of a socket before it was."""
        self._begun = 0.0

    def judge(self) -> None:
        calls = sorted(self._process.calls, key=lambda call: call.at)
        self._begun = calls[0].at if calls else 0.0
        for call in calls:
            self._judged.calls += 1
            if call.failed:
                self._refused(call)
            for what in self._wrong(call):
                self._find(call, what)
            self._texts(call)
        if self._process.core:
            self._judged.findings.append(Found(self._name, f"left a core ({self._process.end})", 1))
        allowed = ONCE_BYTES + STEADY_BYTES * self._process.seconds
        if self._role == "watcher" and self._total > allowed:
            self._judged.findings.append(Found(self._name, f"said {self._total} bytes in its life", 1))
        for place, parts in self._streams.items():
            self._judged.said.append(Blob(f"{self._name}, {place}", b"".join(parts)))

    @property
    def _name(self) -> str:
        return f"{self._role} {self._process.pid}"

    def _find(self, call: Call, what: str) -> None:
        self._judged.findings.append(Found(f"{self._name}, call {call.name}", what, 1))

    def _refused(self, call: Call) -> None:
        error = call.result.split()[1] if len(call.result.split()) > 1 else "?"
        writes = call.name in _OPENS and _WRITING.search(call.arguments)
        if writes or call.name in _NEVER | _NAMES | _ON_FILES | {"memfd_create", "execve", "execveat", "connect"}:
            what = " ".join(text.decode(errors="replace") for text in call.texts[:1])[-80:]
            self._judged.refused[f"{self._role}: {call.name}: {error} {what}".strip()] += error != "EINPROGRESS"

    # --- what is wrong ------------------------------------------------------------------------------------------------

    def _wrong(self, call: Call) -> Iterator[str]:
        name = call.name
        if call.failed and not (name == "connect" and "EINPROGRESS" in call.result):
            return
        if name in _OPENS:
            if name == "creat" or _WRITING.search(call.arguments):
                yield from self._opened(call)
        elif name in _NAMES:
            yield from (f"changes {path}" for path in self._paths(call) if not self._ours(path))
        elif name in _ON_FILES:
            on = call.on
            if on is not None and not (self._ours(on.path) or (_is_black_box(on.path) and name == "ftruncate")):
                yield f"changes {on.path or on.label}"
        elif name in _NEVER:
            yield "is never ours to make" + "".join(f" {path}" for path in self._paths(call)[:1])
        elif name in _SENDS:
            yield from self._sent(call)
        else:
            yield from self._other(call)

    def _other(self, call: Call) -> Iterator[str]:
        name, texts = call.name, call.texts
        if name == "memfd_create" and not (self._role == "daemon" and texts[:1] == (BLACK_BOX.encode(),)):
            yield f"makes a file in memory, {texts[0].decode(errors='replace') if texts else '?'}"
        elif name == "mmap" and "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments:
            yield from self._mapped(call)
        elif name in {"execve", "execveat"}:
            program = tuple(text.decode(errors="replace") for text in texts[1:])
            starts = self._process.parent is None and call.at == self._begun  # how the tracer starts the daemon
            if not starts and not _runs_watcher(program):
                yield f"runs {' '.join(program)[:200]}"
        elif name in {"socket", "accept", "accept4"} and call.opened is not None:
            self._far.pop(call.opened.number, None)
        elif name in {"connect", "bind"}:
            yield from self._reached(call)

    def _opened(self, call: Call) -> Iterator[str]:
        there = call.opened
        path = there.path if there is not None else b"".join(call.texts[:1]).decode(errors="replace")
        if path == "/dev/null" or self._ours(path):
            place = path if path == "/dev/null" else "state folder"
            self._judged.opened[f"{self._role}: {place}"] += 1
        else:
            yield f"opens {path} for writing"

    def _mapped(self, call: Call) -> Iterator[str]:
        length = int(call.arguments.split(", ")[1])
        target = re.search(r", (-?\d+<.*|-1), ", call.arguments)
        if target is None or target.group(1).startswith("-1"):
            return  # memory of its own, which only its children could see
        file = Call(0, "", target.group(1), "").on
        path = file.path if file is not None else "?"
        if not self._ours(path) and not (_is_black_box(path) and length <= BLACK_BOX_BYTES):
            yield f"shares {length} bytes of {path} as memory"

    def _reached(self, call: Call) -> Iterator[str]:
        if "AF_INET" not in call.arguments:
            if "AF_UNIX" in call.arguments:
                yield "reaches another program by a local socket"
            return  # routing questions to the kernel carry nothing
        port = int(found.group(1)) if (found := _PORT.search(call.arguments)) else 0
        if call.name == "connect" and call.on is not None:
            self._far[call.on.number] = port
        if call.name == "bind":
            known = self._site.http | {0} if self._role == "daemon" else frozenset({0})
        elif self._role == "daemon":  # it connects for the watchers where it passes them sockets
            known = frozenset({self._site.broker}) | self._site.ingest
        else:
            known = self._site.ingest
        if port not in known:
            host = found.group(1) if (found := _ADDRESS.search(call.arguments)) else ""
            yield f"{call.name}s to port {port} of {bytes.fromhex(host.replace(chr(92) + 'x', '')).decode()}"

    def _sent(self, call: Call) -> Iterator[str]:
        on, count = call.on, max(call.number, 0)
        if on is None:
            yield "to nobody knows where"
            return
        kind = self._kind(call)
        key = f"{self._role}: {kind}"
        self._judged.sent[key] += count
        self._judged.largest[key] = max(self._judged.largest[key], count)
        if kind not in {"ingest", "state folder"}:
            self._total += count
        place = on.path or f"{kind} {on.label}"
        self._streams[place].append(b"".join(call.texts))
        if kind == "?" or (kind == "ingest" and self._role == "daemon"):
            yield f"sends {count} bytes to {on.path or on.label}"
        if count > LARGEST_WRITE and kind != "http":
            yield f"sends {count} bytes at once to {kind}"
        if call.cut:
            yield "sends more than the trace shows"

    def _kind(self, call: Call) -> str:
        on = call.on
        assert on is not None
        if self._ours(on.path):
            return "state folder"
        name = on.path or on.label
        for beginning, kind in _KINDS.items():
            if name.startswith(beginning):
                return kind
        return "?" if on.path else self._connection(on)

    def _connection(self, on: Descriptor) -> str:
        ends = _TCP.match(on.label)
        near, far = (int(end or 0) for end in ends.groups()) if ends is not None else (0, self._far.get(on.number, 0))
        if self._role == "daemon" and near in self._site.http:
            return "http"
        if self._role == "daemon" and far == self._site.broker:
            return "broker"
        return "ingest" if far in self._site.ingest else "?"

    # --- places -------------------------------------------------------------------------------------------------------

    def _ours(self, path: str) -> bool:
        """Whether this process may write there."""
        state = str(self._site.state)
        return self._role == "daemon" and (path == state or path.startswith(state + "/"))

    def _paths(self, call: Call) -> list[str]:
        """The paths that a call names, made whole."""
        base = call.on.path if call.on is not None else ""
        return [os.path.normpath(os.path.join(base, text.decode(errors="replace"))) for text in call.texts]  # noqa: PTH118

    def _texts(self, call: Call) -> None:
        """Names can carry bytes too: of files, attributes, threads, programs. They are searched with what was sent."""
        if call.name in _SENDS or not call.texts:
            return
        if call.name in _OPENS and not _WRITING.search(call.arguments):
            return
        self._streams["names and attributes"].append(b"\n".join((*call.texts, b"")))


def _is_black_box(path: str) -> bool:
    return path.removesuffix(" (deleted)") == f"/memfd:{BLACK_BOX}"
