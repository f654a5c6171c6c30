"""Gets lines into the audit log in the end: what the disk refuses waits in memory, a bounded number of lines.

Event loop only. Nothing here ever raises, or waits for more than one fsync.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import Any

from streamwatch.audit.chain import Entry, Tip
from streamwatch.audit.log import AuditError, Fact, Journal
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.telemetry.health import Health

WAITING = 1000
"""Lines kept in memory while the disk takes none; more are counted."""
AT_ONCE = 100
"""Of them written at once, when it takes some again."""
AGE_EVERY_S, RETRY_S = 3600.0, 60.0
SPANS = 10
"""A segment spans at most so much of the time for which lines are kept, or a day: what is old goes by segments."""
_DAY_S = 86400.0

Line = tuple[str, Mapping[str, Any]]
"""Its kind, and its facts."""


class Scribe:
    """Writes, keeps what cannot be written, and lets go of what is old."""

    def __init__(self, *, journal: Journal, health: Health, clock: Clock, keep_s: float) -> None:
        """`keep_s`: seconds for which lines are kept."""
        self._journal = journal
        self._health = health
        self._clock = clock
        self._keep_s = keep_s
        self._waiting: deque[Fact] = deque()
        self._lost = 0
        self._age_at = float("-inf")

    @property
    def tip(self) -> Tip:
        """The newest line."""
        return self._journal.tip

    @property
    def last(self) -> Entry | None:
        """The newest line of before this run; None where there was none, or it is not known yet."""
        return self._journal.last

    def open(self) -> None:
        """Find out where the log ends, if the disk lets us."""
        with suppress(AuditError):  # the first line will say it
            self._journal.open()

    def close(self) -> None:
        """Let go of the log."""
        self._journal.close()

    def tick(self) -> None:
        """Write what waits, let go of what is old. Called every second or so."""
        self._flush()
        now = self._clock.monotonic()
        if now >= self._age_at:
            self._age_at = now + self._age()

    def write(self, *lines: Line) -> None:
        """Write lines, together; where others wait already, they wait too."""
        at, stuck = rfc3339(self._clock.now()), bool(self._waiting)
        self._waiting.extend(Fact(at, kind, facts) for kind, facts in lines)
        while len(self._waiting) > WAITING:
            self._waiting.popleft()
            self._lost += 1
        if not stuck:  # else `tick` tries again: a full disk must not cost every alert an attempt
            self._flush()

    def _flush(self) -> None:
        """Write what waits; where the disk refuses, it goes on waiting, and alerts do not."""
        while self._waiting:
            facts = list(islice(self._waiting, AT_ONCE))
            lost = [Fact(facts[0].at, "audit.lost", {"lines": self._lost})] if self._lost else []
            try:
                self._journal.append(*lost, *facts)
            except AuditError as error:
                self._health.degrade("audit", str(error))
                return
            self._lost = 0
            for _ in facts:
                self._waiting.popleft()
            self._health.mend("audit")

    def _age(self) -> float:
        """Let go of a segment that is old; in how many seconds to look for another one."""
        now = self._clock.now()
        span_s = max(self._keep_s / SPANS, _DAY_S)
        try:
            gone = self._journal.age(
                at=rfc3339(now),
                delete=rfc3339(now - timedelta(seconds=self._keep_s)),
                close=rfc3339(now - timedelta(seconds=span_s)),
            )
        except AuditError as error:
            self._health.degrade("audit", str(error))
            return RETRY_S
        if not self._waiting:
            self._health.mend("audit")
        return 1.0 if gone else AGE_EVERY_S
