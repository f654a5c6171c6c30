"""What every bus does: in memory, over MQTT 3.1.1 with the embedded broker, over MQTT 5 with mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from pathlib import Path

import pytest

from streamwatch.bus.base import MAX_PAYLOAD, Bus, Outgoing
from streamwatch.bus.embedded import EmbeddedBroker
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import BusRefused, BusUnavailable
from streamwatch.domain.urls import SafeUrl
from tests.fakes.bus import FakeBroker, FakeBus
from tests.fakes.mosquitto import Mosquitto
from tests.ports import free_port

STATUS = "p/n/status"


class Presence:
    def birth(self) -> Outgoing:
        return Outgoing(STATUS, b"online", retain=True)

    def testament(self) -> Outgoing:
        return Outgoing(STATUS, b"offline", retain=True)


class FakeWorld:
    """A broker that stops and starts, and buses on it."""

    def __init__(self, folder: Path) -> None:
        self.broker = FakeBroker()
        self.broker.up.clear()

    async def start(self) -> None:
        self.broker.start()

    async def stop(self) -> None:
        self.broker.stop()

    def bus(self, *subscriptions: str, name: str = "n", presence: Presence | None = None) -> Bus:
        return FakeBus(self.broker, subscriptions=subscriptions, herald=presence)


class _NoWord:
    """A listener that says nothing of itself on the topics under test."""

    def __init__(self, name: str) -> None:
        self._topic = f"p/{name}/elsewhere"

    def birth(self) -> Outgoing:
        return Outgoing(self._topic, b"on")

    def testament(self) -> Outgoing:
        return Outgoing(self._topic, b"off")


class MqttWorld:
    port: int

    def bus(self, *subscriptions: str, name: str = "n", presence: Presence | None = None) -> Bus:
        options = BrokerOptions(url=SafeUrl(f"mqtt://127.0.0.1:{self.port}"), node=name)
        herald = presence or _NoWord(name)
        return MqttBus(options, herald=herald, subscriptions=subscriptions, clock=SystemClock(), jitter=lambda: 0.9)


class AmqttWorld(MqttWorld):
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        await self._stack.enter_async_context(EmbeddedBroker(port=self.port))

    async def stop(self) -> None:
        await self._stack.aclose()


class MosquittoWorld(MqttWorld):
    def __init__(self, folder: Path) -> None:
        self._broker = Mosquitto(folder / "broker")
        self.port = self._broker.port

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop(signal.SIGKILL)


MISSING = pytest.mark.skipif(shutil.which("mosquitto") is None, reason="mosquitto is not installed")
WORLDS = [
    pytest.param(FakeWorld, id="fake"),
    pytest.param(AmqttWorld, id="amqtt"),
    pytest.param(MosquittoWorld, id="mosquitto", marks=(MISSING, pytest.mark.integration)),
]


@pytest.fixture(params=WORLDS)
async def world(request, tmp_path):
    made = request.param(tmp_path)
    await made.start()
    yield made
    await made.stop()


@contextlib.asynccontextmanager
async def running(bus: Bus):
    task = asyncio.create_task(bus.run(), name="bus under test")
    try:
        async with asyncio.timeout(40):
            yield bus
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=10)
        assert task.cancelled(), task


async def next_of(messages):
    async with asyncio.timeout(15):
        return await anext(messages)


async def test_the_first_connection_is_number_one(world):
    async with running(world.bus()) as bus:
        assert await bus.wait_connected() == 1
        assert bus.connected


async def test_before_run_nothing_is_connected_and_publishing_fails_at_once(world):
    bus = world.bus()
    assert not bus.connected
    with pytest.raises(BusUnavailable):
        await bus.publish(Outgoing("p/a", b"1"))


async def test_messages_arrive_in_order_on_subscribed_topics_only(world):
    async with running(world.bus("p/n/commands/+", name="l")) as listener, running(world.bus(name="s")) as speaker:
        await listener.wait_connected()
        await speaker.wait_connected()
        arriving = listener.incoming()
        for number in range(5):
            await speaker.publish(Outgoing("p/n/elsewhere", b"no"))
            await speaker.publish(Outgoing("p/n/commands/look", str(number).encode()))
        got = [await next_of(arriving) for _ in range(5)]
        assert [(one.topic, one.payload, one.retain) for one in got] == [
            ("p/n/commands/look", str(number).encode(), False) for number in range(5)
        ]


async def test_nothing_larger_than_our_documents_is_published(world):
    async with running(world.bus("p/n/commands/+", name="l")) as listener, running(world.bus(name="s")) as speaker:
        await listener.wait_connected()
        await speaker.wait_connected()
        with pytest.raises(BusRefused):
            await speaker.publish(Outgoing("p/n/commands/look", b"x" * (MAX_PAYLOAD + 1)))
        await speaker.publish(Outgoing("p/n/commands/look", b"x" * MAX_PAYLOAD))
        assert len((await next_of(listener.incoming())).payload) == MAX_PAYLOAD
        assert speaker.connected


async def test_a_retained_message_is_marked_as_such_for_who_comes_later(world):
    async with running(world.bus(name="s")) as speaker:
        await speaker.wait_connected()
        await speaker.publish(Outgoing("p/n/commands/look", b"old", retain=True))
        async with running(world.bus("p/n/commands/+", name="l")) as listener:
            got = await next_of(listener.incoming())
            assert (got.payload, got.retain) == (b"old", True)


async def test_an_empty_retained_message_clears_the_topic(world):
    async with running(world.bus(name="s")) as speaker:
        await speaker.wait_connected()
        await speaker.publish(Outgoing("p/n/x/1", b"old", retain=True))
        await speaker.publish(Outgoing("p/n/x/1", b"", retain=True))
        await speaker.publish(Outgoing("p/n/x/2", b"kept", retain=True))
        async with running(world.bus("p/n/x/+", name="l")) as listener:
            assert (await next_of(listener.incoming())).payload == b"kept"


async def test_birth_is_announced_and_an_orderly_end_says_offline(world):
    async with running(world.bus(STATUS, name="l")) as listener:
        await listener.wait_connected()
        arriving = listener.incoming()
        async with running(world.bus(presence=Presence())) as bus:
            await bus.wait_connected()
            assert (await next_of(arriving)).payload == b"online"
        assert (await next_of(arriving)).payload == b"offline"


async def test_after_an_orderly_end_nothing_is_connected(world):
    bus = world.bus()
    async with running(bus):
        await bus.wait_connected()
    assert not bus.connected
    with pytest.raises(BusUnavailable):
        await bus.publish(Outgoing("p/a", b"1"))


async def test_a_broker_that_restarts_is_found_again_announced_and_subscribed_anew(world):
    async with running(world.bus("p/n/commands/+", presence=Presence())) as bus:
        await bus.wait_connected()
        arriving = bus.incoming()
        await world.stop()
        while bus.connected:  # noqa: ASYNC110 - the contract has no event for going away
            await asyncio.sleep(0.01)
        with pytest.raises(BusUnavailable):
            await bus.publish(Outgoing("p/n/commands/look", b"lost, and ours to offer again"))
        await world.start()
        async with asyncio.timeout(20):
            assert await bus.wait_connected() == 2
        await bus.publish(Outgoing("p/n/commands/look", b"back"))
        got = await next_of(arriving)
        assert got.payload == b"back", "nothing of the failed publish was kept and sent later"
