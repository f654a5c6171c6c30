"""Marks of progress: a decoder says when it hands a packet to native code, and when it has it back.

Native code that hangs cannot say so, and a look of many packets may honestly take long. So each thread keeps one mark,
which another thread reads.
"""

from __future__ import annotations

import threading
import time


class Step(threading.local):
    """The mark of the thread that uses it."""

    def __init__(self) -> None:
        self.mark = Mark()

    def __enter__(self) -> None:
        self.mark.since = time.monotonic()
        self.mark.number += 1
        self.mark.inside = True

    def __exit__(self, *_: object) -> None:
        self.mark.inside = False


class Mark:
    """Written by one thread, read by any."""

    __slots__ = ("inside", "number", "since")

    def __init__(self) -> None:
        self.number = 0
        """Of the newest step."""
        self.inside = False
        """Whether it has not ended."""
        self.since = 0.0
        """When it began, monotonic seconds."""


native = Step()
"""`with native:` around every call that gives bytes of a stream to a decoder."""
