"""From the ledger to the broker: every event, at least once, the most severe alerts first, each alert in its order.

What the broker refuses is held back alone and tried again later; nothing else ever waits for it.
"""

from __future__ import annotations

import asyncio
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
"""After a reconnect, what was acknowledged so recently is offered again: a killed broker forgets what it took."""

RETRY_S = (10.0, 300.0)
"""First and longest pause before an alert that was refused is tried again, doubled each time."""

RETRIES = 20
"""Refused alerts tried again at once; the others a second later: a broker that refuses all is not stormed."""

IDLE_S = 5.0
"""With nothing to deliver, look again so often even if nobody called."""

BATCH = 100


class Outbox(Protocol):
    """What delivery needs of the ledger."""

    def pending(self, limit: int = BATCH, *, without: Collection[str] = ()) -> Sequence[AlertEvent]:
        """Events not yet acknowledged but those of some alerts: the most severe first, then in order of commit."""
        ...

    def offer(self, alert_id: str, seq: int, body: str) -> None:
        """Fix an event's body for ever."""
        ...

    def acknowledged(self, alert_id: str, seq: int, *, at: float) -> None:
        """The broker has it."""
        ...

    def owe_again(self, since: float) -> int:
        """Owe again the newest event of each open alert and what was acknowledged since (wall seconds); how many."""
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
        topic_of: Callable[[AlertEvent], str],
        expiry_s: int | None,
        metrics: Metrics,
        health: Health,
        clock: Clock,
    ) -> None:
        self._outbox = outbox
        self._bus = bus
        self._topic_of = topic_of
        self._expiry_s = expiry_s
        self._metrics = metrics
        self._health = health
        self._clock = clock
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
        """A connection began. Unless it is the first, the broker may have lost what it acknowledged."""
        if self._connection:
            self._writing = True
            again = self._outbox.owe_again(self._clock.now().timestamp() - REOFFER_S)
            self._wrote()
            if again:
                log.info("offered again after the reconnect", events=again)
        self._connection = connection
        self._release()  # our rights may have changed

    async def _drain(self) -> bool:
        """Offer some of what is pending; returns whether there may be more to deliver at once."""
        delivered = refused = 0
        events = self._due()
        for event in events:
            hold = self._held.get(event.alert_id)
            if hold is not None and hold.until > self._clock.monotonic():
                continue  # refused a moment ago; its later events keep their place behind it
            fixed = self._fixed(event)
            try:
                await self._publish(fixed)
            except BusRefused as error:
                self._hold(event.alert_id, error)
                refused += 1
            else:
                self._took(event)
                delivered += 1
            if self._called.is_set():
                self._called.clear()
                return True  # what was committed meanwhile may be more urgent than the rest
        if not self._held:
            self._health.mend("alerts")
        return delivered > 0 or (refused > 0 and len(events) == BATCH)

    def _due(self) -> Sequence[AlertEvent]:
        """What is to be delivered now. Raises LedgerError."""
        now = self._clock.monotonic()
        tried = [alert for alert, hold in self._held.items() if hold.until <= now][:RETRIES]
        self._writing = False
        events = self._outbox.pending(BATCH, without=self._held.keys() - set(tried))
        if not self._cannot_write:
            self._health.mend("deliveries")
        return events

    def _took(self, event: AlertEvent) -> None:
        """The broker has it. Raises LedgerError."""
        self._writing = True
        self._outbox.acknowledged(event.alert_id, event.seq, at=self._clock.now().timestamp())
        self._wrote()
        if self._held.pop(event.alert_id, None) is not None:
            self._release()  # what was in the way may be gone for all

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

    def _fixed(self, event: AlertEvent) -> AlertEvent:
        """The event with its body as it will stay: the latency is measured once, at the first hand-over."""
        body = event.body
        if event.triggered is not None:  # forgotten by the ledger once the body is fixed
            latency_s = max(self._clock.monotonic() - event.triggered, 0.0)
            body = with_latency(body, round(latency_s * 1000))
            self._metrics.latency.observe(latency_s)
        self._writing = True
        self._outbox.offer(event.alert_id, event.seq, body)
        return replace(event, body=body)

    async def _publish(self, event: AlertEvent) -> None:
        message = Outgoing(topic=self._topic_of(event), payload=event.body.encode(), expiry_s=self._expiry_s)
        await self._bus.publish(message)

    async def _wait(self, seconds: float) -> None:
        """Until somebody calls, at most so long."""
        called = asyncio.create_task(self._called.wait(), name="delivery called")
        slept = asyncio.create_task(self._clock.sleep(seconds), name="delivery idle")
        try:
            await asyncio.wait((called, slept), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (called, slept):
                task.cancel()  # not awaited: a cancellation of our own that comes then would be lost
