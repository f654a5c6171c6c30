"""Synthetic levels for the alert desk, as watchers would report them: alerts open, are updated and close, at a rate."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamwatch.alerts.base import StreamFacts
from streamwatch.alerts.desk import AlertDesk
from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Decision, Hit, Level
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import StreamId

LEAST, MOST = 3, 7
"""Events of one alert, the first and the closing one included."""
_FIRST_SCORE, _STEP = 0.5, 0.06
"""Each update scores so much higher, which an alert says at once; at most `MOST` times."""
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Part:
    """A stream and a rule that alerts are made of."""

    stream: StreamId
    rule: str


class Chorus:
    """Makes the desk speak. What is open it asks the desk, so that a restart confuses nobody. Event loop only."""

    def __init__(self, desk: AlertDesk, clock: Clock, *, singers: Sequence[Part], soloists: Sequence[Part]) -> None:
        """`singers` open, go on and close; `soloists` open once each, in their order, and stay open."""
        self._desk = desk
        self._clock = clock
        self._singers = tuple(singers)
        self._soloists = list(soloists)
        self._random = random.Random()
        self.counts: Counter[str] = Counter()
        """`spoken`: levels that should make an event, and that the desk took; `silent`: those that made none;
        `refused`: those that the ledger refused."""
        self.rate = 0.0
        self.solo_rate = 0.0

    async def sing(self) -> None:
        """Speak `rate` events a second, and open `solo_rate` alerts more, until cancelled."""
        singing = asyncio.create_task(self._paced(lambda: self.rate, self.step), name="chorus")
        try:
            await self._paced(lambda: self.solo_rate, self.solo)
        finally:
            singing.cancel()

    async def fill(self, events: int) -> None:
        """So many events, as fast as the ledger takes them."""
        goal = self.counts["spoken"] + events
        while self.counts["spoken"] < goal:
            for _ in range(_AT_ONCE):
                self.step()
            await asyncio.sleep(0)

    def step(self) -> None:
        """One event of one alert drawn at random."""
        part = self._random.choice(self._singers)
        entry = next((a for a in self._desk.open_alerts if (a.stream, a.rule) == (part.stream, part.rule)), None)
        if entry is None:
            self._level(part, Level.ALARM, _FIRST_SCORE)
        elif entry.seq + 1 < LEAST + zlib.crc32(entry.id.encode()) % (MOST - LEAST + 1):
            self._level(part, Level.ALARM, _FIRST_SCORE + _STEP * entry.seq)
        else:
            self._level(part, Level.CALM, 0.1)

    def solo(self) -> None:
        """Open one more alert that stays."""
        standing = {(alert.stream, alert.rule) for alert in self._desk.open_alerts}
        while self._soloists and (self._soloists[0].stream, self._soloists[0].rule) in standing:
            self._soloists.pop(0)  # of an earlier life
        if self._soloists:
            self._level(self._soloists.pop(0), Level.ALARM, 0.9)

    def _level(self, part: Part, level: Level, score: float) -> None:
        hit = Hit(at=self._clock.now(), arrival=self._clock.monotonic(), media_s=self._clock.monotonic(), score=score)
        decision = Decision(
            rule=part.rule,
            level=level,
            suspicion=score,
            score=score,
            hits=(hit,) if level is Level.ALARM else (),
            first_seen=hit,
            last_seen=hit,
        )
        facts = StreamFacts(
            id=part.stream,
            name=part.stream,
            origin="static",
            session="s1",
            watch_url=f"https://example.org/watch/{part.stream}",
            tests=True,
            still_live=True,
            shown=part.stream,
        )
        before = {alert.id: alert.seq for alert in self._desk.open_alerts}
        try:
            self._desk.observe(facts, decision)
        except LedgerError:
            self.counts["refused"] += 1
            return
        self.counts["spoken"] += 1
        if before == {alert.id: alert.seq for alert in self._desk.open_alerts}:
            self.counts["silent"] += 1

    async def _paced(self, rate: Callable[[], float], step: Callable[[], None]) -> None:
        begun, done, pace = self._clock.monotonic(), 0, 0.0
        while True:
            if rate() != pace:
                begun, done, pace = self._clock.monotonic(), 0, rate()
            for _ in range(min(int((self._clock.monotonic() - begun) * pace) - done, _AT_ONCE)):
                step()
                done += 1
            await self._clock.sleep(0.005)
