"""A command to a running daemon, by MQTT: for people on a terminal."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streamwatch.bus.asking import Question, ask
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.topics import Topics
from streamwatch.config.loader import Loaded
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.errors import BusUnavailable, OutsideError

ANSWER_S = 10.0
"""A daemon answers within a second; one that is busy or just starting has more."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """Which daemon, and how its broker is reached."""

    broker: BrokerOptions
    topics: Topics


def broker_options(loaded: Loaded) -> BrokerOptions:
    """How a configuration reaches its broker."""
    mqtt = loaded.config.mqtt

    def beside(name: str | None) -> Any:
        return None if name is None else loaded.beside(name)

    return BrokerOptions(
        url=mqtt.url,
        node=loaded.config.node,
        username=mqtt.username,
        password=mqtt.password.get_secret_value() if mqtt.password else None,
        ca=beside(mqtt.ca),
        cert=beside(mqtt.cert),
        key=beside(mqtt.key),
        protocol=mqtt.protocol.value,
    )


async def command(
    daemon: Daemon, *, verb: str, who: str, body: dict[str, Any], at: datetime, limit_s: float = ANSWER_S
) -> dict[str, Any]:
    """Send a command under a name that the broker vouches for; returns the daemon's reply.

    Raises:
        OutsideError: no broker, no daemon that answered, or an answer that is none.
        BusRefused: the broker does not let this user ask, or hear the answer.
        ValueError: `who` is no name that stands in a topic.

    """
    topics = daemon.topics
    request_id = secrets.token_hex(8)
    payload = json.dumps({"request_id": request_id, "at": rfc3339(at), **body}, ensure_ascii=False).encode()
    question = Question(
        topic=topics.command(verb, who),
        payload=payload,
        answered_on=topics.reply(verb),
        is_answer=lambda answer: _read(answer).get("request_id") == request_id,
    )
    try:
        answer = await ask(daemon.broker, question, limit_s=limit_s)
    except BusUnavailable as error:
        raise OutsideError(f"no connection to the broker {daemon.broker.url}: {error}") from error
    except TimeoutError as error:
        raise OutsideError(
            f"no answer from {topics.root} within {limit_s:g} s: is the daemon running, and may this user write to "
            f"{topics.command(verb, who)}?"
        ) from error
    return _read(answer)


def _read(answer: bytes) -> dict[str, Any]:
    """A reply, empty where it is none."""
    try:
        read = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
