"""Reading the few small files a configuration consists of, without ever waiting or reading too much."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class Unreadable(Exception):
    """A file that cannot be used. `wrong` says why, `right` what would help."""

    def __init__(self, wrong: str, right: str = "") -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.right = right


def read_text(path: Path, *, limit: int) -> str:
    """UTF-8 text of a regular file of at most `limit` bytes. Raises Unreadable.

    Only regular files: a pipe would keep a reload waiting for its writer, and could not be read again.
    """
    try:
        data = _read(path, limit)
    except FileNotFoundError as error:
        raise Unreadable("the file does not exist") from error
    except PermissionError as error:
        raise Unreadable("the file may not be read by this user") from error
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a usable path"
        raise Unreadable(f"the file cannot be read: {why.lower()}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"not UTF-8 text at byte {error.start}, line {line}", "save it as UTF-8") from error
    return text


def _read(path: Path, limit: int) -> bytes:
    # O_NONBLOCK: opening a pipe returns at once instead of waiting for a writer; regular files do not know it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("not a regular file", "a folder, pipe or device cannot be used here")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise Unreadable(f"the file is larger than {limit // 1024} KiB", "a smaller file")
    return data
