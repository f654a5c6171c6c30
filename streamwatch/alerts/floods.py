"""Many streams that open one rule within a short time: a fault of a model or a setting, more likely than not. Pure.

A flood begins with one stream more than the budget and ends when no further stream has joined for as long as the budget
counts. What is still at alarm then opens after all: a flood hides nothing for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from streamwatch.domain.streams import StreamId

MAX_STREAMS = 100_000
"""Of one rule; `limits.max_streams` allows no more."""


@dataclass(slots=True)
class Flood:
    """One rule's flood."""

    since: datetime
    streams: dict[StreamId, float] = field(default_factory=dict)
    """Those that opened the rule, and when (monotonic) each did first; the newest last."""
    newest: float = 0.0
    told: bool = False
    """Its summary was said."""
    released: bool = False
    """A person said that it is real: every stream opens an alert of its own again."""


class Floods:
    """Counts distinct streams for each rule. Times: monotonic seconds."""

    def __init__(self) -> None:
        self._opened: dict[str, dict[StreamId, tuple[float, datetime]]] = {}
        self._floods: dict[str, Flood] = {}

    def opens(
        self, rule: str, stream: StreamId, *, now: float, wall: datetime, limit: int, within_s: float
    ) -> Flood | None:
        """A stream is about to open a rule. Its flood, where there is one now. `limit` 0: there never is."""
        if not limit:
            return None
        flood = self._floods.get(rule)
        if flood is not None:
            if stream not in flood.streams and len(flood.streams) < MAX_STREAMS:
                flood.streams[stream] = flood.newest = now
            return flood
        opened = self._opened.setdefault(rule, {})
        opened.pop(stream, None)
        opened[stream] = (now, wall)
        while opened and next(iter(opened.values()))[0] < now - within_s:
            del opened[next(iter(opened))]
        if len(opened) <= limit:
            return None
        flood = Flood(since=next(iter(opened.values()))[1], newest=now)
        flood.streams.update({one: at for one, (at, _) in opened.items()})
        self._floods[rule] = flood
        del self._opened[rule]
        return flood

    def of(self, rule: str) -> Flood | None:
        """The flood of a rule that goes on."""
        return self._floods.get(rule)

    def over(self, *, now: float, within_s: float) -> list[str]:
        """Rules whose floods are over; they are forgotten."""
        over = [rule for rule, flood in self._floods.items() if now - flood.newest > within_s]
        for rule in over:
            del self._floods[rule]
        return over
