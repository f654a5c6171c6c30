"""The looks of one stream, one at a time: which packets go to a decode worker, and what the worker does with them.

A look is submitted from the reader's thread or from the event loop, under the pipeline's lock; it runs in a decode
worker and tells its result from there, once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from streamwatch.domain.media import Packet
from streamwatch.runtime import look, lookback
from streamwatch.runtime.contiguous import Stretch
from streamwatch.runtime.look import Outcome, Seen
from streamwatch.runtime.lookback import Doubt
from streamwatch.runtime.turns import Station, Turns
from streamwatch.runtime.workers import DecoderCache, Workers
from streamwatch.sources.base import PacketBuffer


class Aim(StrEnum):
    """What a look was at."""

    KEY = "key"
    """A key picture alone."""
    BETWEEN = "between"
    """A picture between keys, decoded contiguously."""
    BACK = "back"
    """Pictures around a suspicious one, from what was already received."""


class Begun(StrEnum):
    """What became of a wish to look."""

    TAKEN = "taken"
    TURNED_AWAY = "turned away"
    """No worker had room."""
    NOTHING = "nothing"
    """There is nothing to look at (yet), or the look in progress goes first."""


class Chapter(NamedTuple):
    """To what a look belongs: things seen in another session are not evidence, media times of others do not compare."""

    session: str
    timeline: int


class Looked(NamedTuple):
    """A look that is over."""

    chapter: Chapter
    """In which it was begun; another may have begun since."""
    aim: Aim
    packet: Packet
    """At which it was begun."""
    seen: Sequence[Seen]


_BROKE_OFF = (Seen(Outcome.FAILED, detail="the look broke off"),)


class Looks:
    """One stream's. Every method but `wait` under the pipeline's lock; `done` is called in a worker's thread."""

    def __init__(
        self, *, buffer: PacketBuffer, workers: Workers, stations: Sequence[Station], done: Callable[[Looked], None]
    ) -> None:
        """`done` takes a result; whoever takes it calls `over` when everything that follows from it is done."""
        self.buffer = buffer
        self.turns = Turns(tuple(stations))
        self.missed = 0
        """Looks that were due and not taken."""
        self._workers = workers
        self._done = done
        self._idle = threading.Event()
        self._idle.set()
        self.chapter = Chapter("", 0)
        """What comes now belongs to it."""
        self._stretch: Stretch | None = None
        self.newest = -math.inf
        """Arrival of the packet at which the newest look was begun."""

    @property
    def idle(self) -> bool:
        """Whether a look can be begun."""
        return self._idle.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the look in progress; False where it takes too long. Any thread, without the lock."""
        return self._idle.wait(timeout_s)

    def over(self) -> None:
        """The result of the look in progress was taken: the next one may begin."""
        self._idle.set()

    @property
    def between_keys(self) -> bool:
        """Whether contiguous decoding runs."""
        return self._stretch is not None

    def stop_between(self) -> None:
        """End contiguous decoding."""
        self._stretch = None

    def forget(self) -> None:
        """Media time jumped or a new publisher came: what was buffered belongs to another timeline."""
        self.buffer.clear()
        self._stretch = None

    def at(self, packet: Packet, deadline: float) -> Begun:
        """Look at a key picture, or once at a picture between keys."""
        if packet.key:
            detectors = self.turns.at(packet.arrival)
            return self._submit(
                Aim.KEY,
                packet,
                deadline,
                lambda cache: (look.at_key(lambda: cache.get(packet.config), packet, detectors),),
            )
        packets = self.buffer.tail()
        if not packets:
            return Begun.NOTHING
        stretch = Stretch(packets)
        return self._submit(Aim.BETWEEN, packet, deadline, self._through(stretch, packet.arrival, score=True))

    def feed(self, packet: Packet, deadline: float, *, due: bool) -> Begun:
        """Decode on, packet by packet, since keys alone cannot keep the gap; look at the newest picture if `due`."""
        if self._stretch is None:
            beginning = self.buffer.tail()
            if not beginning:
                return Begun.NOTHING  # nothing to begin with before the next key
            self._stretch = Stretch(beginning)
        elif not self._stretch.add(packet):
            self.missed += 1
            self.forget()
            return Begun.NOTHING
        if self.idle and (due or self._stretch.ready(packet.arrival)):
            work = self._through(self._stretch, packet.arrival, score=due)
            begun = self._submit(Aim.BETWEEN, packet, deadline, work)
            if begun is Begun.TURNED_AWAY:
                self._stretch = None  # what was taken from it is lost to the decoder
            return begun
        return Begun.NOTHING

    def back(self, doubt: Doubt, deadline: float) -> Begun:
        """Look at what was received around a suspicious picture, far enough from it to count."""
        packets = self.buffer.held()
        wanted = lookback.instants(packets, doubt)
        if not wanted:
            return Begun.NOTHING
        detectors = self.turns.at(packets[-1].arrival)
        return self._submit(
            Aim.BACK,
            packets[-1],
            deadline,
            lambda cache: look.back(lambda: cache.get(packets[0].config), packets, wanted, detectors),
        )

    def _through(self, stretch: Stretch, arrival: float, *, score: bool) -> Callable[[DecoderCache], Sequence[Seen]]:
        packets = stretch.take(arrival)
        recent, detectors = stretch.recent(), self.turns.at(packets[-1].arrival)
        return lambda cache: (
            look.contiguous(lambda: stretch.decoder(cache, packets[0]), packets, detectors, recent=recent, score=score),
        )

    def _submit(
        self, aim: Aim, packet: Packet, deadline: float, work: Callable[[DecoderCache], Sequence[Seen]]
    ) -> Begun:
        if not self.idle:
            self.missed += packet.key  # between keys the look in progress answers the same wish
            return Begun.NOTHING
        self._idle.clear()
        self.newest = packet.arrival
        chapter = self.chapter

        def job(cache: DecoderCache) -> None:
            seen: Sequence[Seen] = _BROKE_OFF
            try:
                seen = work(cache)
            finally:
                self._done(Looked(chapter, aim, packet, seen))

        if self._workers.submit(deadline, job):
            return Begun.TAKEN
        self.missed += 1
        self._idle.set()
        return Begun.TURNED_AWAY
