"""What a broker grants a connection, as its CONNACK says, and what cannot work by it. Pure.

MQTT 3.1.1 says nothing of it: then only what the broker does shows its limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamwatch.bus.base import MAX_PAYLOAD, Outgoing

MAX_WINDOW = 20
"""QoS 1 publishes in flight at once, where the broker allows as many. More gains nothing on loopback, and a connection
that breaks leaves so many in doubt."""
_TOPIC_ROOM = 320
"""Bytes of the longest topic that an alert of ours usually has, and of what MQTT puts around it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The broker's conditions for one connection; by default those of MQTT 3.1.1."""

    receive_maximum: int = 65_535
    """QoS 1 publishes that may be unacknowledged at once."""
    max_packet: int | None = None
    """Bytes of the largest packet that the broker takes; None: it names no limit."""
    max_qos: int = 2
    retain: bool = True
    """Whether the broker keeps retained messages."""
    wildcards: bool = True
    """Whether subscriptions may have wildcards."""

    @property
    def window(self) -> int:
        """How many QoS 1 publishes may be in flight at once."""
        return max(min(self.receive_maximum, MAX_WINDOW), 1)

    @property
    def acknowledges(self) -> bool:
        """Whether anything can be delivered for sure."""
        return self.max_qos >= 1

    def lacking(self) -> tuple[str, ...]:
        """What cannot work with this broker, one sentence each; empty where nothing is missing."""
        found = []
        if not self.retain:
            found.append(
                "the broker keeps no retained messages: who comes later learns status, coverage and states only when "
                "they are said again; allow retained messages there"
            )
        if self.max_packet is not None and self.max_packet < MAX_PAYLOAD + _TOPIC_ROOM:
            found.append(
                f"the broker takes packets of at most {self.max_packet} bytes, and documents have up to {MAX_PAYLOAD}: "
                "larger ones are refused and wait; raise its limit of packets to 65536"
            )
        if not self.wildcards:
            found.append("the broker allows no subscription with wildcards: neither commands nor signals are heard")
        return tuple(found)


def packet_size(message: Outgoing, properties: int) -> int:
    """Bytes of the whole PUBLISH packet at QoS 1. `properties`: bytes of its packed properties, length included."""
    rest = 2 + len(message.topic.encode()) + 2 + properties + len(message.payload)
    length = next(n for n, limit in enumerate((1 << 7, 1 << 14, 1 << 21, 1 << 28), 1) if rest < limit)
    return 1 + length + rest
