"""From the ledger to the broker: every event, at least once, the most severe alerts first, each alert in its order.

Events of different alerts travel together, as many as the broker lets be under way; what they cost the disk is then
one write for all. What the broker refuses is held back alone and tried again later; nothing else ever waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from streamwatch.alerts.document import with_latency
from streamwatch.bus.base import Bus, Outgoing
from streamwatch.domain.alerts import AlertEvent
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import BusRefused, BusUnavailable, LedgerError
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

REOFFER_S = 60.0
"""As a connection begins, what the broker took last, within so long, is offered again: a killed one forgets it."""

RETRY_S = (10.0, 300.0)
"""First and longest pause before an alert that was refused is tried again, doubled each time."""

RETRIES = 20
"""Refused alerts tried again at once; the others a second later: a broker that refuses all is not stormed."""

IDLE_S = 5.0
"""With nothing to deliver, look again so often even if nobody called."""

BATCH = 100

WINDOW = 20
"""Events under way at once, unless the broker allows fewer: MQTT 5's usual Receive Maximum, and paho's own."""

RATE_PER_S = 500.0
"""A backlog reaches people no faster: an hour of 10 alerts a second in a minute and a half, and no consumer drowns."""

BURST = 500


class Outbox(Protocol):
    """What delivery needs of the ledger."""

    def pending(self, limit: int = BATCH, *, without: Collection[str] = ()) -> Sequence[AlertEvent]:
        """Events not yet acknowledged but those of some alerts: the most severe first, each alert's in its order."""
        ...

    def offer(self, events: Sequence[AlertEvent]) -> Sequence[AlertEvent]:
        """Fix events' bodies for ever; returns them as they stand."""
        ...

    def acknowledged(self, events: Sequence[AlertEvent], *, at: float) -> None:
        """The broker has them."""
        ...

    def owe_again(self, also: Collection[tuple[str, int]] = (), *, within_s: float | None = None) -> int:
        """Owe again the newest event of each open alert, these, and what was acknowledged last, within so long."""
        ...


@dataclass(slots=True)
class _Hold:
    """A refused alert's time to be tried again, by the monotonic clock."""

    until: float
    pause_s: float


class Delivery:
    """One task that drains the ledger into the bus. Event loop only."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        bus: Bus,
        topics_of: Callable[[AlertEvent], Sequence[str]],
        expiry_s: int | None,
        metrics: Metrics,
        health: Health,
        clock: Clock,
        window: Callable[[], int] = lambda: WINDOW,
    ) -> None:
        """`topics_of`: where an event is owed. `window`: events that may be under way at once."""
        self._outbox = outbox
        self._bus = bus
        self._topics_of = topics_of
        self._expiry_s = expiry_s
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._window = window
        self._pace = _Pace(clock)
        self._recent: deque[tuple[float, tuple[str, int]]] = deque()
        """What was acknowledged in the minute before the newest acknowledgement, however long ago that is.

        By the monotonic clock: the wall clock may be set meanwhile.
        """
        self._unmarked: list[AlertEvent] = []
        """What the broker has and the ledger could not note."""
        self._called = asyncio.Event()
        self._connection = 0
        self._held: dict[str, _Hold] = {}
        self._writing = False
        """Whether the ledger was last asked to write; a read that succeeds says nothing about writing."""
        self._cannot_write = False

    def call(self) -> None:
        """There is something to deliver."""
        self._called.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            connection = await self._bus.wait_connected()
            self._called.clear()
            try:
                if connection != self._connection:
                    self._greet(connection)
                more = await self._drain()
            except BusUnavailable:
                if self._bus.connected:
                    await self._wait(1.0)
                continue  # wait_connected waits; nothing is lost, the event stays pending
            except LedgerError as error:
                self._cannot_write = self._cannot_write or self._writing
                self._health.degrade("deliveries", str(error))
                await self._wait(RETRY_S[0])
                continue
            if not more:
                await self._wait(self._idle_s())

    async def flush(self, within_s: float) -> None:
        """Deliver what is pending if the broker takes it in time: the last words of an orderly stop."""
        try:
            async with asyncio.timeout(within_s):
                while await self._drain():
                    pass
        except (TimeoutError, BusUnavailable, LedgerError) as error:
            log.warning("alerts stay in the ledger until the next start", why=str(error) or "no time left")

    def _greet(self, connection: int) -> None:
        """A connection began: the broker may have lost what it acknowledged, to us or to the process before us."""
        self._writing = True
        first = self._connection == 0
        again = self._outbox.owe_again([key for _, key in self._recent], within_s=REOFFER_S if first else None)
        self._recent.clear()
        self._wrote()
        if again:
            log.info("offered again after a connection began", events=again)
        self._connection = connection
        self._release()  # our rights may have changed

    async def _drain(self) -> bool:
        """Offer some of what is pending; returns whether there may be more to deliver at once."""
        delivered = refused = 0
        self._mark()
        due = list(self._due())
        full = len(due) >= BATCH
        while due:
            wave, due = self._wave(due)
            if not wave:
                break
            await self._pace.step(len(wave))
            took, held = await self._send(wave)
            delivered += took
            refused += held
            if self._called.is_set():
                self._called.clear()
                return True  # what was committed meanwhile may be more urgent than the rest
        if not self._held:
            self._health.mend("alerts")
        return delivered > 0 or (refused > 0 and full)

    def _wave(self, due: Sequence[AlertEvent]) -> tuple[list[AlertEvent], list[AlertEvent]]:
        """The first event of each alert, as many as may be under way, and what is left for later.

        What was refused a moment ago is in neither, and its later events keep their place behind it.
        """
        now = self._clock.monotonic()
        window = max(self._window(), 1)
        wave: dict[str, AlertEvent] = {}
        rest = []
        for event in due:
            hold = self._held.get(event.alert_id)
            if hold is not None and hold.until > now:
                continue
            if event.alert_id in wave or len(wave) >= window:
                rest.append(event)
            else:
                wave[event.alert_id] = event
        return list(wave.values()), rest

    async def _send(self, wave: Sequence[AlertEvent]) -> tuple[int, int]:
        """Offer a wave; how many the broker took, and how many it refused. Raises BusUnavailable, LedgerError."""
        fixed = self._fixed(wave)
        began = self._clock.monotonic()
        answers = await asyncio.gather(*(self._publish(event) for event in fixed), return_exceptions=True)
        took = [event for event, answer in zip(fixed, answers, strict=True) if answer is None]
        refused = 0
        for event, answer in zip(fixed, answers, strict=True):
            if isinstance(answer, BusRefused):
                self._hold(event.alert_id, answer)
                refused += 1
        if took:
            self._took(took, since=began)
        for answer in answers:
            if answer is not None and not isinstance(answer, BusRefused):
                raise answer
        return len(took), refused

    def _due(self) -> Sequence[AlertEvent]:
        """What is to be delivered now. Raises LedgerError."""
        now = self._clock.monotonic()
        tried = [alert for alert, hold in self._held.items() if hold.until <= now][:RETRIES]
        self._writing = False
        events = self._outbox.pending(BATCH, without=self._held.keys() - set(tried))
        if len(events) < BATCH:  # all that is owed: what is held of others is owed no more
            for alert in set(tried) - {event.alert_id for event in events}:
                del self._held[alert]
        if not self._cannot_write:
            self._health.mend("deliveries")
        return events

    def _took(self, events: Sequence[AlertEvent], *, since: float) -> None:
        """The broker has them. Raises LedgerError: they are marked before anything else is said.

        `since`: when they were handed over, from which on the broker may have had, and forgotten, them.
        """
        while self._recent and self._recent[0][0] < since - REOFFER_S:
            self._recent.popleft()
        self._recent.extend((since, event.key) for event in events)
        self._unmarked.extend(events)
        self._mark()
        if sum(self._held.pop(event.alert_id, None) is not None for event in events):
            self._release()  # what was in the way may be gone for all

    def _mark(self) -> None:
        if self._unmarked:
            self._writing = True
            self._outbox.acknowledged(self._unmarked, at=self._clock.now().timestamp())
            self._unmarked.clear()
            self._wrote()

    def _wrote(self) -> None:
        self._cannot_write = False
        self._health.mend("deliveries")

    def _hold(self, alert: str, error: BusRefused) -> None:
        first, longest = RETRY_S
        known = self._held.pop(alert, None)  # popped: those that wait longest stand first
        pause = first if known is None else min(known.pause_s * 2, longest)
        self._held[alert] = _Hold(self._clock.monotonic() + pause, pause)
        if known is None and len(self._held) == 1:
            self._health.degrade("alerts", f"the broker refuses alerts: {error}")

    def _release(self) -> None:
        """Try every refused alert again soon."""
        now = self._clock.monotonic()
        for hold in self._held.values():
            hold.until = min(hold.until, now)

    def _idle_s(self) -> float:
        """How long nothing is due, as far as we know; at least a second."""
        soonest = min((hold.until for hold in self._held.values()), default=float("inf"))
        return min(max(soonest - self._clock.monotonic(), 1.0), IDLE_S)

    def _fixed(self, events: Sequence[AlertEvent]) -> Sequence[AlertEvent]:
        """Events with their bodies as they will stay: the latency is measured once, at the first hand-over."""
        wanted = []
        for event in events:
            body = event.body
            if event.triggered is not None:  # forgotten by the ledger once the body is fixed
                latency_s = max(self._clock.monotonic() - event.triggered, 0.0)
                body = with_latency(body, round(latency_s * 1000))
                self._metrics.latency.observe(latency_s)
            wanted.append(replace(event, body=body))
        new = [want for want, event in zip(wanted, events, strict=True) if want.body != event.body]
        if not new:
            return wanted  # as committed: nothing to fix, and a write less
        self._writing = True
        fixed = {event.key: event for event in self._outbox.offer(new)}
        return [fixed.get(want.key, want) for want in wanted]

    async def _publish(self, event: AlertEvent) -> None:
        """To the alert's own topic, and to others where it is escalated: their refusal keeps nothing from the first."""
        own, *others = self._topics_of(event)
        await self._bus.publish(self._message(own, event))
        for topic in others:
            try:
                await self._bus.publish(self._message(topic, event))
            except BusRefused as error:
                self._metrics.dropped.labels("escalation").inc()
                self._health.degrade("escalations", f"the broker refuses escalations: {error}")
            else:
                self._health.mend("escalations")

    def _message(self, topic: str, event: AlertEvent) -> Outgoing:
        return Outgoing(topic=topic, payload=event.body.encode(), expiry_s=self._expiry_s)

    async def _wait(self, seconds: float) -> None:
        """Until somebody calls, at most so long."""
        called = asyncio.create_task(self._called.wait(), name="delivery called")
        slept = asyncio.create_task(self._clock.sleep(seconds), name="delivery idle")
        try:
            await asyncio.wait((called, slept), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (called, slept):
                task.cancel()  # not awaited: a cancellation of our own that comes then would be lost


class _Pace:
    """A bucket of `BURST` events that fills by `RATE_PER_S`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._at = clock.monotonic()

    async def step(self, count: int) -> None:
        """Take so many; waits until they may go."""
        now = self._clock.monotonic()
        self._left = min(self._left + (now - self._at) * RATE_PER_S, BURST) - count
        self._at = now
        if self._left < 0:
            await self._clock.sleep(-self._left / RATE_PER_S)
