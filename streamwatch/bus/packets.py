"""MQTT 5's properties and reason codes, between paho's types and ours."""

from __future__ import annotations

import functools
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from streamwatch.bus.base import Outgoing
from streamwatch.bus.terms import Terms


def properties(packet: int, **values: Any) -> Properties:
    """Properties of one kind of packet."""
    made = Properties(packet)  # type: ignore[no-untyped-call] # paho leaves it untyped
    for name, value in values.items():
        setattr(made, name, value)
    return made


def publish_properties(message: Outgoing) -> Properties:
    """What goes with a message."""
    values: dict[str, Any] = {}
    if message.payload:
        values.update(ContentType="application/json", PayloadFormatIndicator=1)
    if message.expiry_s is not None:
        values.update(MessageExpiryInterval=message.expiry_s)
    if message.correlation is not None:
        values.update(CorrelationData=message.correlation)
    if message.response_topic is not None:
        values.update(ResponseTopic=message.response_topic)
    return properties(PacketTypes.PUBLISH, **values)


def size(packed: Properties) -> int:
    """Bytes of properties in a packet, their length included."""
    return len(packed.pack())  # type: ignore[no-untyped-call] # paho leaves it untyped


def terms(granted: Properties | None) -> Terms:
    """What a CONNACK grants."""
    return Terms(
        receive_maximum=getattr(granted, "ReceiveMaximum", 65_535),
        max_packet=getattr(granted, "MaximumPacketSize", None),
        max_qos=getattr(granted, "MaximumQoS", 2),
        retain=bool(getattr(granted, "RetainAvailable", 1)),
        wildcards=bool(getattr(granted, "WildcardSubscriptionAvailable", 1)),
    )


@functools.cache
def is_known(packet: int, value: int) -> bool:
    """Whether the standard knows a reason code in a kind of packet."""
    try:
        ReasonCode(packet, identifier=value)
    except (KeyError, ValueError):
        return False
    return True


def reason(packet: int, value: int) -> str:
    """The name that the standard gives a reason code, if not in this kind of packet then in another."""
    for kind in (packet, PacketTypes.DISCONNECT, PacketTypes.CONNACK):
        if is_known(kind, value):
            return str(ReasonCode(kind, identifier=value))
    return f"code {value}"


def words(given: Properties | None) -> str:
    """What a broker adds to a reason code in its own words."""
    return str(getattr(given, "ReasonString", ""))
