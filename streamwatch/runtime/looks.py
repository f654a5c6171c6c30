"""The looks of one stream, one at a time: which packets go to a decode worker, and what the worker does with them.

A look is submitted from the reader's thread or from the event loop, under the pipeline's lock; it runs in a decode
worker and tells its result from there, once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from streamwatch.domain.clock import Clock
from streamwatch.domain.media import Aim, Packet
from streamwatch.runtime import look, lookback
from streamwatch.runtime.contiguous import Stretch
from streamwatch.runtime.look import Outcome, Seen
from streamwatch.runtime.lookback import Doubt
from streamwatch.runtime.turns import Station, Turns
from streamwatch.runtime.workers import DecoderCache, Workers
from streamwatch.sampling.capacity import Claim
from streamwatch.sampling.schedule import Wish
from streamwatch.sources.base import PacketBuffer


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
    size: int = 0
    """Bytes of all packets that were decoded for it, where those were more than one."""
    asked: bool = True
    """Whether a picture was to be scored; else the decoder was only fed."""


class Pricing(Protocol):
    """What looks at this stream take, seconds of processor time. Any thread."""

    @property
    def score_s(self) -> float:
        """Scaling and inference of one."""
        ...

    def key_s(self, codec: str, size: float) -> float:
        """Decoding a key picture of so many bytes."""
        ...

    def between_s(self, codec: str, size: float) -> float:
        """Decoding so many bytes of pictures one after another."""
        ...


_BROKE_OFF = (Seen(Outcome.FAILED, detail="the look broke off"),)

IN_TIME_S = 1.0
"""So long after the promise ran out a picture that keeps it is looked at rather than a newer one that breaks it: the
daemon waits as long before it calls a stream uncovered."""


class _Key(NamedTuple):
    """A key picture that a look may be at."""

    packet: Packet
    chapter: Chapter


class _Choice:
    """At which key picture a look that waits for a worker will be: known when its turn comes. Under the lock."""

    def __init__(self, first: _Key, promise_until: float) -> None:
        self._first = self._newest = first
        self._promise_until = promise_until

    def offer(self, key: _Key) -> None:
        """A newer one came."""
        self._newest = key

    def made(self, now: float) -> _Key:
        """The newest one, but for one that keeps a promise which the newest would break."""
        first, newest = self._first, self._newest
        if first.chapter != newest.chapter or newest.packet.arrival <= self._promise_until:
            return newest
        in_time = first.packet.arrival <= self._promise_until and now <= self._promise_until + IN_TIME_S
        return first if in_time else newest


class Looks:
    """One stream's. Every method but `wait` under the pipeline's lock; `done` is called in a worker's thread."""

    def __init__(
        self,
        *,
        buffer: PacketBuffer,
        workers: Workers,
        stations: Sequence[Station],
        done: Callable[[Looked], None],
        lock: threading.RLock,
        prices: Pricing,
        clock: Clock,
    ) -> None:
        """`done` takes a result; whoever takes it calls `over` when everything that follows from it is done.

        `lock`: the pipeline's; a worker takes it for a moment, to learn which picture it is to look at.
        """
        self.buffer = buffer
        self._lock = lock
        self._prices = prices
        self._clock = clock
        self._choice: _Choice | None = None
        """Of the look that waits, if it is one at a key picture."""
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

    def at(self, packet: Packet, wish: Wish, *, promise_until: float) -> Begun:
        """Look at a key picture, or once at a picture between keys.

        While a look at a key waits for its turn, newer keys take the place of older ones: what is looked at late should
        at least not be old.
        """
        if packet.key:
            return self._at_key(packet, wish, promise_until)
        packets = self.buffer.tail() if self.idle else ()
        if not packets:
            return Begun.NOTHING
        stretch = Stretch(packets)
        return self._submit(Aim.INNER, packet, wish, *self._through(stretch, score=True))

    def feed(self, packet: Packet, wish: Wish, *, due: bool) -> Begun:
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
            return self._submit(Aim.BETWEEN, packet, wish, *self._through(self._stretch, score=due))
        return Begun.NOTHING

    def back(self, doubt: Doubt, wish: Wish) -> Begun:
        """Look at what was received around a suspicious picture, far enough from it to count, before anything else."""
        packets: Sequence[Packet] = self.buffer.held() if self.idle else ()
        wanted = lookback.instants(packets, doubt)
        if not wanted:
            return Begun.NOTHING
        packets = lookback.beginning(packets, wanted)
        detectors = tuple(station.detector for station in self.turns.stations)  # whoever suspects it must see it again
        cost_s = self._prices.between_s(packets[0].config.codec, _bytes(packets)) + len(wanted) * self._prices.score_s
        chapter, newest = self.chapter, packets[-1]

        def work(cache: DecoderCache) -> Looked:
            seen = look.back(lambda: cache.get(packets[0].config), packets, wanted, detectors)
            return Looked(chapter, Aim.BACK, newest, seen)  # decoded in pieces: no measure of bytes

        return self._submit(Aim.BACK, newest, wish._replace(claim=Claim.SUSPICION, gap_s=0.0), cost_s, work)

    def _at_key(self, packet: Packet, wish: Wish, promise_until: float) -> Begun:
        key = _Key(packet, self.chapter)
        if not self.idle:
            self.missed += 1
            if self._choice is not None:
                self._choice.offer(key)
            return Begun.NOTHING
        choice = self._choice = _Choice(key, promise_until)

        def work(cache: DecoderCache) -> Looked:
            with self._lock:
                chosen, chapter = choice.made(self._clock.monotonic())
                self._choice = None
                detectors = self.turns.at(chosen.arrival)
            seen = look.at_key(lambda: cache.get(chosen.config), chosen, detectors)
            return Looked(chapter, Aim.KEY, chosen, (seen,))

        cost_s = self._prices.key_s(packet.config.codec, packet.size) + self._prices.score_s
        begun = self._submit(Aim.KEY, packet, wish, cost_s, work)
        if begun is not Begun.TAKEN:
            self._choice = None
        return begun

    def _through(self, stretch: Stretch, *, score: bool) -> tuple[float, Callable[[DecoderCache], Looked]]:
        """What it takes to decode on to the newest packet, whichever that is when the look's turn comes."""
        aim = Aim.BETWEEN if stretch is self._stretch else Aim.INNER
        chapter = self.chapter

        def work(cache: DecoderCache) -> Looked:
            with self._lock:
                packets = stretch.take()
                recent, detectors = stretch.recent(), self.turns.at(packets[-1].arrival)
            seen = look.contiguous(
                lambda: stretch.decoder(cache, packets[0]), packets, detectors, recent=recent, score=score
            )
            return Looked(chapter, aim, packets[-1], (seen,), _bytes(packets), asked=score)

        cost_s = self._prices.between_s(stretch.codec, stretch.size) + score * self._prices.score_s
        return cost_s, work

    def _submit(
        self, aim: Aim, packet: Packet, wish: Wish, cost_s: float, work: Callable[[DecoderCache], Looked]
    ) -> Begun:
        if not self.idle:
            return Begun.NOTHING  # between keys the look in progress answers the same wish
        self._idle.clear()
        self.newest = packet.arrival
        chapter = self.chapter

        def job(cache: DecoderCache) -> None:
            looked = Looked(chapter, aim, packet, _BROKE_OFF)
            try:
                looked = work(cache)
            finally:
                self._done(looked)

        if self._workers.submit(wish, job, cost_s=cost_s):
            return Begun.TAKEN
        self.missed += 1
        self._idle.set()
        return Begun.TURNED_AWAY


def _bytes(packets: Sequence[Packet]) -> int:
    return sum(len(packet.data) for packet in packets)
