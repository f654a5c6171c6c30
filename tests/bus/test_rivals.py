"""Another client with our identifier: told from a broker that goes away, with and without MQTT 5's word for it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from streamwatch.bus.base import Outgoing
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.rivals import CALM_S, SHORT_S, Rivals
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.urls import SafeUrl
from tests.fakes.mosquitto import Mosquitto, needs_mosquitto
from tests.fakes.scripted_broker import ScriptedBroker

STATUS = "streamwatch/v1/edge-1/status"


def cut(rivals: Rivals, now: float, **how: Any) -> None:
    told: dict[str, Any] = {"lasted_s": 1.0, "taken_over": False, "wordless": True, "witness_stands": False} | how
    rivals.ended(now, **told)


def test_the_brokers_word_is_enough() -> None:
    rivals = Rivals()
    cut(rivals, 100, taken_over=True, wordless=False)
    assert rivals.seen(100)


def test_it_is_forgotten_when_nobody_took_our_place_for_a_while() -> None:
    rivals = Rivals()
    cut(rivals, 100, taken_over=True, wordless=False)
    assert rivals.seen(100 + CALM_S - 1)
    assert not rivals.seen(100 + CALM_S)


def test_two_short_wordless_connections_ask_for_a_witness_who_decides() -> None:
    rivals = Rivals()
    cut(rivals, 1)
    assert not rivals.suspects
    cut(rivals, 2)
    assert rivals.suspects
    assert not rivals.seen(2)
    cut(rivals, 3, witness_stands=True)
    assert rivals.seen(3)


def test_a_witness_that_was_cut_too_speaks_for_the_broker() -> None:
    rivals = Rivals()
    for now in range(10):
        cut(rivals, now)
    assert not rivals.seen(10)


def test_long_connections_and_a_broker_that_does_not_answer_end_the_suspicion() -> None:
    for innocent in (lambda one: cut(one, 9, lasted_s=SHORT_S + 1), lambda one: one.not_answered()):
        rivals = Rivals()
        cut(rivals, 1)
        cut(rivals, 2)
        innocent(rivals)
        assert not rivals.suspects


def test_a_cut_where_an_answer_was_due_proves_nothing() -> None:
    """Brokers of MQTT 3.1.1 may hang up on who says what is not allowed."""
    rivals = Rivals()
    for now in range(10):
        cut(rivals, now, wordless=False)
    assert not rivals.suspects
    cut(rivals, 11)
    cut(rivals, 12, wordless=False)
    cut(rivals, 13)
    assert rivals.suspects


class Presence:
    def birth(self) -> Outgoing:
        return Outgoing(STATUS, b"online", retain=True)

    def testament(self) -> Outgoing:
        return Outgoing(STATUS, b"offline", retain=True)


def bus_at(url: str, protocol: Any) -> MqttBus:
    options = BrokerOptions(url=SafeUrl(url), node="edge-1", protocol=protocol)
    return MqttBus(options, herald=Presence(), subscriptions=(), clock=SystemClock(), jitter=lambda: 0.5)


@contextlib.asynccontextmanager
async def running(*buses: MqttBus):
    tasks = [asyncio.create_task(bus.run(), name="bus under test") for bus in buses]
    try:
        async with asyncio.timeout(15):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)


async def test_a_session_that_is_taken_over_is_said_at_once(monkeypatch):
    monkeypatch.setattr("streamwatch.bus.mqtt.BACKOFF_S", (0.01, 0.1))
    async with ScriptedBroker() as broker:
        bus = bus_at(broker.url, "5")
        async with running(bus):
            await bus.wait_connected()
            assert bus.complaints() == {}
            broker.disconnect(0x8E)
            while bus.complaints() == {}:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            assert "another client uses our identifier streamwatch-edge-1-" in bus.complaints()["identifier"]


@needs_mosquitto
@pytest.mark.integration
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_two_daemons_with_one_name_notice_each_other(tmp_path, monkeypatch, protocol):
    """mosquitto 2.0 says nothing when a session is taken over, on MQTT 5 either."""
    monkeypatch.setattr("streamwatch.bus.mqtt.BACKOFF_S", (0.05, 0.2))
    broker = Mosquitto(tmp_path / "broker")
    await broker.start()
    one, other = bus_at(broker.url, protocol), bus_at(broker.url, protocol)
    try:
        async with running(one, other):
            while not (one.complaints() and other.complaints()):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)
        assert "another client uses our identifier" in one.complaints()["identifier"]
    finally:
        await broker.stop()


@needs_mosquitto
@pytest.mark.integration
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_broker_that_restarts_again_and_again_is_no_rival(tmp_path, monkeypatch, protocol):
    monkeypatch.setattr("streamwatch.bus.mqtt.BACKOFF_S", (0.3, 0.3))
    broker = Mosquitto(tmp_path / "broker")
    await broker.start()
    bus = bus_at(broker.url, protocol)
    try:
        async with running(bus):
            for number in range(1, 6):
                while await bus.wait_connected() < number:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
                await broker.stop()
                await broker.start()
            while await bus.wait_connected() < 6:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            assert bus.complaints() == {}
    finally:
        await broker.stop()


async def test_a_broker_that_cuts_everybody_is_no_rival(monkeypatch):
    monkeypatch.setattr("streamwatch.bus.mqtt.BACKOFF_S", (0.01, 0.1))
    async with ScriptedBroker() as broker:
        bus = bus_at(broker.url, "5")
        async with running(bus):
            for number in range(1, 7):
                while await bus.wait_connected() < number:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
                broker.cut()
            assert len(set(broker.identifiers)) > 1, "a witness was called"
            assert bus.complaints() == {}
