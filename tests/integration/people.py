"""Whoever receives and commands: mosquitto's own clients, nothing of ours."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.integration.journal import Entry, Journal
from tests.integration.process import Child, finish

PREFIX = "streamwatch/v1"


RIGHTS = "/streams/~rights/"
"""Where a daemon proves its rights: nothing there is an alert, and a subscriber passes it over."""


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: str
    retained: bool
    properties: dict[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        parsed = json.loads(self.payload)
        assert isinstance(parsed, dict)
        return parsed

    @property
    def last(self) -> str:
        return self.topic.rpartition("/")[2]


class Subscriber(Child):
    """`mosquitto_sub` with a persistent session: what it is owed while it or the broker is away arrives later."""

    def __init__(self, port: int, *, name: str = "desk", version: str = "mqttv5") -> None:
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-i", name, "-c", "-q", "1", "-V", version,
                   "-t", f"{PREFIX}/#", "-F", "%j"]  # fmt: skip
        self._register = [*command, "-E"]
        super().__init__(f"subscriber {name}", command)
        self.messages: Journal[Message] = Journal(self.name)

    async def start(self) -> None:
        await finish(self._register)  # from here on the broker keeps everything for this session
        await super().start()

    def on_out(self, line: str) -> None:
        message = message_of(line)
        if RIGHTS not in message.topic:
            self.messages.add(message)

    # --- what came ---------------------------------------------------------------------------------------------------

    async def event(
        self,
        sid: str,
        event: str,
        *,
        limit: float,
        kind: str = "tests",
        since: int = 0,
        alert: Message | None = None,
        unlike: Message | None = None,
    ) -> Entry[Message]:
        """An event of an alert on a stream; of the same alert as `alert`, of another one than `unlike`."""
        topic = f"/streams/{sid}/{kind}"

        def wanted(message: Message) -> bool:
            if not message.topic.endswith(topic) or message.document["event"] != event:
                return False
            number = message.document["alert_id"]
            return (alert is None or alert.document["alert_id"] == number) and (
                unlike is None or unlike.document["alert_id"] != number
            )

        return await self.messages.until(wanted, limit=limit, what=f"{event} on {topic}", since=since)

    async def state(
        self, sid: str, state: str, *, limit: float, reason: str | None = None, since: int = 0
    ) -> Entry[Message]:
        """A state of a stream as published."""
        topic = f"/streams/{sid}/state"

        def wanted(message: Message) -> bool:
            if not message.topic.endswith(topic) or not message.payload:
                return False
            document = message.document
            return document["state"] == state and (reason is None or document["reason"] == reason)

        return await self.messages.until(wanted, limit=limit, what=f"{state} {reason or ''} on {topic}", since=since)

    async def said(
        self, last: str, wanted: Callable[[dict[str, Any]], bool], *, limit: float, since: int = 0
    ) -> Entry[Message]:
        """A document on a topic that ends so."""
        return await self.messages.until(
            lambda m: m.topic.endswith(last) and bool(m.payload) and wanted(m.document),
            limit=limit,
            what=last,
            since=since,
        )

    @property
    def alerts(self) -> dict[str, list[dict[str, Any]]]:
        """Documents by alert, in order of first arrival; says so if a key came with two bodies or out of order."""
        bodies: dict[tuple[str, int], str] = {}
        by_alert: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in self.messages.all(lambda m: m.last in ("alerts", "tests")):
            document = message.document
            key = (document["alert_id"], document["seq"])
            if key in bodies:
                assert bodies[key] == message.payload, f"{key} has two bodies"
                continue
            bodies[key] = message.payload
            by_alert[document["alert_id"]].append(document)
        for alert, documents in by_alert.items():
            numbers = [document["seq"] for document in documents]
            assert numbers == list(range(1, len(numbers) + 1)), f"{alert}: {numbers}"
            assert documents[0]["event"] == "opened"
        return dict(by_alert)


async def retained(port: int, ending: str = "") -> list[Message]:
    """What the broker holds for whoever comes, on topics that end so.

    `--retained-only` ends with the first message that is not: by then all retained ones have come.
    """
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", f"{PREFIX}/#", "-F", "%j"]
    async with Child("reader of retained messages", [*command, "--retained-only"]) as reader:
        async with asyncio.timeout(10):
            while reader.running:
                await publish(port, f"{PREFIX}/nudge", "")
        await reader.wait(5)
    found = [message_of(line) for line in reader.out.all(lambda line: line.startswith("{"))]
    return [message for message in found if message.topic.endswith(ending)]


def message_of(line: str) -> Message:
    raw = json.loads(line)
    return Message(raw["topic"], raw.get("payload") or "", bool(raw.get("retain")), raw.get("properties", {}))


async def publish(port: int, topic: str, payload: str | bytes, *more: str) -> None:
    """Publish once with QoS 1 by `mosquitto_pub`; payloads may be large, so they go by its standard input."""
    body = payload.encode() if isinstance(payload, str) else payload
    await finish(
        [
            "mosquitto_pub",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-q",
            "1",
            "-t",
            topic,
            *(("-s",) if body else ("-n",)),
            *more,
        ],
        feed=body,
    )
