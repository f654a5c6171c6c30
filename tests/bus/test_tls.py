"""TLS to a real broker: nothing is said to one that cannot prove who it is, and people read why."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamwatch.bus.base import Outgoing
from streamwatch.bus.client import CannotConnect
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.urls import SafeUrl
from tests.fakes.mosquitto import Mosquitto, RecipeMosquitto, make_certificates, needs_mosquitto
from tests.ports import free_port

pytestmark = [pytest.mark.integration, needs_mosquitto]

ROOT = "streamwatch/v1/edge-1"


class Presence:
    def birth(self) -> Outgoing:
        return Outgoing(f"{ROOT}/status", b"online", retain=True)

    def testament(self) -> Outgoing:
        return Outgoing(f"{ROOT}/status", b"offline", retain=True)


def bus_at(url: str, **options: Any) -> MqttBus:
    broker = BrokerOptions(url=SafeUrl(url), node="edge-1", **options)
    return MqttBus(broker, herald=Presence(), subscriptions=(f"{ROOT}/commands/+",), clock=SystemClock())


async def works(bus: MqttBus) -> bool:
    """Whether a word of ours comes back."""
    task = asyncio.create_task(bus.run(), name="bus under test")
    try:
        async with asyncio.timeout(15):
            await bus.wait_connected()
            await bus.publish(Outgoing(f"{ROOT}/commands/ping", b"{}"))
            return (await anext(bus.incoming())).payload == b"{}"
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=10)


@dataclass(frozen=True)
class Papers:
    """An authority, and what it signed."""

    ca: Path
    cert: Path
    key: Path

    def serving(self, *more: str) -> tuple[str, ...]:
        """Lines for a broker that shows these."""
        return ("allow_anonymous true", f"cafile {self.ca}", f"certfile {self.cert}", f"keyfile {self.key}", *more)


def papers(folder: Path, **how: Any) -> Papers:
    return Papers(*make_certificates(folder, **how))


@pytest.fixture
async def serve(tmp_path):
    """Start brokers, each with lines of its own."""
    started: list[Mosquitto] = []

    async def start(*lines: str) -> Mosquitto:
        made = Mosquitto(tmp_path / f"broker{len(started)}", *lines)
        await made.start()
        started.append(made)
        return made

    yield start
    for made in started:
        await made.stop()


def mqtts(broker: Mosquitto, host: str = "127.0.0.1") -> str:
    return f"mqtts://{host}:{broker.port}"


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
async def test_a_broker_that_our_authority_signed_is_spoken_to(serve, tmp_path, protocol):
    good = papers(tmp_path / "good")
    broker = await serve(*good.serving())
    assert await works(bus_at(mqtts(broker), ca=good.ca, protocol=protocol))


async def test_the_systems_authorities_do_not_vouch_for_it(serve, tmp_path):
    broker = await serve(*papers(tmp_path / "good").serving())
    with pytest.raises(CannotConnect, match="certificate verify failed"):
        await bus_at(mqtts(broker))._connect()


async def test_another_authority_does_not_vouch_for_it(serve, tmp_path):
    broker = await serve(*papers(tmp_path / "good").serving())
    other = papers(tmp_path / "other")
    with pytest.raises(CannotConnect, match="certificate verify failed"):
        await bus_at(mqtts(broker), ca=other.ca)._connect()


@pytest.mark.parametrize("name", ["DNS:broker.example", "IP:127.0.0.2"])
async def test_a_certificate_for_another_name_is_none(serve, tmp_path, name):
    wrong = papers(tmp_path / "wrong", name=name)
    broker = await serve(*wrong.serving())
    with pytest.raises(CannotConnect, match=r"certificate is not valid for '127\.0\.0\.1'"):
        await bus_at(mqtts(broker), ca=wrong.ca)._connect()


async def test_a_name_is_checked_where_the_address_is_a_name(serve, tmp_path):
    named = papers(tmp_path / "named", name="DNS:localhost")
    broker = await serve(*named.serving())
    assert await works(bus_at(mqtts(broker, "localhost"), ca=named.ca))


async def test_an_expired_certificate_is_none(serve, tmp_path):
    old = papers(tmp_path / "old", days=-1)
    broker = await serve(*old.serving())
    with pytest.raises(CannotConnect, match="certificate has expired"):
        await bus_at(mqtts(broker), ca=old.ca)._connect()


async def test_a_broker_that_wants_our_certificate_gets_it(serve, tmp_path):
    good = papers(tmp_path / "good")
    broker = await serve(*good.serving("require_certificate true"))
    assert await works(bus_at(mqtts(broker), ca=good.ca, cert=good.cert, key=good.key))


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
async def test_without_our_certificate_such_a_broker_is_not_reached_and_it_is_said_why(serve, tmp_path, protocol):
    good = papers(tmp_path / "good")
    broker = await serve(*good.serving("require_certificate true"))
    with pytest.raises(CannotConnect, match=r"wants a certificate of ours: mqtt\.cert"):
        await bus_at(mqtts(broker), ca=good.ca, protocol=protocol)._connect()


async def test_a_certificate_of_ours_that_another_authority_signed_is_refused(serve, tmp_path):
    good, other = papers(tmp_path / "good"), papers(tmp_path / "other")
    broker = await serve(*good.serving("require_certificate true"))
    with pytest.raises(CannotConnect, match="does not accept our certificate"):
        await bus_at(mqtts(broker), ca=good.ca, cert=other.cert, key=other.key)._connect()


async def test_unencrypted_to_an_encrypted_port_and_the_other_way_round(serve, tmp_path):
    good = papers(tmp_path / "good")
    secure, plain = await serve(*good.serving()), await serve()
    with pytest.raises(CannotConnect):
        await bus_at(f"mqtt://127.0.0.1:{secure.port}")._connect()
    with pytest.raises(CannotConnect):
        await bus_at(mqtts(plain), ca=good.ca)._connect()


async def test_the_recipe_takes_our_certificate_for_our_name(tmp_path):
    """`use_identity_as_username`, as the recipe has it for who uncomments it: the common name is the account."""

    class WithCertificates(RecipeMosquitto):
        def _written(self) -> str:
            text = super()._written()
            for line in ("require_certificate true", "use_identity_as_username true"):
                assert f"\n# {line}\n" in text
                text = text.replace(f"\n# {line}\n", f"\n{line}\n")
            return text

    broker = WithCertificates(tmp_path / "broker", "edge-1")
    await broker.start()
    try:
        certs = tmp_path / "broker" / "certs"
        bus = bus_at(broker.url, ca=broker.ca, cert=certs / "cert.pem", key=certs / "key.pem")
        task = asyncio.create_task(bus.run(), name="bus under test")
        try:
            async with asyncio.timeout(15):
                await bus.wait_connected()
                assert await bus.prove_rights(f"{ROOT}/streams/~rights/alerts") == {}
                assert set(await bus.prove_rights("streamwatch/v1/edge-2/streams/~rights/alerts")) != set()
        finally:
            task.cancel()
            await asyncio.wait((task,), timeout=10)
    finally:
        await broker.stop()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
async def test_web_sockets(serve, tmp_path, scheme, protocol):
    """mosquitto 2.0.11 starts only with another listener beside, and binds web sockets to interfaces, not addresses."""
    good, port = papers(tmp_path / "good"), free_port()
    lines = [f"listener {port} lo", "protocol websockets", *(good.serving()[1:] if scheme == "wss" else ())]
    try:
        await serve("allow_anonymous true", *lines)
    except AssertionError as error:
        if "ebsockets support not available" in str(error):
            pytest.skip("this mosquitto is built without web sockets")
        raise
    options = {"ca": good.ca} if scheme == "wss" else {}
    assert await works(bus_at(f"{scheme}://127.0.0.1:{port}/mqtt", protocol=protocol, **options))


async def test_web_sockets_are_verified_too(serve, tmp_path):
    good, other, port = papers(tmp_path / "good"), papers(tmp_path / "other"), free_port()
    broker = await serve("allow_anonymous true", f"listener {port} lo", "protocol websockets", *good.serving()[1:])
    await broker.listening(port)
    with pytest.raises(CannotConnect, match="certificate verify failed"):
        await bus_at(f"wss://127.0.0.1:{port}/mqtt", ca=other.ca)._connect()
