"""A second connection beside ours. Where a broker cuts ours alone, another client uses our identifier."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace

import structlog

from streamwatch.bus import reasons
from streamwatch.bus.client import CannotConnect, Connection, Ending, Version
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.rivals import SHORT_S, Rivals
from streamwatch.domain.clock import Clock

_log = structlog.get_logger(__name__)

_GRACE_S = 0.3
"""A broker that goes away cuts all our connections within this."""


class Witness:
    """Opens a witness where one is needed, and tells what it showed. For one bus."""

    def __init__(self, options: BrokerOptions, tls: ssl.SSLContext | None, clock: Clock) -> None:
        self._options = options
        self._tls = tls
        self._clock = clock
        self._rivals = Rivals()

    @property
    def rivalled(self) -> bool:
        """Whether another client uses our identifier, as far as we know."""
        return self._rivals.seen(self._clock.monotonic())

    def not_answered(self) -> None:
        """A connection did not come about."""
        self._rivals.not_answered()

    @contextlib.asynccontextmanager
    async def beside(self, version: Version | None) -> AsyncIterator[Connection | None]:
        """A connection that only stands; None where none is needed, or none is granted."""
        if not self._rivals.suspects or version is None:
            yield None
            return
        options = replace(self._options, beside=f"-{secrets.token_hex(4)}")  # the rival may call a witness too
        witness = Connection(options, version, will=None, tls=self._tls, arrived=lambda _message: None)
        try:
            try:
                await witness.open()
            except CannotConnect:
                yield None
            else:
                yield witness
                await witness.leave()
        finally:
            witness.cut()

    async def ended(self, connection: Connection, witness: Connection | None) -> Ending:
        """Wait for a connection's end; a witness that saw none for a while leaves."""
        if witness is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SHORT_S):
                    return await connection.lost()
            await witness.leave()
        return await connection.lost()

    async def judge(self, ending: Ending, lasted_s: float, witness: Connection | None) -> None:
        """Take note that a connection ended which had come about, and of what its witness shows."""
        before = self.rivalled
        if witness is not None:
            await self._clock.sleep(_GRACE_S)
        self._rivals.ended(
            self._clock.monotonic(),
            lasted_s=lasted_s,
            taken_over=ending.code == reasons.TAKEN_OVER,
            wordless=ending.wordless,
            witness_stands=witness is not None and witness.alive,
        )
        if self.rivalled and not before:
            _log.error("another client uses our identifier", identifier=self._options.client_id)
