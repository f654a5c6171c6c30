"""A broker and a bus in memory: what the contract says, and switches for what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from streamwatch.bus.base import MAX_PAYLOAD, Incoming, Outgoing
from streamwatch.bus.inbox import Inbox, one_lane
from streamwatch.bus.options import Herald
from streamwatch.bus.topics import matches
from streamwatch.domain.errors import BusRefused, BusUnavailable


class FakeBroker:
    """Keeps retained messages, hands on the others, and records everything that was acknowledged."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.retained: dict[str, Outgoing] = {}
        self.refuses: set[str] = set()
        """Filters of topics on which a publish is refused."""
        self.up = asyncio.Event()
        self.up.set()
        self._clients: list[FakeBus] = []

    def take(self, message: Outgoing) -> None:
        if any(matches(topic_filter, message.topic) for topic_filter in self.refuses):
            raise BusRefused(f"the broker refused {message.topic}", code=135)
        self.published.append(message)
        if message.retain:
            self.retained[message.topic] = message
            if not message.payload:
                del self.retained[message.topic]
        for client in self._clients:
            client.deliver(message, retain=False)

    def stop(self) -> None:
        """Die: connections break, retained messages are forgotten."""
        self.up.clear()
        self.retained.clear()
        for client in list(self._clients):
            client.lose()

    def start(self) -> None:
        self.up.set()

    def join(self, client: FakeBus) -> None:
        self._clients.append(client)
        for message in list(self.retained.values()):
            client.deliver(message, retain=True)

    def part(self, client: FakeBus) -> None:
        if client in self._clients:
            self._clients.remove(client)


class FakeBus:
    """One connection to a FakeBroker."""

    def __init__(
        self,
        broker: FakeBroker,
        *,
        subscriptions: Iterable[str] = (),
        herald: Herald | None = None,
        lane: Callable[[str], str] = one_lane,
    ) -> None:
        self._broker = broker
        self._subscriptions = tuple(subscriptions)
        self._herald = herald
        self._inbox = Inbox(1000, lane=lane)
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._number = 0

    @property
    def connected(self) -> bool:
        return self._up.is_set()

    @property
    def dropped(self) -> int:
        return self._inbox.dropped

    async def run(self) -> None:
        while True:
            await self._broker.up.wait()
            self._lost.clear()
            self._broker.join(self)
            try:
                if self._herald is not None:
                    self._broker.take(self._herald.birth())
                self._number += 1
                self._up.set()
                await self._lost.wait()
            finally:
                self._up.clear()
                self._broker.part(self)
                if self._herald is not None and not self._lost.is_set():
                    self._broker.take(self._herald.testament())

    async def publish(self, message: Outgoing) -> None:
        await asyncio.sleep(0)
        if not self.connected:
            raise BusUnavailable("no connection to the broker")
        if len(message.payload) > MAX_PAYLOAD:
            raise BusRefused("too large", code=0x95)
        self._broker.take(message)

    def incoming(self) -> AsyncIterator[Incoming]:
        return self._inbox.messages()

    async def wait_connected(self) -> int:
        while not self.connected:
            await self._up.wait()
        return self._number

    def deliver(self, message: Outgoing, *, retain: bool) -> None:
        if message.payload and any(matches(one, message.topic) for one in self._subscriptions):
            self._inbox.put(Incoming(message.topic, message.payload, retain, correlation=message.correlation))

    def lose(self) -> None:
        self._up.clear()
        self._lost.set()
        self._broker.part(self)
