"""The files of the audit log in the state folder, and where in them a line stands."""

from __future__ import annotations

import bisect
import re
import time
from collections.abc import Iterator
from pathlib import Path

from streamwatch.audit.chain import MAX_LINE
from streamwatch.domain.errors import OutsideError
from streamwatch.domain.urls import printable

_NAME = re.compile(r"audit-(\d{5,9})\.jsonl")
_TRIES, _PAUSE_S = 5, 0.05
"""A daemon at work may be in the middle of its last line."""


def name(number: int) -> str:
    """Of a segment."""
    return f"audit-{number:05d}.jsonl"


def number(path: Path) -> int:
    """Of a segment, by its name; 0 where the file is none."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def segments(folder: Path) -> list[Path]:
    """The segments in a folder, the oldest first; none where there is no folder. Raises OSError."""
    try:
        return sorted((path for path in folder.iterdir() if number(path)), key=number)
    except FileNotFoundError:
        return []


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a segment, each with its end; of an over-long one only the beginning. Raises OSError."""
    with path.open("rb") as file:
        while data := file.readline(MAX_LINE + 1):
            yield data
            while len(data) > MAX_LINE and not data.endswith(b"\n"):
                data = file.readline(MAX_LINE + 1)  # the rest of it, which nobody will read


class Reading:
    """All lines of a folder once, and then the places where they stand."""

    def __init__(self, folder: Path) -> None:
        """Raises OutsideError where the folder cannot be read."""
        try:
            self.paths = segments(folder)
        except OSError as error:
            raise OutsideError(f"{folder} cannot be read: {error.strerror}") from error
        self._starts: list[int] = []

    def lines(self) -> Iterator[bytes]:
        """Every line, the oldest first. Raises OutsideError."""
        count = 0
        for path in self.paths:
            self._starts.append(count)
            if path is self.paths[-1]:
                _settle(path)
            try:
                for data in lines_of(path):
                    count += 1
                    yield data
            except OSError as error:
                raise OutsideError(f"{path} cannot be read: {error.strerror}") from error

    def where(self, line: int) -> str:
        """`FILE:LINE` of the line with this number in `lines`, from 1."""
        index = max(bisect.bisect_left(self._starts, line) - 1, 0)
        if index >= len(self._starts):
            return "the log"
        return f"{printable(str(self.paths[index]))}:{max(line - self._starts[index], 1)}"


def _settle(path: Path) -> None:
    """Wait a moment for a last line that has no end yet."""
    for _ in range(_TRIES):
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(size - 1, 0))
                if file.read(1) in (b"", b"\n"):
                    return
        except OSError:
            return  # whoever reads it says so
        time.sleep(_PAUSE_S)
