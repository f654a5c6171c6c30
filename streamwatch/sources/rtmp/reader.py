"""The RTMP reader: finds the place, connects, and leaves the connection to the sweep."""

from __future__ import annotations

import asyncio
import ipaddress

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import Refused, Unreachable
from streamwatch.domain.streams import StreamSpec
from streamwatch.sources import dial
from streamwatch.sources.address import AddressPolicy, Target
from streamwatch.sources.base import PacketSink
from streamwatch.sources.rtmp.connection import Connection
from streamwatch.sources.rtmp.place import place
from streamwatch.sources.rtmp.riddle import ATTEMPTS, answered
from streamwatch.sources.rtmp.session import Session
from streamwatch.sources.rtmp.sweep import Sweep

OPEN_LIMIT_S = 40.0
"""Seconds until the first key picture must have come, however busy the server keeps us before."""


class RtmpReader:
    """Reads one stream once. `run` may be called once."""

    def __init__(
        self,
        spec: StreamSpec,
        *,
        policy: AddressPolicy,
        clock: Clock,
        rw_timeout_s: float = 5.0,
        open_limit_s: float = OPEN_LIMIT_S,
    ) -> None:
        """`rw_timeout_s`: limit of connecting, and of a silence; `open_limit_s`: until the first key picture."""
        self._spec = spec
        self._policy = policy
        self._clock = clock
        self._rw_timeout_s = rw_timeout_s
        self._open_limit_s = open_limit_s

    async def run(self, sink: PacketSink) -> None:
        """See `Reader.run`. Cancelled: ends at once."""
        target = await self._judged()
        first = where = place(self._spec.url)
        attempts = 1
        while True:
            session = Session(where)
            try:
                await self._receive(target, session, sink)
            except Refused:
                again = answered(first, session.riddle)
                if again is None or attempts == ATTEMPTS:
                    raise
                where, attempts = again, attempts + 1
            else:
                return

    async def _receive(self, target: Target, session: Session, sink: PacketSink) -> None:
        """Connect, and leave the connection to the sweep until it is over."""
        sock = await dial.connect(target, timeout_s=self._rw_timeout_s)
        if self._spec.url.scheme == "rtmps":
            sock = await dial.secure(sock, target, timeout_s=self._rw_timeout_s)
        connection = Connection(
            sock, session, sink, clock=self._clock, patience_s=self._rw_timeout_s, open_limit_s=self._open_limit_s
        )
        try:
            Sweep.of_running_loop().add(connection)
            await connection.over
        finally:
            connection.close()

    async def _judged(self) -> Target:
        """Ask the policy; in a thread where that may ask a resolver."""
        url = self._spec.url
        try:
            ipaddress.ip_address(url.host)
        except ValueError:
            try:
                async with asyncio.timeout(2 * self._rw_timeout_s):
                    return await asyncio.to_thread(self._policy.check, url, child=False)
            except TimeoutError as e:
                raise Unreachable("the name does not resolve in time") from e
        return self._policy.check(url, child=False)
