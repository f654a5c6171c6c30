"""Demands from outside: who wants which stream looked at harder, how much, why, and until when.

The one place for them: boosts of people, and risk signals of other systems. The strongest counts, and none ever
lowers what the evidence asks for: it goes to the stream's watcher, which looks at least so often. A demand is durable
when `place` returns, and is forgotten when it expires or its stream is gone.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from streamwatch.alerts.base import Notes, RiskSignal
from streamwatch.daemon.demand import Demand, DemandKind, line_of, read
from streamwatch.domain.clock import Clock
from streamwatch.domain.streams import StreamId

RENEW_S = 5.0
"""A watcher is told again so often: one that is new, or lost the message, knows within that."""
HOLD_S = 15.0
"""For so long it stands with a watcher that is not told again."""
_SHELVES = 64
"""Notes in the ledger among which streams are spread, so that one demand rewrites kilobytes and not megabytes."""
_NOTE = "demands/"


class Room(NamedTuple):
    """How many demands of a kind there is room for."""

    per_stream: int
    per_source: int
    overall: int


ROOMS: Mapping[DemandKind, Room] = {
    DemandKind.BOOST: Room(per_stream=8, per_source=500, overall=1000),
    DemandKind.SIGNAL: Room(per_stream=8, per_source=1000, overall=4000),
}
"""Apart, so that no system takes a person's place. A source may raise every stream of a usual node (1,000)."""


class Placed(StrEnum):
    """What became of a demand."""

    TAKEN = "taken"
    STREAM_FULL = "stream_full"
    SOURCE_FULL = "source_full"
    FULL = "full"


_Key = tuple[DemandKind, str]
"""Of whom: the newest of each replaces the one before."""


class Demands:
    """All that stand. Event loop only; calls take as long as the notes' write."""

    def __init__(self, *, notes: Notes, clock: Clock, rooms: Mapping[DemandKind, Room] = ROOMS) -> None:
        self._notes = notes
        self._clock = clock
        self._rooms = rooms
        self._standing: dict[StreamId, dict[_Key, Demand]] = {}
        self._held: Counter[_Key] = Counter()
        self._watched: set[StreamId] = set()
        self._told: dict[StreamId, tuple[float, float]] = {}
        """What a watcher was last told, and when."""
        self._shelves: tuple[set[StreamId], ...] = tuple(set() for _ in range(_SHELVES))
        """Streams with demands, by the note that holds these."""
        self._untidy: set[int] = set()
        """Notes that hold more than stands."""
        self._ends_at = math.inf
        """No demand expires before."""

    # --- which streams there are -------------------------------------------------------------------------------------

    def watch(self, stream: StreamId) -> None:
        """The stream is watched from now on, or with other settings: its watcher has yet to be told."""
        self._watched.add(stream)
        self._told.pop(stream, None)

    def forget(self, stream: StreamId) -> None:
        """The stream is gone, and with it what was demanded for it."""
        self._watched.discard(stream)
        self._told.pop(stream, None)
        for key in tuple(self._standing.get(stream, ())):
            self._drop(stream, key)

    def renew(self, streams: Iterable[StreamId]) -> None:
        """These have a new watcher, which has yet to be told."""
        for stream in streams:
            self._told.pop(stream, None)

    def restore(self) -> None:
        """Read back what stood when the daemon ended. What cannot be read is dropped. Raises LedgerError."""
        now, wall = self._clock.monotonic(), self._clock.now()
        for shelf in range(_SHELVES):
            note = self._notes.recall(f"{_NOTE}{shelf}")
            if note:
                self._untidy.add(shelf)
            for demand in read(note, now=now, wall=wall):
                if self._room_for(demand) is Placed.TAKEN:
                    self._put(demand)

    # --- what is demanded --------------------------------------------------------------------------------------------

    def place(self, demand: Demand) -> Placed:
        """Let a demand stand in the place of its source's last one for the stream. Raises LedgerError: nothing changes.

        Where a stream has no room, a stronger demand takes the place of the weakest; where there is no room at all,
        the source that holds most makes it. So no source starves another.
        """
        now = self._clock.monotonic()
        self._expire(now)
        before = self._standing.get(demand.stream, {}).get((demand.kind, demand.source))
        if before is None and (placed := self._room_for(demand)) is not Placed.TAKEN:
            weakest = self._gives_way(demand, placed)
            if weakest is None:
                return placed
            self._drop(weakest.stream, (weakest.kind, weakest.source))
        else:
            weakest = None
        self._put(demand)
        try:
            self._keep(_shelf(demand.stream))
        except Exception:
            self._drop(demand.stream, (demand.kind, demand.source))
            for one in (before, weakest):
                if one is not None:
                    self._put(one)
            raise
        return Placed.TAKEN

    def withdraw(self, stream: StreamId, kind: DemandKind, source: str) -> bool:
        """Take a source's demand back; False: none stood. Raises LedgerError: nothing changes."""
        before = self._standing.get(stream, {}).get((kind, source))
        if before is None:
            return False
        self._drop(stream, (kind, source))
        try:
            self._keep(_shelf(stream))
        except Exception:
            self._put(before)
            raise
        return True

    # --- what follows from it ----------------------------------------------------------------------------------------

    def due(self, streams: Iterable[StreamId] | None = None) -> Iterator[tuple[StreamId, float, float]]:
        """What watchers are to be told now: stream, suspicion, and for how many seconds. Call it about once a second.

        A change at once, what stands every few seconds. `streams`: of these alone; None: of all that are watched.
        """
        now = self._clock.monotonic()
        self._expire(now)
        for stream in tuple(self._watched) if streams is None else streams:
            if stream not in self._watched:
                continue
            wanted = self._strongest(stream)
            told, at = self._told.get(stream, (0.0, now))
            if wanted == told and (wanted == 0 or now - at < RENEW_S):
                continue
            if wanted:
                self._told[stream] = (wanted, now)
            else:
                self._told.pop(stream, None)
            yield stream, wanted, HOLD_S

    def signals(self, stream: StreamId) -> tuple[RiskSignal, ...]:
        """What other systems say of a stream now, the strongest first."""
        now = self._clock.monotonic()
        standing = [
            one for one in self._standing.get(stream, {}).values() if one.kind is DemandKind.SIGNAL and one.until > now
        ]
        standing.sort(key=lambda one: (-one.strength, one.source))
        return tuple(RiskSignal(one.source, one.strength, one.because, one.at) for one in standing)

    def tidy(self) -> None:
        """Rewrite one note that holds more than stands. Raises LedgerError; the next call tries again."""
        if self._untidy:
            self._keep(next(iter(self._untidy)))

    # --- how it is held ----------------------------------------------------------------------------------------------

    def _strongest(self, stream: StreamId) -> float:
        return max((one.weight for one in self._standing.get(stream, {}).values()), default=0.0)

    def _room_for(self, demand: Demand) -> Placed:
        room = self._rooms[demand.kind]
        if sum(kind is demand.kind for kind, _ in self._standing.get(demand.stream, ())) >= room.per_stream:
            return Placed.STREAM_FULL
        if self._held[demand.kind, demand.source] >= room.per_source:
            return Placed.SOURCE_FULL
        if sum(count for (kind, _), count in self._held.items() if kind is demand.kind) >= room.overall:
            return Placed.FULL
        return Placed.TAKEN

    def _gives_way(self, demand: Demand, placed: Placed) -> Demand | None:
        """Which demand makes room for another, if one does."""
        kind = demand.kind
        if placed is Placed.SOURCE_FULL:
            return None
        if placed is Placed.STREAM_FULL:
            if self._held[kind, demand.source] >= self._rooms[kind].per_source:
                return None
            rivals = [one for one in self._standing[demand.stream].values() if one.kind is kind]
            weakest = min(rivals, key=lambda one: (one.weight, one.until))
            return weakest if weakest.weight < demand.weight else None
        greedy, most = max(((key, n) for key, n in self._held.items() if key[0] is kind), key=lambda pair: pair[1])
        if self._held[kind, demand.source] + 1 >= most:
            return None
        theirs = [one for standing in self._standing.values() if (one := standing.get(greedy)) is not None]
        return min(theirs, key=lambda one: (one.weight, one.until))

    def _put(self, demand: Demand) -> None:
        standing, key = self._standing.setdefault(demand.stream, {}), (demand.kind, demand.source)
        self._held[key] += key not in standing
        standing[key] = demand
        self._shelves[_shelf(demand.stream)].add(demand.stream)
        self._ends_at = min(self._ends_at, demand.until)

    def _drop(self, stream: StreamId, key: _Key) -> None:
        del self._standing[stream][key]
        if not self._standing[stream]:
            del self._standing[stream]
            self._shelves[_shelf(stream)].discard(stream)
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        self._untidy.add(_shelf(stream))

    def _expire(self, now: float) -> None:
        if now < self._ends_at:
            return
        over = [(one.stream, key) for held in self._standing.values() for key, one in held.items() if one.until <= now]
        for stream, key in over:
            self._drop(stream, key)
        ends = (one.until for held in self._standing.values() for one in held.values())
        self._ends_at = min(ends, default=math.inf)

    def _keep(self, shelf: int) -> None:
        now, wall = self._clock.monotonic(), self._clock.now()
        demands = (one for stream in self._shelves[shelf] for one in self._standing[stream].values())
        lines = [line_of(one, now=now, wall=wall) for one in demands]
        self._notes.remember(f"{_NOTE}{shelf}", json.dumps(lines) if lines else None)
        self._untidy.discard(shelf)


def _shelf(stream: StreamId) -> int:
    return zlib.crc32(stream.encode("utf-8", "surrogatepass")) % _SHELVES
