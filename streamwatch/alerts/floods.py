"""Many streams that open one rule within a short time: a fault of a model or a setting, more likely than not. Pure.

A flood begins with one stream more than the budget and ends when no further stream has joined for as long as the budget
counts, and at the latest twice that after a person settled it: what is still at alarm then opens after all, and whoever
keeps feeding a flood buys no silence. A flood hides nothing for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from streamwatch.domain.streams import StreamId

MAX_STREAMS = 100_000
"""Of one rule; `limits.max_streams` allows no more."""


@dataclass(slots=True)
class Flood:
    """One rule's flood."""

    since: datetime
    streams: dict[StreamId, str] = field(default_factory=dict)
    """Those that opened the rule, as documents show them; the newest last."""
    newest: float = 0.0
    """When (monotonic) the last one joined."""
    told: bool = False
    """Its summary was said."""
    released: bool = False
    """A person said that it is real: every stream opens an alert of its own again."""
    settled_at: float | None = None
    """When a person acknowledged or dismissed its summary."""
    held: set[StreamId] = field(default_factory=set)
    """Streams that have no alert of their own for it."""
    before: int = 0
    """Streams that were counted before a restart."""


class Floods:
    """Counts distinct streams for each rule. Times: monotonic seconds."""

    def __init__(self) -> None:
        self._opened: dict[str, dict[StreamId, tuple[float, datetime, str]]] = {}
        self._floods: dict[str, Flood] = {}

    def opens(
        self, rule: str, stream: StreamId, *, shown: str, now: float, wall: datetime, limit: int, within_s: float
    ) -> Flood | None:
        """A stream is about to open a rule. Its flood, where there is one now. `limit` 0: there never is."""
        if not limit:
            return None
        flood = self._floods.get(rule)
        if flood is not None:
            if stream not in flood.streams and len(flood.streams) < MAX_STREAMS:
                flood.streams[stream] = shown
                flood.newest = now
            return flood
        opened = self._opened.setdefault(rule, {})
        opened.pop(stream, None)
        opened[stream] = (now, wall, shown)
        while opened and next(iter(opened.values()))[0] < now - within_s:
            del opened[next(iter(opened))]
        if len(opened) <= limit:
            return None
        flood = Flood(since=next(iter(opened.values()))[1], newest=now)
        flood.streams.update({one: name for one, (_, _, name) in opened.items()})
        self._floods[rule] = flood
        del self._opened[rule]
        return flood

    def resume(self, rule: str, flood: Flood) -> None:
        """Go on with a flood that began before a restart."""
        self._floods[rule] = flood

    def of(self, rule: str) -> Flood | None:
        """The flood of a rule that goes on."""
        return self._floods.get(rule)

    def all(self) -> Iterator[tuple[str, Flood]]:
        """Every rule's flood that goes on."""
        return iter(self._floods.items())

    def ended(self, stream: StreamId) -> None:
        """A stream is over: it is not held back any more; it still counts."""
        for flood in self._floods.values():
            flood.held.discard(stream)

    def over(self, *, now: float, within_s: float) -> list[str]:
        """Rules whose floods are over; they are forgotten."""
        over = [
            rule
            for rule, flood in self._floods.items()
            if now - flood.newest > within_s
            or (flood.settled_at is not None and not flood.released and now - flood.settled_at > 2 * within_s)
        ]
        for rule in over:
            del self._floods[rule]
        return over
