"""Where a picture could lie: every file that changed, on every mount that can be written. Reads, changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.proof.haystack import Blob

_NOT_FILES = frozenset({"proc", "sysfs", "cgroup", "cgroup2", "devpts", "bpf", "tracefs", "debugfs", "securityfs",
                        "binfmt_misc", "configfs", "pstore", "fusectl", "efivarfs", "nsfs", "autofs"})  # fmt: skip
STEP = 32 << 20
_OVERLAP = 64


@dataclass(slots=True)
class Tally:
    """What was read."""

    files: int = 0
    changed: int = 0
    read: int = 0
    unreadable: int = 0


def writable_mounts(table: str) -> tuple[Path, ...]:
    """Mount points that can be written, of `/proc/self/mountinfo`."""
    found: dict[str, Path] = {}
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if "rw" in fields[5].split(",") and kind[0] not in _NOT_FILES and "rw" in kind[2].split(","):
            point = Path(fields[4].encode().decode("unicode_escape"))
            found.setdefault(fields[2], point)  # bound elsewhere too: once is enough
    return tuple(found.values())


def changed(
    mounts: Sequence[Path], *, since: float, ours: Path, without: Sequence[Path], tally: Tally
) -> Iterator[Blob]:
    """What changed since then (Unix seconds, by the inode's own time, which no program can set back).

    Contents, extended attributes, names, and where links point. Below `ours` only we write. `without` are folders of
    those who lawfully have the stream.
    """
    left_out = {str(path) for path in without}
    for mount in mounts:
        yield from _below(str(mount), os.lstat(mount).st_dev, since, ours=f"{ours}/", without=left_out, tally=tally)


def _below(folder: str, device: int, since: float, *, ours: str, without: set[str], tally: Tally) -> Iterator[Blob]:
    stack = [folder]
    while stack:
        here = stack.pop()
        try:
            entries = list(os.scandir(here))
        except OSError:
            continue
        for entry in entries:
            try:
                state = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if entry.path in without:
                continue
            if stat.S_ISDIR(state.st_mode) and state.st_dev == device:
                stack.append(entry.path)
            tally.files += 1
            if state.st_ctime >= since:
                tally.changed += 1
                yield from _of(entry.path, state, ours=entry.path.startswith(ours), tally=tally)


def _of(path: str, state: os.stat_result, *, ours: bool, tally: Tally) -> Iterator[Blob]:
    yield Blob(f"the name of {path}", os.fsencode(path), ours=False)
    if stat.S_ISLNK(state.st_mode):
        return
    yield from _attributes(path, ours=ours)
    if not stat.S_ISREG(state.st_mode):
        return
    before = b""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - paths that no Path survives
            while block := file.read(STEP):
                tally.read += len(block)
                yield Blob(path, before + block, ours=ours)
                before = block[-_OVERLAP:]
    except OSError:
        tally.unreadable += 1


def _attributes(path: str, *, ours: bool) -> Iterator[Blob]:
    try:
        for name in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, name, follow_symlinks=False)
            yield Blob(f"attribute {name} of {path}", name.encode() + b"\0" + value, ours=ours)
    except OSError:
        return


def of_process(pid: int) -> Iterator[Blob]:
    """What everyone may read of a running process: command line, environment, names of threads."""
    here = Path(f"/proc/{pid}")
    for file in (here / "cmdline", here / "environ", *here.glob("task/*/comm")):
        try:
            data = file.read_bytes()
        except OSError:
            continue
        yield Blob(f"{file.name} of process {pid}", data)
