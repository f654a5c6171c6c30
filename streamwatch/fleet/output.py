"""What a watcher prints, made harmless: lines of bounded length, printable, at a bounded rate. Pure."""

from __future__ import annotations

import json
from typing import NamedTuple

from streamwatch.domain.urls import printable

MAX_LINE = 2000
_BURST = 100
_PER_SECOND = 20.0
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})
_OURS = frozenset({"event", "level", "timestamp", "process", "watcher", "self", "exc_info", "stack_info"})
"""Names our own log uses: those it writes, and those that mean something to it when it is called."""
_MAX_FIELDS = 16
_MAX_NAME = 40

Scalar = str | int | float | bool


class Lines:
    """Bytes of one pipe in, lines fit for a log out. Time is monotonic seconds, given by the caller."""

    def __init__(self) -> None:
        self._partial = b""
        self._tokens = float(_BURST)
        self._filled_at: float | None = None
        self.suppressed = 0
        """Lines beyond the rate, not yet reported by `feed`."""

    def feed(self, data: bytes, now: float) -> list[str]:
        """Lines that ended in `data`; empty ones are left out, what is over the rate is counted."""
        self._fill(now)
        pieces = (self._partial + data).split(b"\n")
        self._partial = pieces.pop()[: MAX_LINE * 4]
        lines: list[str] = []
        for at, piece in enumerate(pieces):
            if self._tokens < 1:
                self.suppressed += len(pieces) - at
                break
            line = _clean(piece)
            if line:
                self._tokens -= 1
                lines.append(line)
        if self.suppressed and self._tokens >= _BURST / 2:
            lines.append(f"… {self.suppressed} lines were too many")
            self.suppressed = 0
        return lines

    def rest(self) -> str:
        """What came after the last line end, for the last words of a process."""
        line, self._partial = _clean(self._partial), b""
        return line

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            self._tokens = min(float(_BURST), self._tokens + (now - self._filled_at) * _PER_SECOND)
        self._filled_at = now


def _clean(piece: bytes) -> str:
    return printable(piece[: MAX_LINE * 4].decode("utf-8", "replace").rstrip(), MAX_LINE)


class Entry(NamedTuple):
    """One line as our log takes it."""

    level: str
    event: str
    fields: dict[str, Scalar]


def entry(line: str) -> Entry:
    """Read a line that a watcher logged as JSON; anything else is text that it printed.

    A watcher may be broken: names and values are taken only as short scalars, and never the names our own log uses.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):  # or nested as deep as a line is long
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("event"), str) or said.get("level") not in _LEVELS:
        return Entry("info", "watcher says", {"text": line})
    fields = {
        printable(name, _MAX_NAME): _said(name, value)
        for name, value in list(said.items())[:_MAX_FIELDS]
        if isinstance(value, str | int | float | bool) and name not in _OURS
    }
    return Entry(said["level"], said["event"], fields)


def _said(name: str, value: Scalar) -> Scalar:
    """A value; of what our log shows as it is, the lines of a traceback, no control characters."""
    if name != "exception":
        return value
    return "\n".join(printable(line, MAX_LINE) for line in str(value).split("\n"))
