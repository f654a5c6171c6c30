"""A broker inside our own process, for `demo` and tests: loopback, anonymous, nothing on disk.

It speaks MQTT 3.1.1 only (a client that tries 5 first must fall back) and forgets everything when it stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Any, Self

from amqtt.broker import Broker
from amqtt.errors import AMQTTError, BrokerError

from streamwatch.domain.errors import OutsideError

_HOST = "127.0.0.1"
_LOGGERS = ("amqtt", "transitions")


class EmbeddedBroker:
    """An async context manager: entered, it listens on `port`; left, it is gone."""

    def __init__(self, *, port: int = 0) -> None:
        """`port` 0: any free one."""
        self._wanted = port
        self._broker: Broker | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """For clients on this machine."""
        return f"mqtt://{_HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        """Listen. Raises OutsideError where the port is taken."""
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # it reports every client that leaves as a warning
        config: dict[str, Any] = {
            "listeners": {"default": {"type": "tcp", "bind": f"{_HOST}:{self._wanted}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
        self._broker = Broker(config)
        try:
            await self._broker.start()
        except (AMQTTError, BrokerError, OSError) as error:
            raise OutsideError(
                f"the demo's broker cannot listen on port {self._wanted}: it may be taken; choose another"
            ) from error
        server = self._broker._servers["default"].instance  # noqa: SLF001 - the one way to learn a free port's number
        self._port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, within a limit."""
        if self._broker is not None:
            with contextlib.suppress(TimeoutError, AMQTTError):
                async with asyncio.timeout(5):
                    await self._broker.shutdown()
            self._broker = None
