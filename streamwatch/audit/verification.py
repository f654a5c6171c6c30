"""Whether lines are a log as it was written: what was deleted, inserted, changed or moved, and where. Pure.

Lines that follow each other form runs, of which a sound log has one. Of the runs of a damaged log those that rise and
together hold most lines are taken for the log; the others, and the holes between them, are what was done to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from streamwatch.audit.chain import GENESIS, Entry, Tip, Unreadable, read

RETENTION = "audit.retention"
"""Kind of the line that tells of what was deleted because it was old; its `n` and `hash` are of the last such line."""
MAX_RUNS = 1000
"""Of a log with more damage than that, the rest is not judged."""


class What(StrEnum):
    """What was done to a log; a closed list."""

    DELETION = "deletion"
    INSERTION = "insertion"
    CHANGE = "change"
    REORDER = "reorder"
    TORN = "torn"
    TRUNCATION = "truncation"


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong."""

    line: int
    """Which line of all that were read, from 1."""
    what: What
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.text}"


@dataclass(slots=True)
class Verified:
    """What a reading of a whole log found."""

    damages: list[Damage] = field(default_factory=list)
    """In the order of their lines; empty: the log is sound."""
    lines: int = 0
    first: int = 0
    """Number of the first line that is there; 0 where there is none."""
    tip: Tip = field(default_factory=Tip)
    """The newest line."""
    at: str = ""
    """When it was written."""
    seen: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Of the numbers that were asked for: on which line each stands (the last time), and its hash."""


@dataclass(slots=True)
class _Run:
    """Lines that follow each other."""

    start: int
    """Where its first line stands."""
    lo: int
    hi: int
    prev: str
    hash: str

    def follows(self, entry: Entry) -> bool:
        return entry.n == self.hi + 1 and entry.prev == self.hash

    def place(self, n: int) -> int:
        """Where the line of this number stands."""
        return self.start + n - self.lo

    @property
    def end(self) -> int:
        """Where its last line stands."""
        return self.place(self.hi)


def verify(lines: Iterable[bytes], *, wanted: Collection[int] = ()) -> Verified:
    """Judge the lines of a log, each with its end, from the oldest that is kept to the newest.

    `wanted`: numbers of lines whose hashes the caller wants to know.
    """
    found, look = Verified(), _Look()
    wanted = frozenset(wanted)
    for number, data in enumerate(lines, 1):
        found.lines = number
        if look.full:
            continue
        try:
            entry = read(data)
        except Unreadable as why:
            look.broken[number] = str(why)
            look.torn = not data.endswith(b"\n")
            continue
        look.take(number, entry)
        if entry.n in wanted:
            found.seen[entry.n] = (number, entry.hash)
        if entry.n >= found.tip.n:
            found.tip, found.at = Tip(entry.n, entry.hash), entry.at
    found.first = min((run.lo for run in look.runs), default=0)
    found.damages = sorted(look.judge(found.lines), key=lambda damage: damage.line)
    return found


class _Look:
    """What is remembered of the lines: a little for each run, nothing for each line."""

    def __init__(self) -> None:
        self.runs: list[_Run] = []
        self.broken: dict[int, str] = {}
        """Lines that cannot be read, and why."""
        self.torn = False
        """The last line has no end."""
        self._anchors: dict[int, str] = {0: GENESIS}

    @property
    def full(self) -> bool:
        return len(self.runs) + len(self.broken) >= MAX_RUNS

    def take(self, number: int, entry: Entry) -> None:
        run = self.runs[-1] if self.runs else None
        if run is not None and run.follows(entry) and run.end == number - 1:
            run.hi, run.hash = entry.n, entry.hash
        else:
            self.runs.append(_Run(number, entry.n, entry.n, entry.prev, entry.hash))
        if entry.kind == RETENTION:
            n, hashed = entry.facts.get("n"), entry.facts.get("hash")
            if type(n) is int and isinstance(hashed, str):
                self._anchors[n] = hashed

    def judge(self, lines: int) -> Iterator[Damage]:
        main = _longest(self.runs)
        starts = {run.start for run in main}
        strays = [run for run in self.runs if run.start not in starts]
        yield from self._strays(strays, main)
        before = None
        for run in main:
            yield from self._between(before, run, strays)
            before = run
        yield from self._after(before, lines)
        if self.full:
            yield Damage(lines, What.CHANGE, "there is so much damage before that the rest was not judged")

    def _strays(self, strays: list[_Run], main: list[_Run]) -> Iterator[Damage]:
        """Runs that stand where they do not belong."""
        for run in strays:
            named = _named(run.lo, run.hi)
            if _uncovered(run.lo, run.hi, main):
                yield Damage(run.start, What.REORDER, f"{named} {_stand(run)} here, out of order")
            else:
                there = next(one.place(run.lo) for one in main if one.lo <= run.lo <= one.hi)
                yield Damage(run.start, What.INSERTION, f"{named} {_stand(run)} here, and again at line {there}")

    def _between(self, before: _Run | None, run: _Run, strays: list[_Run]) -> Iterator[Damage]:
        """What is wrong where one run of the log ends, or the log begins, and the next one begins."""
        if before is not None and run.lo <= before.hi:
            doubled = _named(run.lo, before.hi)
            yield Damage(before.place(run.lo), What.INSERTION, f"{doubled} stands here, and again at line {run.start}")
            return
        n, hashed = (before.hi, before.hash) if before is not None else self._base(run.lo)
        broken = [one for one in self.broken if (before.end if before is not None else 0) < one < run.start]
        missing = _holes(n + 1, run.lo - 1, strays)
        changed = min(sum(hi - lo + 1 for lo, hi in missing), len(broken))
        for one in broken[:changed]:
            yield Damage(one, What.CHANGE, self.broken[one])
        for one in broken[changed:]:
            yield Damage(one, What.INSERTION, f"{self.broken[one]}, and the lines before and after it belong together")
        for lo, hi in _without(missing, changed):
            text = f"{_named(lo, hi)} should stand before this line and {'is' if lo == hi else 'are'} missing"
            if before is None and n == 0:
                text += ", and no later line tells that it was deleted for its age"
            yield Damage(run.start, What.DELETION, text)
        if run.lo == n + 1 and run.prev != hashed:
            if before is None:
                yield Damage(run.start, What.CHANGE, "it was written after another line than once stood before it")
            else:
                yield Damage(before.end, What.CHANGE, "the line after it was written after another one than this")

    def _after(self, last: _Run | None, lines: int) -> Iterator[Damage]:
        """Lines behind the last one that can be read."""
        for one, why in self.broken.items():
            if last is None or one > last.end:
                torn = self.torn and one == lines
                yield Damage(one, What.TORN if torn else What.CHANGE, why)

    def _base(self, lo: int) -> tuple[int, str]:
        """Number and hash of the line before the oldest that should be there."""
        n = max(anchor for anchor in self._anchors if anchor < lo)
        return n, self._anchors[n]


def _longest(runs: list[_Run]) -> list[_Run]:
    """Of the runs, in the order in which they stand, those that rise and together hold most numbers."""
    weight: list[int] = []
    came: list[int | None] = []
    for index, run in enumerate(runs):
        best, source = run.hi - run.lo + 1, None
        for other in range(index):
            earlier = runs[other]
            if earlier.lo < run.lo and earlier.hi < run.hi:
                together = weight[other] + run.hi - max(earlier.hi, run.lo - 1)
                if together > best:
                    best, source = together, other
        weight.append(best)
        came.append(source)
    chosen: list[_Run] = []
    at = max(range(len(runs)), key=weight.__getitem__, default=None)
    while at is not None:
        chosen.append(runs[at])
        at = came[at]
    return chosen[::-1]


def _uncovered(lo: int, hi: int, runs: list[_Run]) -> bool:
    """Whether a number from `lo` to `hi` is in none of the rising runs."""
    for run in runs:
        if run.lo > lo:
            return True
        lo = max(lo, run.hi + 1)
        if lo > hi:
            return False
    return True


def _holes(lo: int, hi: int, strays: list[_Run]) -> list[tuple[int, int]]:
    """The numbers from `lo` to `hi` that stand nowhere, as ranges."""
    holes = []
    for run in sorted(strays, key=lambda run: run.lo):
        if run.hi < lo or run.lo > hi:
            continue
        if run.lo > lo:
            holes.append((lo, run.lo - 1))
        lo = max(lo, run.hi + 1)
    return [*holes, (lo, hi)] if lo <= hi else holes


def _without(ranges: list[tuple[int, int]], count: int) -> Iterator[tuple[int, int]]:
    """The ranges without their first `count` numbers."""
    for lo, hi in ranges:
        taken = min(count, hi - lo + 1)
        count -= taken
        if lo + taken <= hi:
            yield lo + taken, hi


def _named(lo: int, hi: int) -> str:
    return f"n={lo}" if lo == hi else f"n={lo} to n={hi}"


def _stand(run: _Run) -> str:
    return "stands" if run.lo == run.hi else "stand"
