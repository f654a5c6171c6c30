"""Tells others where the audit log ends, so that it cannot be shortened or rewritten unnoticed. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from streamwatch.audit.checkpoint import checkpoint
from streamwatch.bus.base import Outgoing
from streamwatch.daemon.auditing import Auditor
from streamwatch.daemon.scribe import Scribe
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.errors import BusRefused, BusUnavailable
from streamwatch.telemetry.health import Health

log = structlog.get_logger(__name__)

EVERY_S = 600.0
"""Where something was written: what is taken from the end of the log is noticed if it is older than that."""
TICK_S = 1.0
RETRY_S = 60.0
"""What the broker refused is said again no sooner."""


class Attestor:
    """Publishes checkpoints: at the start, every ten minutes while something is written, at an orderly stop."""

    def __init__(
        self,
        *,
        auditor: Auditor,
        scribe: Scribe,
        publish: Callable[[Outgoing], Awaitable[None]],
        topic: str,
        clock: Clock,
        health: Health,
        node: str,
        boot_id: str,
    ) -> None:
        self._auditor = auditor
        self._scribe = scribe
        self._publish = publish
        self._topic = topic
        self._clock = clock
        self._health = health
        self._node = node
        self._boot_id = boot_id
        self._told: int | None = None
        """Number of the line that the last checkpoint which was taken tells of."""
        self._due_at = float("-inf")

    async def run(self) -> None:
        """Say what is due until cancelled, and let the auditor's clock-work run."""
        while True:
            self._auditor.tick()
            if self._clock.monotonic() >= self._due_at:
                await self._tell()
            await self._clock.sleep(TICK_S)

    async def farewell(self, within_s: float) -> None:
        """The log's last line, and the checkpoint that tells of it, if the broker takes it in time."""
        self._auditor.stopped()
        try:
            async with asyncio.timeout(within_s):
                await self._tell()
        except TimeoutError:
            log.warning("the last checkpoint of the audit log was not taken by the broker")
        self._scribe.close()

    async def _tell(self) -> None:
        """Say where the log ends, unless that was said already."""
        tip, last = self._scribe.tip, self._scribe.last
        if tip.n in (0, self._told):
            return
        before = self._told if self._told is not None else last.n if last is not None else 0
        at = rfc3339(self._clock.now())
        document = checkpoint(tip, node=self._node, boot_id=self._boot_id, at=at, lines=tip.n - before)
        try:
            await self._publish(Outgoing(self._topic, document.payload()))
        except BusUnavailable:
            return  # said as soon as there is a broker
        except BusRefused as error:
            self._health.degrade("audit-checkpoints", f"the broker refuses where the audit log ends: {error}")
            self._due_at = self._clock.monotonic() + RETRY_S
            return
        self._health.mend("audit-checkpoints")
        self._told = tip.n
        self._due_at = self._clock.monotonic() + EVERY_S
