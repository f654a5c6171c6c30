"""Random worlds: what happens to streams, who tells it when, and, worked out tick by tick, what was covered.

`truth` knows nothing of the books. It paints every tick of every stream by the definition of the public interface, and
counts. All moments are whole ticks, so that nothing is lost by rounding.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from streamwatch.coverage.books import Books
from streamwatch.domain.coverage import BooksRecord
from streamwatch.domain.streams import Reason, StreamId

TICK_S = 0.05
RECORD_EVERY = 200
"""Ticks: ten seconds, as the daemon does."""
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
    """What is told, in order; and, where the world knows better, what really was."""

    length: int
    told: list[Word] = field(default_factory=list)
    real: list[Word] = field(default_factory=list)


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
    live_since: int | None = None
    newest, gap, named, unseen, before = -(10**9), 0, None, False, False
    for tick in range(length):
        while word is not None and word.tick <= tick:
            match word.kind:
                case "watch" | "gap":
                    gap = word.gap
                case "live":
                    unseen = unseen and live_since is not None
                    live_since = tick if live_since is None else live_since
                    named = word.reason
                case "ended":
                    live_since, named = None, None
                case "reason":
                    named = word.reason
                case "lost":
                    named, unseen = Reason.WATCHER, True
                case "away":
                    named, unseen = Reason.RESTART, True
                case "frame":
                    unseen = False
            word = next(waiting, None)
        if arrived[tick]:
            newest = tick
        if live_since is None:
            before = False
            continue
        found.live += 1
        uncovered = tick - max(newest, live_since) >= gap
        if uncovered:
            found.uncovered[named or (Reason.CONNECTING if unseen else Reason.OVERLOAD)] += 1
            found.breaches += not before
        before = uncovered
    return found


def forgotten(told: list[Word]) -> Iterator[Word]:
    """What was told as a restarted daemon remembers it: nothing between its last record and its death.

    `away` is said at the tick of the last record, `back` when it is there again.
    """
    gone = [(word.tick, word.arrival) for word in told if word.kind == "away"]
    for word in told:
        if word.kind in {"watch", "gap", "away", "back"} or not any(r < word.tick <= died for r, died in gone):
            yield word


def play(story: Story, *, boots: bool, books: Books | None = None) -> Books:
    """Tell the story to books, second for second; `boots`: the machine restarts with the daemon."""
    books = books or Books()
    gaps: dict[str, float] = {}
    died: int | None = None
    record: BooksRecord | None = None
    waiting = sorted(story.told, key=lambda word: word.tick)
    away = {word.arrival: word.tick for word in waiting if word.kind == "away"}
    place, number, shift = 0, 0, 0.0
    started = 0
    for tick in range(story.length + 1):
        now = tick * TICK_S - shift  # the monotonic clock, which another boot begins anew
        while place < len(waiting) and waiting[place].tick <= tick:
            word = waiting[place]
            place += 1
            if word.kind == "back" and died is not None:
                died, started = None, tick
                if boots:
                    number += 1
                    shift = tick * TICK_S - 5.0
                    now = 5.0
                assert record is not None
                books = Books()
                books.restore(record, now=now, wall=tick * TICK_S, boot=str(number), new_session=lambda: "again")
                for stream, gap_s in gaps.items():
                    books.watch(StreamId(stream), max_gap_s=gap_s, now=now)
                books.judge(now)
            elif died is None:
                _tell(books, word, now, shift, gaps)
        if died is None and tick in away:
            died = tick
            if record is None or away[tick] == tick:  # an orderly stop writes once more
                record = _through(books.record(now, wall=tick * TICK_S, boot=str(number)), record)
        if died is not None:
            continue
        if tick % PULSE == 0:
            books.judge(now)
        if (tick - started) % RECORD_EVERY == 0:
            record = _through(books.record(now, wall=tick * TICK_S, boot=str(number)), record)
            books.recorded(record)
    return books


def _through(record: BooksRecord, before: BooksRecord | None = None) -> BooksRecord:
    """As a ledger keeps it: buckets that are not written again stay."""
    kept: dict[tuple[str, str], dict[tuple[int, int], object]] = {}
    for one in (before, record):
        for page in one.pages if one else ():
            kept.setdefault((page.kind, page.name), {}).update({(b.width_s, b.number): b for b in page.buckets})
    pages = tuple(
        type(page)(page.kind, page.name, page.facts, tuple(kept[page.kind, page.name].values()))
        for page in record.pages
    )
    return BooksRecord(record.at, record.wall, record.monotonic, record.boot, pages, record.gone, record.oldest)


def _tell(books: Books, word: Word, now: float, shift: float, gaps: dict[str, float]) -> None:
    stream = StreamId(word.stream)
    match word.kind:
        case "watch" | "gap":
            gaps[word.stream] = word.gap * TICK_S
            books.watch(stream, max_gap_s=word.gap * TICK_S, now=now)
        case "live" | "reason":
            books.level(stream, session="s", live=True, ended=False, reason=word.reason, now=now)
        case "ended":
            books.level(stream, session="s", live=False, ended=True, reason=None, now=now)
        case "lost":
            books.hindered([stream], Reason.WATCHER, now)
        case "frame":
            books.sampled(stream, arrival=word.arrival * TICK_S - shift, gap_s=None, now=now)


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
    story = Story(length)
    for number in range(streams):
        _life(story, rng, f"s{number}", away, [kill for kill in kills if rng.random() < 0.5], busy)
    return story


def _life(
    story: Story,
    rng: random.Random,
    name: str,
    away: list[tuple[int, int, int]],
    kills: list[int],
    busy: list[tuple[int, int]],
) -> None:
    told: list[Word] = []
    gap = ticks(rng.choice([2.0, 5.0, 10.0, 20.0]))
    told.append(Word(0, name, "watch", gap=gap))
    blind: list[tuple[int, int]] = []
    """When no frame is examined."""
    for recorded, died, back in away:
        told += [Word(recorded, name, "away", arrival=died), Word(back, name, "back")]
        first = back + ticks(rng.uniform(0.5, 3))
        told.append(Word(first, name, "reason"))
        blind.append((died, first + ticks(rng.uniform(0, 3))))
    for kill in kills:
        first = kill + ticks(rng.uniform(0.5, 3))
        told += [Word(kill, name, "lost"), Word(first, name, "reason")]
        blind.append((kill, first + ticks(rng.uniform(0, 4))))
    begin, end = ticks(rng.uniform(0, 120)), story.length
    if rng.random() < 0.4:
        end = ticks(rng.uniform(0.5, 0.95) * story.length * TICK_S)
    told.append(Word(begin, name, "live"))
    if end < story.length:
        told.append(Word(end, name, "ended"))
    for _ in range(rng.randrange(3)):
        stall = rng.randrange(begin, story.length)
        over = stall + ticks(rng.uniform(8, 90))
        told += [Word(stall + ticks(5), name, "reason", Reason.STALLED), Word(over, name, "reason")]
        blind.append((stall, over))
    tick = begin
    while tick < end:
        late = any(a <= tick < b for a, b in busy)
        tick += max(1, round(gap * (rng.uniform(0.8, 2.6) if late else rng.uniform(0.4, 0.97))))
        if not any(a <= tick < b for a, b in blind):
            reported = tick + ticks(rng.uniform(1, 8) if late else rng.uniform(0.1, 1.2))
            told.append(Word(reported, name, "frame", arrival=tick))
    dead = [(died, back) for _, died, back in away]
    told = [_postponed(word, dead) for word in told if word.tick <= story.length and not _unheard(word, dead)]
    told = [word for word in told if word.tick <= story.length]
    if end < story.length:  # an ended stream is live again only when it is said so
        told = [word for word in told if word.kind != "reason" or word.tick < end]
    told = [word for word in told if word.kind != "reason" or word.tick > begin]
    story.told += told
    story.real += [word for word in told if word.kind != "frame"]
    story.real += [word for word in told if word.kind == "frame"]


def _unheard(word: Word, dead: list[tuple[int, int]]) -> bool:
    """Frames that nobody was there to hear of."""
    return word.kind in {"frame", "lost"} and any(a < word.tick < b for a, b in dead)


def _postponed(word: Word, dead: list[tuple[int, int]]) -> Word:
    """What happens while the daemon is away is said once it is back."""
    for begin, end in dead:
        if begin < word.tick < end and word.kind in {"live", "ended", "reason"}:
            return word._replace(tick=end + ticks(2))
    return word
