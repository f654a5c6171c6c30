"""The contract of the bus: messages to and from a broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

MAX_PAYLOAD = 4096
"""Bytes of anything we publish: no picture is as small, and a larger one is not handed to a broker."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish, QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry_s: int | None = None
    """MQTT 5 message expiry; ignored on 3.1.1."""
    correlation: bytes | None = None
    response_topic: str | None = None
    """Where MQTT 5 asks for the answer; ignored on 3.1.1."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message received."""

    topic: str
    payload: bytes = field(repr=False)
    retain: bool
    response_topic: str | None = None
    correlation: bytes | None = None


class Bus(Protocol):
    """A connection to a broker that comes back by itself."""

    @property
    def connected(self) -> bool:
        """Whether a broker accepts messages now."""
        ...

    async def run(self) -> None:
        """Hold the connection until cancelled: connect, subscribe, announce, and again after every loss."""
        ...

    async def publish(self, message: Outgoing) -> None:
        """Publish and return once the broker acknowledged.

        Raises:
            BusUnavailable: no connection, or none that acknowledged in time; the caller keeps the message.
            BusRefused: the broker said no.

        """
        ...

    def incoming(self) -> AsyncIterator[Incoming]:
        """Messages on the subscribed topics, in order within a lane; bounded, the oldest dropped and counted."""
        ...

    async def wait_connected(self) -> int:
        """Wait until connected; returns the number of the connection, 1 for the first."""
        ...
