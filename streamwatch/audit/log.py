"""The audit log on disk: append only, durable line by line, in segments of which the oldest go when they are old.

One writer, which holds the state folder. A call takes as long as one fsync. What a crash left of a line is set aside in
`audit-NNNNN.torn`, and the next line tells of it; so it does of everything else that is not as it was left.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog

from streamwatch.audit import segments
from streamwatch.audit.chain import Entry, Tip, Unreadable, line, read
from streamwatch.audit.verification import RETENTION
from streamwatch.domain.errors import OutsideError

_log = structlog.get_logger(__name__)

SEGMENT_BYTES = 8 * 1024 * 1024
TORN_BYTES = 64 * 1024
"""More than that behind the last end of a line is no line that a crash cut off."""

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class AuditError(OutsideError):
    """The audit log cannot be written: the disk, not the user. What was to be written is still the caller's."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to be written."""

    at: str
    """When it was: RFC 3339, UTC, milliseconds."""
    kind: str
    facts: Mapping[str, Any]


class Journal(Protocol):
    """What others need of the log."""

    @property
    def tip(self) -> Tip:
        """Its newest line."""
        ...

    @property
    def last(self) -> Entry | None:
        """The newest line of before it was opened; None where there was none."""
        ...

    def open(self) -> None:
        """Find where the log ends, if that is not known. Raises AuditError."""
        ...

    def append(self, *facts: Fact) -> None:
        """Write lines, durable when it returns. Raises AuditError: none of them counts as written."""
        ...

    def age(self, *, at: str, delete: str, close: str) -> int:
        """Delete the oldest segment if all of it is from before `delete`; returns how many were deleted.

        And begin a new one if the present one is from before `close`. Raises AuditError.
        """
        ...

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        ...


class AuditLog:
    """The segments of one folder, which exists. Opened by the first append, and anew after the disk failed it."""

    def __init__(
        self,
        folder: Path,
        *,
        on_trouble: Callable[[str], None] = lambda _what: None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """`on_trouble` hears, in words, that the log was not as it was left."""
        self._folder = folder
        self._on_trouble = on_trouble
        self._segment_bytes = segment_bytes
        self._path = folder
        self._fd = -1
        self._size = 0
        """Of the open segment, up to the end of its last whole line."""
        self._untidy = False
        """Behind `_size` may stand a part of what could not be written."""
        self._told: list[tuple[str, Mapping[str, Any]]] = []
        """What the next lines tell of the log itself."""
        self.tip = Tip()
        self.last: Entry | None = None

    def open(self) -> None:
        """Find where the log ends, if that is not known. Raises AuditError."""
        try:
            self._open()
        except OSError as error:
            raise AuditError(f"the audit log cannot be opened: {error.strerror}") from error

    def append(self, *facts: Fact) -> None:
        """Write lines, durable when it returns. Raises AuditError: none of them counts as written."""
        try:
            self._open()
            self._look()
            tip, data = self.tip, b""
            about = (Fact(facts[0].at, kind, told) for kind, told in self._told)
            for fact in (*about, *facts):
                one, tip = line(tip, at=fact.at, kind=fact.kind, facts=fact.facts)
                data += one
            if self._size and self._size + len(data) > self._segment_bytes:
                self._begin()
            self._write(data)
        except OSError as error:
            raise AuditError(f"the audit log cannot be written: {error.strerror}") from error
        self._told.clear()
        self.tip = tip

    def age(self, *, at: str, delete: str, close: str) -> int:
        """Delete the oldest segment if all of it is from before `delete`; returns how many were deleted.

        And begin a new one if the present one is from before `close`. What stays follows on what a line tells that is
        written first, so a crash in between does no harm. Raises AuditError.
        """
        try:
            paths = segments.segments(self._folder)
            if paths and self._fd >= 0 and (first := _first(paths[-1])) is not None and first.at < close:
                self._begin()
            following = _first(paths[1]) if len(paths) > 1 else None
            if following is None or following.at >= delete:
                return 0
            gone = {"segment": paths[0].name, "n": following.n - 1, "hash": following.prev}
            self.append(Fact(at, RETENTION, gone))
            for path in (paths[0].with_suffix(".torn"), paths[0]):
                path.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise AuditError(f"the audit log cannot be shortened: {error.strerror}") from error
        return 1

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- where the log ends --------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._fd >= 0:
            return
        paths = segments.segments(self._folder)
        if self.tip.n == 0:
            self._find_end(paths)
        if not paths:
            self._begin()
            return
        fd = os.open(paths[-1], _FLAGS)
        try:
            size = os.fstat(fd).st_size
            tail = os.pread(fd, TORN_BYTES, max(size - TORN_BYTES, 0))
            torn = tail[tail.rfind(b"\n") + 1 :]
            whole = len(torn) < TORN_BYTES
            if torn and whole:
                self._set_aside(paths[-1], fd, torn, size - len(torn))
        except OSError:
            os.close(fd)
            raise
        self._fd, self._path, self._size, self._untidy = fd, paths[-1], size - len(torn), False
        if not whole:
            self._trouble("audit.damaged", f"{paths[-1].name} does not end with a line", segment=paths[-1].name)
            self._begin()

    def _find_end(self, paths: list[Path]) -> None:
        """Go on after the newest line that can be read; each one behind it that cannot has had its number."""
        spoiled = 0
        for path in reversed(paths):
            for data in reversed(list(segments.lines_of(path))):
                if not data.endswith(b"\n"):
                    continue  # torn: nobody was told that it is written
                try:
                    self.last = read(data)
                except Unreadable:
                    spoiled += 1
                    continue
                break
            if self.last is not None:
                break
        if spoiled:
            self._trouble("audit.damaged", f"the last {spoiled} lines cannot be read", lines=spoiled)
        self.tip = Tip(spoiled) if self.last is None else Tip(self.last.n + spoiled, self.last.hash)

    def _set_aside(self, path: Path, fd: int, torn: bytes, end: int) -> None:
        aside = os.open(
            path.with_suffix(".torn"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            _write_all(aside, torn + b"\n")
            os.fsync(aside)
        finally:
            os.close(aside)
        os.ftruncate(fd, end)
        os.fsync(fd)
        said = f"the last line of {path.name} was cut off and is set aside in {path.with_suffix('.torn').name}"
        _log.warning("audit log", what=said, bytes=len(torn))
        digest = hashlib.sha256(torn).hexdigest()
        self._told.append(("audit.torn", {"segment": path.name, "bytes": len(torn), "sha256": digest}))

    # --- writing -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Whether the open segment is as it was left. If not, it stays as it is, and a new one says so."""
        if self._untidy:
            os.ftruncate(self._fd, self._size)
            self._untidy = False
        found = os.fstat(self._fd)
        if found.st_nlink == 0:
            self._trouble("audit.disturbed", f"{self._path.name} was removed", segment=self._path.name)
        elif found.st_size != self._size:
            name, size = self._path.name, found.st_size
            self._trouble("audit.disturbed", f"{name} was changed", segment=name, bytes=size, expected=self._size)
        else:
            return
        self._begin()

    def _begin(self) -> None:
        """Begin a new segment."""
        newest = max([segments.number(self._path), *map(segments.number, segments.segments(self._folder))])
        path = self._folder / segments.name(newest + 1)
        fd = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        self.close()
        self._fd, self._path, self._size, self._untidy = fd, path, 0, False
        self._sync_folder()

    def _write(self, data: bytes) -> None:
        self._untidy = True
        try:
            _write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
                self._untidy = False
            raise
        self._size += len(data)
        self._untidy = False

    def _sync_folder(self) -> None:
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _trouble(self, kind: str, said: str, **facts: str | int) -> None:
        if (kind, facts) in self._told:
            return  # the disk keeps us from telling it
        _log.error("audit log is not as it was left", what=said)
        self._told.append((kind, facts))
        self._on_trouble(said)


def _first(path: Path) -> Entry | None:
    """The first line of a segment; None where there is none that can be read."""
    try:
        return read(next(segments.lines_of(path), b""))
    except Unreadable:
        return None


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
