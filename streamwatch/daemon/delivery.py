"""From the ledger to the broker: every event, in order, at least once, and marked when the broker has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
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

RETRY_S = 10.0
"""How long to wait after a refusal before asking again."""

IDLE_S = 5.0
"""With nothing to deliver, look again so often even if nobody called."""

BATCH = 100


class Outbox(Protocol):
    """What delivery needs of the ledger."""

    def pending(self, limit: int = BATCH) -> Sequence[AlertEvent]:
        """Events not yet acknowledged, in order of commit."""
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
        self._refused: set[str] = set()

    def call(self) -> None:
        """There is something to deliver."""
        self._called.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            connection = await self._bus.wait_connected()
            try:
                if connection != self._connection:
                    self._greet(connection)
                delivered = await self._drain()
            except BusUnavailable:
                continue  # wait_connected waits; nothing is lost, the event stays pending
            except LedgerError as error:
                self._health.degrade("ledger", str(error))
                await self._clock.sleep(RETRY_S)
                continue
            self._health.mend("ledger")
            if self._refused:
                self._refused.clear()
                await self._clock.sleep(RETRY_S)
            elif not delivered:
                await self._wait()

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
            again = self._outbox.owe_again(self._clock.now().timestamp() - REOFFER_S)
            if again:
                log.info("offered again after the reconnect", events=again)
        self._connection = connection

    async def _drain(self) -> int:
        """Offer what is pending; returns how many the broker took. Events of a refused alert keep their order."""
        delivered = 0
        for event in self._outbox.pending(BATCH):
            if event.alert_id in self._refused:
                continue
            fixed = self._fixed(event)
            try:
                await self._publish(fixed)
            except BusRefused as error:
                self._refused.add(event.alert_id)
                self._health.degrade("alerts", f"the broker refuses alerts: {error}")
                continue
            self._outbox.acknowledged(event.alert_id, event.seq, at=self._clock.now().timestamp())
            delivered += 1
        if delivered and not self._refused:
            self._health.mend("alerts")
        return delivered

    def _fixed(self, event: AlertEvent) -> AlertEvent:
        """The event with its body as it will stay: the latency is measured once, at the first hand-over."""
        body = event.body
        if event.triggered is not None:  # forgotten by the ledger once the body is fixed
            latency_s = max(self._clock.monotonic() - event.triggered, 0.0)
            body = with_latency(body, round(latency_s * 1000))
            self._metrics.latency.observe(latency_s)
        self._outbox.offer(event.alert_id, event.seq, body)
        return replace(event, body=body)

    async def _publish(self, event: AlertEvent) -> None:
        message = Outgoing(topic=self._topic_of(event), payload=event.body.encode(), expiry_s=self._expiry_s)
        await self._bus.publish(message)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(IDLE_S):
                await self._called.wait()
        except TimeoutError:
            pass
        self._called.clear()
