"""What waits to be sent while the other end is slow: bounded, newest levels only. Pure.

A level says how something stands, so an older one of the same thing is worth nothing once a newer one waits; it keeps
its place in the line, or a level that changes quickly would never get its turn. Samples are evidence of looking and
drop from the old end, counted. An alarm is never replaced by the calm that followed it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from streamwatch.domain.decisions import Level
from streamwatch.domain.errors import LinkStalled
from streamwatch.link.messages import (
    Assign,
    Beat,
    Configure,
    Demand,
    Message,
    Release,
    Restand,
    RuleLevel,
    Sampled,
    StreamLevel,
)

MAX_SAMPLES = 256
MAX_WAITING = 65_536
"""Everything else: levels are as many as streams and rules, so this is reached only when nothing is read for long."""


class OutboxStatistics(NamedTuple):
    """Counters since the start, and what waits now."""

    waiting: int
    coalesced: int
    """Levels replaced by a newer one before they were sent."""
    dropped: int
    """Samples lost."""


class Outbox:
    """Messages in the order in which they go out."""

    def __init__(self, *, max_samples: int = MAX_SAMPLES, max_waiting: int = MAX_WAITING) -> None:
        self._waiting: dict[Hashable, Message] = {}
        self._samples: dict[Hashable, None] = {}
        self._max_samples = max_samples
        self._max_waiting = max_waiting
        self._count = 0
        self._coalesced = 0
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message) -> None:
        """Add a message; what it makes worthless goes. Raises LinkStalled when far too much waits."""
        for stale in _outdated_by(message):
            if self._waiting.pop(stale, None) is not None:
                self._coalesced += 1
        key = _key(message)
        if key is None:
            self._count += 1
            key = self._count
        if key in self._waiting:
            self._coalesced += 1
        elif len(self._waiting) >= self._max_waiting:
            raise LinkStalled(f"{len(self._waiting)} messages wait, and none is read")
        self._waiting[key] = message
        if isinstance(message, Sampled):
            self._samples[key] = None
            if len(self._samples) > self._max_samples:
                oldest = next(iter(self._samples))
                del self._samples[oldest], self._waiting[oldest]
                self._dropped += 1

    def pop(self) -> Message | None:
        """Take the next message, None where nothing waits."""
        for key in self._waiting:
            self._samples.pop(key, None)
            return self._waiting.pop(key)
        return None

    def clear(self) -> None:
        """Forget what waits: the other end is gone."""
        self._waiting.clear()
        self._samples.clear()

    def statistics(self) -> OutboxStatistics:
        """What waits and what was lost."""
        return OutboxStatistics(waiting=len(self._waiting), coalesced=self._coalesced, dropped=self._dropped)


def _key(message: Message) -> Hashable | None:
    """What an unsent message is replaced by a newer one of; None: by nothing."""
    match message:
        case RuleLevel():
            alarm = message.level is Level.ALARM
            return ("rule", message.stream, message.session if alarm else "", message.rule, alarm)
        case StreamLevel() | Assign() | Release() | Restand():
            return (message.type, message.stream)
        case Demand():  # one that stands and one for now do not replace each other
            return (message.type, message.stream, message.for_s > 0)
        case Beat() | Configure():
            return (message.type,)
        case _:
            return None


def _outdated_by(message: Message) -> tuple[Hashable, ...]:
    """Keys of other kinds whose unsent messages would be wrong after this one."""
    match message:
        case RuleLevel() if message.level is Level.ALARM:
            return (("rule", message.stream, "", message.rule, False),)
        case Assign():
            return (("assign", message.stream), ("restand", message.stream), *_demands(message.stream))
        case Release():
            return (
                ("assign", message.stream),
                ("restand", message.stream),
                *_demands(message.stream),
                ("release", message.stream),
            )
        case _:
            return ()


def _demands(stream: str) -> tuple[Hashable, ...]:
    return ("demand", stream, True), ("demand", stream, False)
