"""The state folder: made private, held by one daemon at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from streamwatch.domain.errors import OutsideError

_LOCK = "lock"
_MARK_AT = 31
_MARK = b"!"
"""Stands in the lock file, where a full disk can still be written."""


class StateFolder:
    """A folder that this process alone writes, from construction to `close`."""

    def __init__(self, path: Path) -> None:
        """Make the folder (rights 0700) and lock it.

        Raises:
            OutsideError: the folder cannot be made or written, or another daemon holds it.

        """
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise OutsideError(f"state folder {path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            self._fd = -1
            who = f" (process {holder})" if holder.isdigit() else ""
            raise OutsideError(f"state folder {path} is in use by another streamwatch{who}") from error
        self.unsure = os.pread(self._fd, 1, _MARK_AT) == _MARK
        """Whether the process before us ended after it said things that its disk did not take."""
        try:
            os.ftruncate(self._fd, 0)
            # at its full length from the start: a full disk lets bytes be written over, not added
            line = f"{os.getpid()}\n".encode().ljust(_MARK_AT)
            os.pwrite(self._fd, line + (_MARK if self.unsure else b" "), 0)  # until whoever reads it has heeded it
            os.fsync(self._fd)
        except OSError as error:
            self.close()
            raise OutsideError(f"state folder {path} cannot be written: {error.strerror}") from error

    def mark(self, *, unsure: bool) -> None:
        """Note for the next process whether what we say is not on the disk. A read-only disk does not take that."""
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, _MARK if unsure else b" ", _MARK_AT)
            os.fsync(self._fd)

    def private_file(self, name: str) -> Path:
        """The path of a file in the folder that exists and that only its owner can read (0600).

        Raises OutsideError where it cannot be made.
        """
        path = self.path / name
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise OutsideError(f"{path} cannot be used: {error.strerror}") from error
        return path

    def move_aside(self, name: str, suffix: str) -> Path:
        """Rename a file and its companions (`-wal`, `-shm`) out of the way. Returns the main file's new path.

        Raises OutsideError where they cannot be renamed.
        """
        target = self.path / f"{name}.{suffix}"
        for tail in ("", "-wal", "-shm"):
            source = self.path / f"{name}{tail}"
            try:
                if source.exists():
                    source.rename(self.path / f"{name}.{suffix}{tail}")
            except OSError as error:
                raise OutsideError(f"{source} is damaged and cannot be set aside: {error.strerror}") from error
        return target

    def close(self) -> None:
        """Let go of the folder. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
