"""Tells broken promises: on MQTT each when it begins and when it ends, in the log so that hundreds are a few lines.

Event loop only. Events are kept in order, a bounded number while the broker is away; the retained states say the same
as levels, so what is lost here is history, not knowledge.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from streamwatch.bus.base import Outgoing
from streamwatch.bus.topics import Topics
from streamwatch.coverage.breaches import BreachEvent
from streamwatch.coverage.documents import breach_document
from streamwatch.daemon.setup import Setup
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.errors import BusRefused, BusUnavailable
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

QUEUE = 2000
"""Events kept while the broker is away: beginning and end for each of a full house of 1,000 streams."""
RETRY_S = 1.0
LINES = 5
"""Breaches that have a line of their own in `QUIET_S`; further ones are summed up in one."""
QUIET_S = 10.0


_WORDS = {
    None: "promise broken",
    "frame": "promise kept again",
    "end": "ended unseen",
    "promise": "another promise holds",
}


class Crier:
    """Hears the books, publishes, logs."""

    def __init__(
        self,
        *,
        publish: Callable[[Outgoing], Awaitable[None]],
        topics: Topics,
        setup: Callable[[], Setup],
        metrics: Metrics,
        health: Health,
        clock: Clock,
        expiry_s: int | None = None,
    ) -> None:
        self._publish = publish
        self._topics = topics
        self._setup = setup
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._expiry_s = expiry_s
        self._queue: deque[Outgoing] = deque()
        self._some = asyncio.Event()
        self._lines = 0
        self._sum_up_at = float("-inf")
        self._unsaid: Counter[str] = Counter()

    def heard(self, event: BreachEvent) -> None:
        """Take an event of the books."""
        setup = self._setup()
        at = event.began_at
        started = self._wall(event.started) if at is None else rfc3339(datetime.fromtimestamp(at, UTC))
        document = breach_document(
            event,
            stream=setup.shown(event.stream),
            started=started,
            ended=None if event.ended is None else max(started, self._wall(event.ended)),  # a clock may be set back
        )
        topic = self._topics.breaches(setup.sid(event.stream))
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self._metrics.dropped.labels("breach").inc()
        self._queue.append(Outgoing(topic, document.payload(), expiry_s=self._expiry_s))
        self._some.set()
        self._note(event)

    async def run(self) -> None:
        """Publish in order until cancelled."""
        while True:
            await self._some.wait()
            if not self._queue:
                self._some.clear()
                continue
            message = self._queue[0]
            try:
                await self._publish(message)
            except BusUnavailable:
                await self._clock.sleep(RETRY_S)
                continue
            except BusRefused as error:
                self._metrics.dropped.labels("breach").inc()
                self._health.degrade("breaches", f"the broker refuses what we say of broken promises: {error}")
            else:
                self._health.mend("breaches")
            if self._queue and self._queue[0] is message:  # else it made room meanwhile
                self._queue.popleft()

    def tick(self) -> None:
        """Log what was summed up, once its time is over. Called every second or so."""
        now = self._clock.monotonic()
        if now < self._sum_up_at:
            return
        if self._unsaid:
            begun, ended = self._unsaid.pop("begun", 0), self._unsaid.pop("ended", 0)
            reasons = {reason: count for reason, count in self._unsaid.items() if count}
            log.warning("further promises broken and kept again", broken=begun, over=ended, within_s=QUIET_S, **reasons)
            self._unsaid.clear()
            self._sum_up_at = now + QUIET_S  # it goes on: stay with sums
        else:
            self._lines = 0

    def _note(self, event: BreachEvent) -> None:
        if self._lines == 0:
            self._sum_up_at = self._clock.monotonic() + QUIET_S
        if self._lines >= LINES:
            self._unsaid[event.event] += 1
            self._unsaid[event.reason.value] += event.event == "begun"
            return
        self._lines += 1
        say = log.info if event.ended_by in ("frame", "promise") else log.warning
        say(
            _WORDS[event.ended_by],
            stream=self._setup().shown(event.stream),
            reason=event.reason.value,
            max_gap_s=event.max_gap_s,
            uncovered_s=round(event.uncovered_s, 1),
        )

    def _wall(self, monotonic: float) -> str:
        ago = timedelta(seconds=max(self._clock.monotonic() - monotonic, 0.0))
        return rfc3339(self._clock.now() - ago)
