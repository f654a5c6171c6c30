"""The closed lists of words that settings choose from; those the whole program speaks in stand in `domain`."""

from __future__ import annotations

from enum import StrEnum


class Protocol(StrEnum):
    """MQTT version: `auto` tries 5 first."""

    AUTO = "auto"
    V5 = "5"
    V311 = "3.1.1"


class Identify(StrEnum):
    """How the sender of a command is known: by the topic's last level, which the broker's ACL binds, or not at all."""

    TOPIC = "topic"
    NONE = "none"


class OriginKind(StrEnum):
    """Ingest servers that can be asked which streams are live."""

    MEDIAMTX = "mediamtx"
    SRS = "srs"
    NGINX_RTMP = "nginx-rtmp"


class StreamIds(StrEnum):
    """How a stream's id stands in topics."""

    PLAIN = "plain"
    KEYED = "keyed"


class Names(StrEnum):
    """Whether a stream's name stands in messages."""

    SHOWN = "shown"
    HIDDEN = "hidden"


class Sandbox(StrEnum):
    """What happens where the kernel cannot confine a watcher."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    OFF = "off"
