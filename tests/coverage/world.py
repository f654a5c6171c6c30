"""Random worlds: what happens to streams, who tells it when, and, worked out tick by tick, what was covered.

`truth` knows nothing of the books. It paints every tick of every stream by the definition of the public interface, and
counts. All moments are whole ticks, so that nothing is lost by rounding.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from streamwatch.coverage.books import Books
from streamwatch.coverage.breaches import TRIFLE_S, OnBreach
from streamwatch.domain.coverage import BooksRecord, Page
from streamwatch.domain.streams import Reason, StreamId

TICK_S = 0.05
RECORD_EVERY = 100
"""Ticks: five seconds, as the daemon does for few streams."""
PULSE = 5
"""Ticks: a quarter of a second, as the daemon does."""


class Word(NamedTuple):
    """Something that is said at a tick. `kind` decides which of the others mean anything."""

    tick: int
    stream: str
    kind: str
    """`watch`, `live`, `ended`, `reason`, `lost` (its watcher), `frame`, `gap`, `away` (daemon), `back`."""
    reason: Reason | None = None
    arrival: int = 0
    gap: int = 0


@dataclass
class Story:
    """What is told, by ticks."""

    length: int
    told: list[Word] = field(default_factory=list)


@dataclass
class Truth:
    live: int = 0
    uncovered: Counter[Reason] = field(default_factory=Counter)
    breaches: int = 0

    @property
    def ratio(self) -> float:
        return 1 - sum(self.uncovered.values()) / self.live if self.live else 1.0


def truth(words: Iterable[Word], length: int) -> dict[str, Truth]:
    """Paint every tick."""
    by_stream: dict[str, list[Word]] = {}
    # in the order in which they were said; the last record is written after all that was said at its tick
    for word in sorted(words, key=lambda word: (word.tick, word.kind == "away")):
        by_stream.setdefault(word.stream, []).append(word)
    return {stream: _painted(said, length) for stream, said in by_stream.items()}


def _painted(said: list[Word], length: int) -> Truth:
    found = Truth()
    arrived = bytearray(length + 1)
    for word in said:
        if word.kind == "frame":
            arrived[word.arrival] = 1
    waiting = iter(said)
    word = next(waiting, None)
    holds, newest, run = _Holds(), -(10**9), 0
    for tick in range(length):
        while word is not None and word.tick <= tick:
            holds.hear(word, tick)
            word = next(waiting, None)
        if arrived[tick]:
            newest = tick
        if holds.live_since is None:
            run = 0
            continue
        found.live += 1
        uncovered = tick - max(newest, holds.live_since) >= holds.gap
        if uncovered:
            found.uncovered[holds.fault] += 1
        run = run + 1 if uncovered else 0
        found.breaches += run == round(TRIFLE_S / TICK_S)
    return found


@dataclass
class _Holds:
    """What holds at a tick, by what was said until then."""

    gap: int = 0
    live_since: int | None = None
    named: Reason | None = None
    unseen: bool = False
    """The watcher, or the daemon, was lost, and no frame was examined since."""

    def hear(self, word: Word, tick: int) -> None:
        match word.kind:
            case "watch" | "gap":
                self.gap = word.gap
            case "live":
                self.unseen = self.unseen and self.live_since is not None
                self.live_since = tick if self.live_since is None else self.live_since
                self.named = word.reason
            case "ended":
                self.live_since, self.named = None, None
            case "reason":
                self.named = word.reason
            case "lost" | "away":
                self.named, self.unseen = (Reason.WATCHER if word.kind == "lost" else Reason.RESTART), True
            case "frame":
                self.unseen = False

    @property
    def fault(self) -> Reason:
        return self.named or (Reason.CONNECTING if self.unseen else Reason.OVERLOAD)


def forgotten(told: list[Word]) -> Iterator[Word]:
    """What was told as a restarted daemon remembers it: nothing between its last record and its death.

    `away` is said at the tick of the last record, `back` when it is there again.
    """
    gone = [(word.tick, word.arrival) for word in told if word.kind == "away"]
    for word in told:
        if word.kind in {"watch", "gap", "away", "back"} or not any(r < word.tick <= died for r, died in gone):
            yield word


def play(story: Story, *, boots: bool, on_breach: OnBreach | None = None) -> Books:
    """Tell the story to books as a daemon does; `boots`: the machine restarts with the daemon."""
    daemon = _Daemon(boots=boots, on_breach=on_breach)
    waiting = sorted(story.told, key=lambda word: word.tick)
    away = {word.arrival: word.tick for word in waiting if word.kind == "away"}
    place = 0
    for tick in range(story.length + 1):
        while place < len(waiting) and waiting[place].tick <= tick:
            daemon.hear(waiting[place], tick)
            place += 1
        if tick in away and daemon.alive:
            daemon.die(tick, orderly=away[tick] == tick)
        daemon.pulse(tick)
    return daemon.books


class _Daemon:
    """Keeps books, writes them down, dies, is there again."""

    def __init__(self, *, boots: bool, on_breach: OnBreach | None) -> None:
        self._on_breach = on_breach
        self.books = Books(on_breach=on_breach)
        self.alive = True
        self._boots = boots
        self._gaps: dict[str, float] = {}
        self._record: BooksRecord | None = None
        self._started = 0
        self._boot = 0
        self._shift = 0.0
        """Another boot begins the monotonic clock anew."""

    def now(self, tick: int) -> float:
        return tick * TICK_S - self._shift

    def hear(self, word: Word, tick: int) -> None:
        if word.kind == "back":
            if not self.alive:
                self._come_back(tick)
        elif self.alive:
            self._tell(word, self.now(tick))

    def die(self, tick: int, *, orderly: bool) -> None:
        if orderly or self._record is None:
            self._write(tick)
        self.alive = False

    def pulse(self, tick: int) -> None:
        if self.alive and tick % PULSE == 0:
            self.books.judge(self.now(tick))
        if self.alive and (tick - self._started) % RECORD_EVERY == 0:
            self._write(tick)

    def _write(self, tick: int) -> None:
        record = self.books.record(self.now(tick), wall=tick * TICK_S, boot=str(self._boot))
        self._record = through(record, self._record)
        self.books.recorded(record)

    def _come_back(self, tick: int) -> None:
        assert self._record is not None
        self.alive, self._started = True, tick
        if self._boots:
            self._boot += 1
            self._shift = tick * TICK_S - 5.0
        now = self.now(tick)
        self.books = Books(on_breach=self._on_breach)
        self.books.restore(self._record, now=now, wall=tick * TICK_S, boot=str(self._boot), new_session=lambda: "again")
        for stream, gap_s in self._gaps.items():
            self.books.watch(StreamId(stream), max_gap_s=gap_s, now=now)
        self.books.judge(now)

    def _tell(self, word: Word, now: float) -> None:
        stream = StreamId(word.stream)
        match word.kind:
            case "watch" | "gap":
                self._gaps[word.stream] = word.gap * TICK_S
                self.books.watch(stream, max_gap_s=word.gap * TICK_S, now=now)
            case "live" | "reason":
                self.books.level(stream, session="s", live=True, ended=False, reason=word.reason, now=now)
            case "ended":
                self.books.level(stream, session="s", live=False, ended=True, reason=None, now=now)
            case "lost":
                self.books.hindered([stream], Reason.WATCHER, now)
            case "frame":
                self.books.sampled(stream, arrival=word.arrival * TICK_S - self._shift, gap_s=None, now=now)


def through(record: BooksRecord, before: BooksRecord | None = None) -> BooksRecord:
    """As a ledger keeps it: what is not written again stays, until it is said to be gone."""
    kept: dict[tuple[str, str], dict[tuple[int, int], object]] = {}
    facts: dict[tuple[str, str], str] = {}
    for one in (before, record):
        for page in one.pages if one else ():
            facts[page.kind, page.name] = page.facts
            kept.setdefault((page.kind, page.name), {}).update({(b.width_s, b.number): b for b in page.buckets})
    pages = tuple(
        Page(kind, name, facts[kind, name], tuple(buckets.values()))
        for (kind, name), buckets in kept.items()
        if kind != "stream" or name not in record.gone
    )
    return replace(record, pages=pages, gone=())


# --- worlds --------------------------------------------------------------------------------------------------------


def ticks(seconds: float) -> int:
    return round(seconds / TICK_S)


def world(seed: int, *, streams: int = 12, minutes: int = 60, restarts: int = 2) -> Story:
    """An hour of a node on a bad day: stalls, dead watchers, overload, restarts orderly and not."""
    rng = random.Random(seed)
    length = ticks(minutes * 60)
    away: list[tuple[int, int, int]] = []
    for number in range(restarts):
        died = ticks((number + rng.uniform(0.3, 0.7)) * minutes * 60 / max(restarts, 1))
        started = away[-1][2] if away else 0
        recorded = died if rng.random() < 0.4 else died - (died - started) % RECORD_EVERY
        away.append((recorded, died, died + ticks(rng.uniform(2, 40))))
    kills = sorted(ticks(rng.uniform(0, minutes * 60)) for _ in range(minutes // 8))
    busy = [(begin, begin + ticks(rng.uniform(60, 240))) for begin in (rng.randrange(length) for _ in range(2))]
    day, told = _Day(length, away, busy), []
    for number in range(streams):
        told += _life(rng, f"s{number}", day, [kill for kill in kills if rng.random() < 0.5])
    return Story(length, told)


@dataclass
class _Day:
    """What befalls all streams of a world."""

    length: int
    away: list[tuple[int, int, int]]
    """Last record, death, return of the daemon."""
    busy: list[tuple[int, int]]
    """When looks come late and few."""


def _life(rng: random.Random, name: str, day: _Day, kills: list[int]) -> list[Word]:
    """Everything that is told of one stream."""
    gap = ticks(rng.choice([2.0, 5.0, 10.0, 20.0]))
    begin, end = ticks(rng.uniform(0, 120)), day.length
    if rng.random() < 0.4:
        end = ticks(rng.uniform(0.5, 0.95) * day.length * TICK_S)
    hindered, told = _hindrances(rng, name, day, kills, begin)
    told = [word for word in told if word.kind != "reason" or begin < word.tick < end]
    told += [Word(0, name, "watch", gap=gap), Word(begin, name, "live")]
    if end < day.length:
        told.append(Word(end, name, "ended"))
    tick = begin
    while tick < end:
        late = any(a <= tick < b for a, b in day.busy)
        tick += max(1, round(gap * (rng.uniform(0.8, 2.6) if late else rng.uniform(0.4, 0.97))))
        if not any(a <= tick < b for a, b in hindered):
            reported = tick + ticks(rng.uniform(1, 8) if late else rng.uniform(0.1, 1.2))
            told.append(Word(reported, name, "frame", arrival=tick))
    dead = [(died, back) for _, died, back in day.away]
    told = [_postponed(word, dead) for word in told if not _unheard(word, dead)]
    return [word for word in told if word.tick <= day.length]


def _hindrances(
    rng: random.Random, name: str, day: _Day, kills: list[int], begin: int
) -> tuple[list[tuple[int, int]], list[Word]]:
    """When no frame is examined, and what is said of it."""
    told: list[Word] = []
    hindered: list[tuple[int, int]] = []
    for recorded, died, back in day.away:
        first = back + ticks(rng.uniform(0.5, 3))
        told += [Word(recorded, name, "away", arrival=died), Word(back, name, "back"), Word(first, name, "reason")]
        hindered.append((died, first + ticks(rng.uniform(0, 3))))
    for kill in kills:
        first = kill + ticks(rng.uniform(0.5, 3))
        told += [Word(kill, name, "lost"), Word(first, name, "reason")]
        hindered.append((kill, first + ticks(rng.uniform(0, 4))))
    for _ in range(rng.randrange(3)):
        stall = rng.randrange(begin, day.length)
        over = stall + ticks(rng.uniform(8, 90))
        told += [Word(stall + ticks(5), name, "reason", Reason.STALLED), Word(over, name, "reason")]
        hindered.append((stall, over))
    return hindered, told


def _unheard(word: Word, dead: list[tuple[int, int]]) -> bool:
    """Frames that nobody was there to hear of."""
    return word.kind in {"frame", "lost"} and any(a < word.tick < b for a, b in dead)


def _postponed(word: Word, dead: list[tuple[int, int]]) -> Word:
    """What happens while the daemon is away is said once it is back."""
    for begin, end in dead:
        if begin < word.tick < end and word.kind in {"live", "ended", "reason"}:
            return word._replace(tick=end + ticks(2))
    return word
