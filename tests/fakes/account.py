"""An account at a broker that runs by our recipe: what it says, and all that it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from streamwatch.bus.base import Incoming, Outgoing
from streamwatch.bus.client import Connection, Version
from streamwatch.bus.options import BrokerOptions
from streamwatch.domain.errors import BusRefused
from streamwatch.domain.urls import SafeUrl
from tests.fakes.mosquitto import RecipeMosquitto

PREFIX = "streamwatch/v1"


class Account:
    """One account, connected; `heard` is what arrived."""

    def __init__(self, broker: RecipeMosquitto, name: str, version: Version, **changes: Any) -> None:
        self.heard: list[Incoming] = []
        options: dict[str, Any] = {
            "url": SafeUrl(broker.url), "node": name, "username": name, "password": broker.word, "ca": broker.ca,
        }  # fmt: skip
        made = BrokerOptions(**(options | changes))
        self.connection = Connection(
            made, version, will=Outgoing(f"{PREFIX}/{name}/status", b"gone"), tls=made.tls(), arrived=self.heard.append
        )

    async def listen(self, *filters: str) -> None:
        for topic_filter in filters:
            await self.connection.subscribe(topic_filter)

    async def say(self, topic: str, payload: bytes = b"{}") -> bool:
        """Whether the broker says that it took it; on MQTT 3.1.1 it always does."""
        try:
            await self.connection.say(Outgoing(topic, payload), limit_s=10)
        except BusRefused:
            return False
        return True

    async def until(self, leaf: str, wanted: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
        """The next document on a topic that ends so; what came before it is forgotten."""
        async with asyncio.timeout(30):
            while True:
                while self.heard:
                    message = self.heard.pop(0)
                    if message.topic.endswith(f"/{leaf}") and message.payload:
                        document: dict[str, Any] = json.loads(message.payload)
                        if wanted(document):
                            return document
                await asyncio.sleep(0.02)  # a daemon outside offers nothing else to wait for

    async def catch_up(self) -> None:
        """The broker's answer to this comes behind all that it had for us."""
        await self.connection.subscribe("nothing/is/ever/said/here")

    def take(self) -> set[str]:
        found = {message.topic for message in self.heard}
        self.heard.clear()
        return found


@contextlib.asynccontextmanager
async def account(broker: RecipeMosquitto, name: str, version: Version) -> AsyncIterator[Account]:
    made = Account(broker, name, version)
    await made.connection.open()
    try:
        yield made
        await made.connection.leave()
    finally:
        made.connection.cut()
