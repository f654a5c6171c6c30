"""A broker that says no, or not so much: what we do then, and what people read of it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from streamwatch.bus.base import MAX_PAYLOAD, Outgoing
from streamwatch.bus.client import CannotConnect
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.reasons import no_connection
from streamwatch.bus.terms import Terms, packet_size
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import BusRefused, BusUnavailable
from streamwatch.domain.urls import SafeUrl
from tests.fakes.mosquitto import Mosquitto, needs_mosquitto
from tests.fakes.scripted_broker import MAX_PACKET, MAX_QOS, NO_RETAIN, RECEIVE_MAXIMUM, ScriptedBroker

ROOT = "streamwatch/v1/edge-1"


class Presence:
    def birth(self) -> Outgoing:
        return Outgoing(f"{ROOT}/status", b"online", retain=True)

    def testament(self) -> Outgoing:
        return Outgoing(f"{ROOT}/status", b"offline", retain=True)


def bus_at(url: str, *subscriptions: str, protocol: Any = "5", **options: Any) -> MqttBus:
    broker = BrokerOptions(url=SafeUrl(url), node="edge-1", protocol=protocol, **options)
    return MqttBus(broker, herald=Presence(), subscriptions=subscriptions, clock=SystemClock(), jitter=lambda: 0.9)


@contextlib.asynccontextmanager
async def running(bus: MqttBus, *, connected: bool = True):
    task = asyncio.create_task(bus.run(), name="bus under test")
    try:
        async with asyncio.timeout(20):
            if connected:
                await bus.wait_connected()
            yield bus
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=10)
        assert task.cancelled(), task


@pytest.fixture
async def broker():
    async with ScriptedBroker() as made:
        yield made


@pytest.mark.parametrize(("code", "said"), [
    (0x85, "client identifier"),
    (0x86, "mqtt.username"),
    (0x87, "mqtt.password"),
    (0x88, "not available"),
    (0x89, "busy"),
    (0x8A, "banned"),
    (0x8C, "method of authentication"),
    (0x95, "larger than it takes"),
    (0x97, "quota"),
    (0x9B, "no alert could be delivered"),
    (0x9C, "we go only where mqtt.url says"),
    (0x9D, "we go only where mqtt.url says"),
    (0x9F, "too often"),
    (0x80, "Unspecified error"),
])  # fmt: skip
async def test_a_refused_connection_says_what_to_do(broker, code, said):
    broker.connack = code
    with pytest.raises(CannotConnect, match=said) as refused:
        await bus_at(broker.url)._connect()
    assert refused.value.code == code
    assert not refused.value.older_may_work


@pytest.mark.parametrize(("code", "said"), [(2, "identifier"), (3, "not available"), (4, "password"), (5, "password")])
async def test_a_refused_connection_says_so_on_3_1_1_too(broker, code, said):
    broker.connack = code
    with pytest.raises(CannotConnect, match=said):
        await bus_at(broker.url, protocol="3.1.1")._connect()


async def test_another_server_that_it_names_is_not_visited(broker):
    """Server Reference: whoever answers at the address could send us, with our password, to anybody."""
    async with ScriptedBroker() as other:
        reference = f"127.0.0.1:{other.port}".encode()
        broker.connack, broker.properties = 0x9C, b"\x1c" + len(reference).to_bytes(2, "big") + reference
        with pytest.raises(CannotConnect, match="another server"):
            await bus_at(broker.url)._connect()
        assert other.connects == []


async def test_its_own_words_are_quoted_and_harmless(broker):
    words = b"come back \x1b[31mlater"
    broker.connack, broker.properties = 0x97, b"\x1f" + len(words).to_bytes(2, "big") + words
    with pytest.raises(CannotConnect, match=r"come back .*later") as refused:
        await bus_at(broker.url)._connect()
    assert "\x1b" not in str(refused.value)


async def test_a_busy_broker_is_asked_again_late(broker, monkeypatch):
    monkeypatch.setattr("streamwatch.bus.mqtt.BACKOFF_S", (0.01, 60.0))
    broker.connack = 0x89
    async with running(bus_at(broker.url), connected=False) as bus:
        while not bus.trouble:  # noqa: ASYNC110 - nothing tells when an attempt failed
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # thirty short pauses
        assert len(broker.connects) == 1


@pytest.mark.parametrize(("code", "said"), [
    (0x87, "right to write"),
    (0x90, "topic"),
    (0x95, "larger than it takes"),
    (0x97, "quota"),
    (0x99, "UTF-8"),
    (0x80, "Unspecified error"),
    (0xF7, "code 247"),
])  # fmt: skip
async def test_a_refused_publish_is_ours_to_keep(broker, code, said):
    broker.puback = lambda topic: code if topic.endswith("/alerts") else 0
    async with running(bus_at(broker.url)) as bus:
        with pytest.raises(BusRefused, match=said) as refused:
            await bus.publish(Outgoing(f"{ROOT}/streams/a/alerts", b"{}"))
        assert refused.value.code == code
        assert bus.connected


async def test_that_nobody_listens_is_no_refusal(broker):
    broker.puback = lambda _topic: 0x10
    async with running(bus_at(broker.url)) as bus:
        await bus.publish(Outgoing(f"{ROOT}/streams/a/alerts", b"{}"))


@pytest.mark.parametrize(("code", "said"), [
    (0x8B, "shuts down"), (0x93, "in flight"), (0x95, "larger"), (0x96, "faster"), (0x97, "quota"),
    (0x98, "operator"), (0x9D, "another server"), (0x8D, "Keep alive timeout"),
])  # fmt: skip
async def test_a_connection_that_the_broker_ends_is_lost_for_its_reason(broker, code, said, capsys):
    async with running(bus_at(broker.url)) as bus:
        broker.disconnect(code)
        while bus.connected or not bus.trouble:  # noqa: ASYNC110 - there is no event for going away
            await asyncio.sleep(0.01)
    assert said in capsys.readouterr().out


async def test_no_more_is_in_flight_than_the_broker_allows(broker):
    broker.properties = RECEIVE_MAXIMUM + b"\x00\x03"
    async with running(bus_at(broker.url)) as bus:
        assert bus.window == 3
        broker.puback, broker.most_in_flight = lambda _topic: None, 0
        saying = [asyncio.create_task(bus.publish(Outgoing(f"{ROOT}/x/{n}", b"{}"))) for n in range(10)]
        while not all(task.done() for task in saying):
            while broker.in_flight < min(3, sum(not task.done() for task in saying)):  # noqa: ASYNC110 - a fake
                await asyncio.sleep(0.01)
            broker.release()
            await asyncio.sleep(0.01)
        assert broker.most_in_flight == 3
        broker.puback = lambda _topic: 0


async def test_what_waits_for_its_turn_when_the_connection_breaks_is_told(broker):
    broker.properties = RECEIVE_MAXIMUM + b"\x00\x01"
    async with running(bus_at(broker.url)) as bus:
        broker.puback = lambda _topic: None
        saying = [asyncio.create_task(bus.publish(Outgoing(f"{ROOT}/x/{n}", b"{}"))) for n in range(5)]
        while not broker.in_flight:  # noqa: ASYNC110 - a fake
            await asyncio.sleep(0.01)
        broker.puback = lambda _topic: 0
        broker.cut()
        results = await asyncio.gather(*saying, return_exceptions=True)
        assert all(isinstance(result, BusUnavailable) for result in results)


async def test_a_broker_without_limits_has_twenty_of_ours_in_flight(broker):
    async with running(bus_at(broker.url)) as bus:
        assert bus.window == 20
        assert bus.complaints() == {}


async def test_a_packet_larger_than_the_broker_takes_is_refused_here(broker):
    broker.properties = MAX_PACKET + (1000).to_bytes(4, "big")
    async with running(bus_at(broker.url)) as bus:
        before = len(broker.published)
        with pytest.raises(BusRefused, match="1000 bytes") as refused:
            await bus.publish(Outgoing(f"{ROOT}/audit", b"x" * 990))
        assert refused.value.code == 0x95
        assert len(broker.published) == before
        await bus.publish(Outgoing(f"{ROOT}/audit", b"x" * 800))
        assert "1000 bytes" in bus.complaints()["broker"]


async def test_where_nothing_is_retained_we_say_it_all_the_same_and_say_what_is_lost(broker):
    broker.properties = NO_RETAIN
    async with running(bus_at(broker.url)) as bus:
        await bus.publish(Outgoing(f"{ROOT}/coverage", b"{}", retain=True))
        await bus.publish(Outgoing(f"{ROOT}/streams/a/state", b"", retain=True))
        assert [(topic, retain) for topic, _, retain in broker.published] == [
            (f"{ROOT}/status", False), (f"{ROOT}/coverage", False),
        ]  # fmt: skip
        assert "no retained messages" in bus.complaints()["broker"]


async def test_a_broker_without_acknowledgements_is_not_used(broker):
    broker.properties = MAX_QOS
    with pytest.raises(CannotConnect, match="no alert could be delivered"):
        await bus_at(broker.url)._connect()


async def test_a_refused_subscription_is_a_complaint(broker):
    broker.suback = 0x87
    async with running(bus_at(broker.url, f"{ROOT}/commands/+")) as bus:
        assert "right to read" in bus.complaints()["subscriptions"]
        broker.suback = 1
        await bus.prove_rights()
        assert bus.complaints() == {}, "access rules change without a new connection"


@needs_mosquitto
@pytest.mark.integration
async def test_mosquittos_own_limits(tmp_path):
    """What a real broker grants is read, and kept to."""
    made = Mosquitto(
        tmp_path / "broker",
        "allow_anonymous true\nmax_packet_size 1000\nmax_inflight_messages 7\nretain_available false",
    )
    await made.start()
    try:
        async with running(bus_at(made.url, protocol="auto")) as bus:
            assert (bus.protocol, bus.window) == ("5", 7)
            assert "1000 bytes" in bus.complaints()["broker"]
            assert "no retained messages" in bus.complaints()["broker"]
            with pytest.raises(BusRefused, match="1000 bytes"):
                await bus.publish(Outgoing(f"{ROOT}/audit", b"x" * 1000))
            edge = next(n for n in range(1000, 0, -1) if _fits(n, 1000))
            await bus.publish(Outgoing(f"{ROOT}/audit", b"x" * edge))
            assert await bus.wait_connected() == 1
    finally:
        await made.stop()


def _fits(size: int, most: int) -> bool:
    return packet_size(Outgoing(f"{ROOT}/audit", b"x" * size), 23) <= most


@needs_mosquitto
@pytest.mark.integration
async def test_a_message_larger_than_mosquitto_takes_is_a_refusal(tmp_path):
    made = Mosquitto(tmp_path / "broker", "allow_anonymous true\nmessage_size_limit 500")
    await made.start()
    try:
        async with running(bus_at(made.url)) as bus:
            with pytest.raises(BusRefused) as refused:
                await bus.publish(Outgoing(f"{ROOT}/audit", b"x" * 600))
            assert refused.value.code == 0x95
    finally:
        await made.stop()


def test_terms_that_suffice_lack_nothing():
    assert Terms().lacking() == ()
    assert Terms(max_packet=65_536, receive_maximum=10, max_qos=1).lacking() == ()
    assert len(Terms(max_packet=MAX_PAYLOAD, retain=False, wildcards=False).lacking()) == 3


@pytest.mark.parametrize(("payload", "size"), [(0, 12), (117, 129), (118, 131), (16_000, 16_013)])
def test_the_size_of_a_packet(payload, size):
    assert packet_size(Outgoing("a/b/c", b"x" * payload), 1) == size


@pytest.mark.parametrize(("text", "said"), [
    ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure", "wants a certificate of ours"),
    ("failed: [SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert", "wants a certificate of ours"),
    ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired", "does not accept our certificate"),
    ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version", "ended TLS: [SSL: TLSV1_ALERT_PROTOCOL"),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "[SSL: CERTIFICATE_VERIFY_FAILED]"),
    ("timed out", "timed out"),
])  # fmt: skip
def test_what_ends_tls_is_said_with_what_to_do(text, said):
    assert said in no_connection(text)
