"""One stream's live time, cut into spans that are covered and spans that are not, each with one reason. Pure.

What is known of a stream arrives late and out of order: a frame is reported after it was decoded and scored, and under
overload seconds after it arrived. So the newest part of the time is kept open: when what held from when on, and which
frames arrived. `spans` judges it as often as one likes; `settle` closes a part of it for ever.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable
from typing import NamedTuple

from streamwatch.domain.streams import Reason

MAX_MARKS = 256
"""Changes of mind kept open. Where more is said of a stream within its open part, the older half is settled early."""
MANY_ARRIVALS = 32
"""From here on frames are dropped that make no difference; with a promise of 100 ms, 200 of 10 s do make one."""


_NOTHING_S = 1e-6
"""A frame at the very end of the promise keeps it, whatever sums of moments are rounded to."""


class Mark(NamedTuple):
    """What holds from a moment on. Monotonic seconds."""

    at: float
    live_since: float | None
    """None: not live."""
    reason: Reason
    """Whose fault an uncovered second would be."""
    max_gap_s: float


class Span(NamedTuple):
    """Live time. `reason` None: covered."""

    start: float
    end: float
    reason: Reason | None


class Timeline:
    """The open part of one stream's time. Marks come in order of their moments, arrivals in any order."""

    __slots__ = ("arrivals", "base", "marks", "settled")

    def __init__(self, mark: Mark, *, settled: float | None = None, base: float = -math.inf) -> None:
        self.marks = [mark]
        self.arrivals: list[float] = []
        """Of examined frames, later than `settled`, in order."""
        self.base = base
        """Arrival of the newest examined frame that is not in `arrivals`."""
        self.settled = mark.at if settled is None else settled

    @property
    def newest(self) -> float:
        """Arrival of the newest examined frame; minus infinity before the first."""
        return self.arrivals[-1] if self.arrivals else self.base

    @property
    def watched_since(self) -> float:
        """Arrival of the newest examined frame, or the beginning of the live time."""
        since = self.marks[-1].live_since
        return max(self.newest, -math.inf if since is None else since)

    def mark(self, mark: Mark) -> None:
        """Something else holds from now on."""
        last = self.marks[-1]
        if mark[1:] == last[1:]:
            return
        if mark.at <= last.at:
            self.marks[-1] = mark._replace(at=last.at)
        else:
            self.marks.append(mark)

    def arrived(self, arrival: float) -> None:
        """A frame that arrived then was examined. Of a time that is settled already nothing changes any more."""
        if arrival <= self.settled:
            self.base = max(self.base, arrival)
            return
        insort(self.arrivals, arrival)
        if len(self.arrivals) > MANY_ARRIVALS:
            self.thin()

    def reason_at(self, at: float) -> Reason:
        """Whose fault a second is that lies in the open part."""
        found = self.marks[0].reason
        for mark in self.marks:
            if mark.at > at:
                break
            found = mark.reason
        return found

    def spans(self, until: float) -> list[Span]:
        """The live time from `settled` to `until`, as far as is known now; neighbours differ."""
        start = self.settled
        if until <= start:
            return []
        if len(self.marks) == 1:
            mark = self.marks[0]
            if mark.live_since is None:
                return []
            if mark.live_since <= start and self._plainly_covered(until, mark):
                return [Span(start, until, None)]
        return _merged(self._pieces(until))

    def settle(self, until: float) -> list[Span]:
        """The same, closed for ever."""
        found = self.spans(until)
        if until > self.settled:
            self.settled = until
            arrivals, marks = self.arrivals, self.marks
            while arrivals and arrivals[0] <= until:
                self.base = max(self.base, arrivals.pop(0))
            while len(marks) > 1 and marks[1].at <= until:
                del marks[0]
        return found

    def overfull(self) -> float | None:
        """Until when to settle early, where too much is kept open."""
        return self.marks[MAX_MARKS // 2].at if len(self.marks) > MAX_MARKS else None

    def thin(self) -> None:
        """Drop frames between two that are at most a gap apart: without them as much is covered."""
        gap_s = min(mark.max_gap_s for mark in self.marks)
        kept: list[float] = []
        for arrival in self.arrivals:
            if len(kept) > 1 and arrival - kept[-2] <= gap_s:
                kept[-1] = arrival
            else:
                kept.append(arrival)
        self.arrivals = kept

    def _plainly_covered(self, until: float, mark: Mark) -> bool:
        """Nearly every time: no two frames further apart than the gap."""
        held = max(self.base, mark.live_since or -math.inf) + mark.max_gap_s
        for arrival in self.arrivals:
            if until <= held or arrival > held:
                break
            held = arrival + mark.max_gap_s
        return until <= held

    def _pieces(self, until: float) -> Iterable[Span]:
        """Cut wherever a frame arrived or something else began to hold."""
        moments = (*self.arrivals, *(mark.at for mark in self.marks))
        start, mark_no = self.settled, 0
        for end in sorted({until, *(at for at in moments if start < at < until)}):
            while mark_no + 1 < len(self.marks) and self.marks[mark_no + 1].at <= start:
                mark_no += 1
            known = bisect_right(self.arrivals, start)
            base = max(self.base, self.arrivals[known - 1]) if known else self.base
            yield from _cut(start, end, base, self.marks[mark_no])
            start = end


def _cut(start: float, end: float, base: float, mark: Mark) -> Iterable[Span]:
    """One piece in which nothing changes: covered up to the deadline, uncovered beyond it."""
    if mark.live_since is None:
        return
    broken = min(max(start, max(base, mark.live_since) + mark.max_gap_s), end)
    if end - broken < _NOTHING_S:
        broken = end
    if broken > start:
        yield Span(start, broken, None)
    if end > broken:
        yield Span(broken, end, mark.reason)


def _merged(pieces: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for piece in pieces:
        if found and found[-1].end == piece.start and found[-1].reason is piece.reason:
            found[-1] = Span(found[-1].start, piece.end, piece.reason)
        else:
            found.append(piece)
    return found
