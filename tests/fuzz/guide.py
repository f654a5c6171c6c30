"""Which inputs reached something new: lines that follow one another in the modules a target reads with.

Tracing costs ten to fifty times the parsing, so only a share of the time is spent on it: `SHARE`. What reached a new
step is kept for the next run, and damaged further in this one where that is asked for: over equal processor time that
reached no more lines than damage to good seeds alone, so it is not the rule.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from types import FrameType
from typing import Any

SHARE = 0.1
"""Of the time, spent with tracing on."""
_MOST, _MOST_BYTES = 4000, 8 << 20
LEAST = 1024
"""Bytes up to which an input is kept, or as long as the longest seed: long ones cost whoever damages them further."""

Step = tuple[str, int, int]


class Guide:
    """Follows a target through `streamwatch` modules, named without the package."""

    def __init__(self, modules: Sequence[str], *, longest: int = LEAST, feeds: bool = False) -> None:
        """`feeds`: what is kept is damaged further in the same run."""
        found = (find_spec(f"streamwatch.{name}") for name in modules)
        self._files = frozenset(spec.origin for spec in found if spec is not None and spec.origin)
        self.steps: set[Step] = set()
        self.kept: list[bytes] = []
        self._longest = longest
        self.feeds = feeds
        self._bytes = 0
        self._traced_s = 0.0
        self._began = time.perf_counter()

    @property
    def lines(self) -> int:
        """Different lines reached."""
        return len({(file, line) for file, _, line in self.steps})

    def due(self) -> bool:
        """Whether the next input may be traced."""
        return self._traced_s <= SHARE * (time.perf_counter() - self._began)

    def follow(self, check: Callable[[bytes], None], data: bytes) -> bool:
        """Run `check`; say whether it went where none went before, and then keep its input."""
        reached: set[Step] = set()
        begun, before = time.perf_counter(), sys.gettrace()
        sys.settrace(self._tracer(reached))
        try:
            check(data)
        finally:
            sys.settrace(before)
            self._traced_s += time.perf_counter() - begun
            new = not reached <= self.steps
            self.steps |= reached
        if new and len(data) <= self._longest and len(self.kept) < _MOST and self._bytes + len(data) <= _MOST_BYTES:
            self.kept.append(data)
            self._bytes += len(data)
            return True
        return False

    def _tracer(self, reached: set[Step]) -> Callable[[FrameType, str, Any], Any]:
        files = self._files

        def enter(frame: FrameType, event: str, arg: Any) -> Any:
            file = frame.f_code.co_filename
            if file not in files:
                frame.f_trace_lines = False
                return None
            last = 0

            def step(frame: FrameType, event: str, arg: Any) -> Any:
                nonlocal last
                if event == "line":
                    reached.add((file, last, frame.f_lineno))
                    last = frame.f_lineno
                return step

            return step

        return enter
