"""What only a real broker can show."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
from typing import Any

import pytest
from amqtt.broker import Broker

from streamwatch.bus import client as clients
from streamwatch.bus.base import Outgoing
from streamwatch.bus.embedded import EmbeddedBroker
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import BusRefused, BusUnavailable, OutsideError
from streamwatch.domain.urls import SafeUrl
from tests.fakes.mosquitto import Mosquitto, make_certificates, needs_mosquitto
from tests.ports import free_port

pytestmark = pytest.mark.integration

ROOT = "streamwatch/v1/edge-1"
STATUS = f"{ROOT}/status"


class Presence:
    def birth(self) -> Outgoing:
        return Outgoing(STATUS, b"online", retain=True)

    def testament(self) -> Outgoing:
        return Outgoing(STATUS, b"offline", retain=True)


def bus_at(url: str, *subscriptions: str, node: str = "edge-1", **options: Any) -> MqttBus:
    broker = BrokerOptions(url=SafeUrl(url), node=node, **options)
    return MqttBus(broker, herald=Presence(), subscriptions=subscriptions, clock=SystemClock(), jitter=lambda: 0.9)


def user(name: str, word: str = "secret") -> dict[str, Any]:
    return {"username": name, "password": word}


@contextlib.asynccontextmanager
async def running(bus: MqttBus, *, connected: bool = True):
    task = asyncio.create_task(bus.run(), name="bus under test")
    try:
        async with asyncio.timeout(30):
            if connected:
                await bus.wait_connected()
            yield bus
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=10)
        assert task.cancelled(), task


@pytest.fixture
async def broker(tmp_path):
    made = Mosquitto(tmp_path / "broker")
    await made.start()
    yield made
    await made.stop()


async def heard(port: int, topic: str, *options: str) -> str:
    """What mosquitto_sub prints of the first message on a topic."""
    command = ["mosquitto_sub", "-p", str(port), "-h", "127.0.0.1", "-V", "5", "-C", "1", "-W", "10", "-t", topic]
    process = await asyncio.create_subprocess_exec(*command, *options, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode().strip()


@needs_mosquitto
async def test_auto_speaks_mqtt_5_where_the_broker_does(broker):
    async with running(bus_at(broker.url)) as bus:
        assert bus.protocol == "5"


async def test_auto_falls_back_to_3_1_1_and_quickly():
    async with EmbeddedBroker() as embedded, asyncio.timeout(3), running(bus_at(embedded.url)) as bus:
        assert bus.protocol == "3.1.1"


@needs_mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_protocol_that_is_asked_for_is_used(broker, protocol):
    async with running(bus_at(broker.url, protocol=protocol)) as bus:
        assert bus.protocol == protocol


@contextlib.asynccontextmanager
async def serving(answer):
    """A server of our own whose every conversation is over, and closed, at the end. Yields its port."""
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader, writer):
        conversations.add(asyncio.current_task())
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    if conversations:
        _, stuck = await asyncio.wait(conversations, timeout=5)
        assert not stuck


async def test_a_broker_that_hangs_up_on_mqtt_5_is_tried_with_3_1_1():
    firsts: list[int] = []

    async def answer(reader, writer):
        head = await reader.readexactly(9)
        firsts.append(head[8])
        if head[8] == 4:
            writer.write(b"\x20\x02\x00\x00")
            with contextlib.suppress(ConnectionError):
                await reader.read()

    async with serving(answer) as port:
        bus = bus_at(f"mqtt://127.0.0.1:{port}")
        connection = await asyncio.wait_for(bus._connect(), 3)
        assert bus.protocol == "3.1.1"
        assert firsts == [5, 4]
        connection.cut()


ACL = """
user daemon
topic readwrite streamwatch/v1/edge-1/#
user muted
topic read streamwatch/v1/#
user deaf
topic write streamwatch/v1/#
"""


@pytest.fixture
def rights(tmp_path):
    """A folder with users and what they may do."""
    folder = tmp_path / "guarded"
    folder.mkdir()
    (folder / "acl").write_text(ACL)
    (folder / "passwords").write_text("".join(f"{user}:secret\n" for user in ("daemon", "muted", "deaf")))
    subprocess.run(["mosquitto_passwd", "-U", str(folder / "passwords")], check=True)
    return folder


@pytest.fixture
async def guarded(rights):
    """A broker that asks who we are."""
    folder = rights
    made = Mosquitto(folder, "allow_anonymous false", f"password_file {folder}/passwords", f"acl_file {folder}/acl")
    await made.start()
    yield made
    await made.stop()


@needs_mosquitto
async def test_a_publish_that_the_broker_denies_is_a_refusal_on_mqtt_5(guarded):
    async with running(bus_at(guarded.url, **user("daemon"))) as bus:
        with pytest.raises(BusRefused, match="Not authorized") as refused:
            await bus.publish(Outgoing("somebody/elses/topic", b"{}"))
        assert refused.value.code == 135
        await bus.publish(Outgoing(f"{ROOT}/audit", b"{}"))
        assert bus.connected
        assert bus.refusals == ()


@needs_mosquitto
async def test_a_birth_that_is_denied_is_remembered_and_the_connection_stands(guarded):
    async with running(bus_at(guarded.url, **user("muted"))) as bus:
        assert len(bus.refusals) == 1
        assert "Not authorized" in bus.refusals[0]


@needs_mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(("name", "topic", "right"), [
    ("daemon", f"{ROOT}/audit", True),
    ("daemon", "streamwatch/v1/edge-2/audit", False),
    ("muted", f"{ROOT}/audit", False),
    ("deaf", f"{ROOT}/audit", False),
])  # fmt: skip
async def test_rights_are_proved_by_hearing_our_own_words(guarded, protocol, name, topic, right):
    async with running(bus_at(guarded.url, **user(name), protocol=protocol)) as bus:
        wrong = await bus.prove_rights(topic, limit_s=10 if right else 0.3)
        assert set(wrong) == (set() if right else {topic})


@needs_mosquitto
async def test_probes_never_reach_the_daemon(broker):
    async with running(bus_at(broker.url, f"{ROOT}/+")) as bus:
        assert await bus.prove_rights(f"{ROOT}/audit", f"{ROOT}/tests") == {}
        await bus.publish(Outgoing(f"{ROOT}/after", b"x"))
        arriving = bus.incoming()
        got = [await anext(arriving), await anext(arriving)]
        assert [one.payload for one in got] == [b"online", b"x"]


@needs_mosquitto
async def test_a_wrong_password_is_said_once_and_tried_again(guarded, capsys):
    bus = bus_at(guarded.url, **user("daemon", "wrong"))
    async with running(bus, connected=False):
        await asyncio.sleep(1.5)  # three attempts by the real clock
        assert not bus.connected
    out = capsys.readouterr().out
    assert out.count("broker away") == 1
    assert "Not authorized" in out
    assert "wrong" not in out


@needs_mosquitto
async def test_a_socket_that_is_cut_leaves_the_last_will(broker):
    async with running(bus_at(broker.url, STATUS, node="listener")) as listener:
        arriving = listener.incoming()
        await anext(arriving)
        async with running(bus_at(broker.url)) as bus:
            assert (await anext(arriving)).payload == b"online"
            bus._live._client._client._sock.shutdown(socket.SHUT_RDWR)
            assert (await anext(arriving)).payload == b"offline"
            assert await bus.wait_connected() == 2
            assert (await anext(arriving)).payload == b"online"
    assert await heard(broker.port, STATUS) == "offline"


@needs_mosquitto
async def test_our_place_is_taken_over_by_a_newer_self_and_the_old_one_notices(broker):
    async with running(bus_at(broker.url)) as old:
        number = await old.wait_connected()
        async with running(bus_at(broker.url)):
            async with asyncio.timeout(5):
                while old.connected:  # noqa: ASYNC110 - there is no event for going away
                    await asyncio.sleep(0.01)
    assert number == 1


@needs_mosquitto
async def test_mqtt_5_carries_content_type_expiry_and_correlation(broker):
    async with running(bus_at(broker.url)) as bus:
        message = Outgoing(f"{ROOT}/replies/ping", b"{}", retain=True, expiry_s=300, correlation=b"c-1")
        await bus.publish(message)
        seen = await heard(broker.port, f"{ROOT}/replies/ping", "-F", "%C|%E|%D|%F")
        assert seen in ("application/json|300|c-1|1", "application/json|299|c-1|1")


@needs_mosquitto
async def test_a_command_brings_its_response_topic_and_correlation(broker):
    async with running(bus_at(broker.url, f"{ROOT}/commands/+")) as bus:
        told = ["-h", "127.0.0.1", "-p", str(broker.port), "-V", "5", "-t", f"{ROOT}/commands/ping", "-m", "{}"]
        asked = ["-D", "publish", "response-topic", "tool/1", "-D", "publish", "correlation-data", "42"]
        process = await asyncio.create_subprocess_exec("mosquitto_pub", *told, *asked)
        await process.wait()
        got = await anext(bus.incoming())
        assert (got.response_topic, got.correlation, got.retain) == ("tool/1", b"42", False)


@needs_mosquitto
async def test_a_retained_command_is_known_as_one_even_while_we_listen(broker):
    async with running(bus_at(broker.url, f"{ROOT}/commands/+")) as bus:
        await bus.publish(Outgoing(f"{ROOT}/commands/ping", b"{}", retain=True))
        assert (await anext(bus.incoming())).retain


@needs_mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_retained_states_are_read_back_and_do_not_reach_the_daemon(broker, protocol):
    async with running(bus_at(broker.url, f"{ROOT}/commands/+", protocol=protocol)) as bus:
        for sid in ("a", "b"):
            await bus.publish(Outgoing(f"{ROOT}/streams/{sid}/state", b"{}", retain=True))
        found = await bus.read_retained(f"{ROOT}/streams/+/state")
        assert sorted(one.topic for one in found) == [f"{ROOT}/streams/{sid}/state" for sid in ("a", "b")]
        await bus.publish(Outgoing(f"{ROOT}/streams/c/state", b"{}", retain=True))
        await bus.publish(Outgoing(f"{ROOT}/commands/ping", b"{}"))
        assert (await anext(bus.incoming())).topic == f"{ROOT}/commands/ping"


@needs_mosquitto
async def test_of_a_huge_payload_only_the_beginning_is_kept(broker, monkeypatch):
    monkeypatch.setattr(clients, "MAX_PAYLOAD", 1 << 20)  # others are not bound by what we send
    async with running(bus_at(broker.url, f"{ROOT}/commands/+", protocol="3.1.1")) as bus:
        await bus.publish(Outgoing(f"{ROOT}/commands/ping", b"x" * 300_000))
        assert len((await anext(bus.incoming())).payload) == clients.MAX_KEPT + 1


@needs_mosquitto
async def test_messages_nobody_takes_push_out_the_oldest_and_are_counted(broker, monkeypatch):
    monkeypatch.setattr("streamwatch.bus.mqtt.INBOX_LIMIT", 3)
    async with running(bus_at(broker.url, f"{ROOT}/commands/+")) as bus:
        for number in range(5):
            await bus.publish(Outgoing(f"{ROOT}/commands/ping", str(number).encode()))
        await bus.prove_rights(f"{ROOT}/audit")  # a round trip behind the others
        assert bus.dropped == 2
        assert (await anext(bus.incoming())).payload == b"2"


@needs_mosquitto
async def test_messages_in_another_lane_push_nothing_out(broker, monkeypatch):
    monkeypatch.setattr("streamwatch.bus.mqtt.INBOX_LIMIT", 3)
    options = BrokerOptions(url=SafeUrl(broker.url), node="edge-1")
    topics = (f"{ROOT}/commands/+",)
    bus = MqttBus(options, herald=Presence(), subscriptions=topics, clock=SystemClock(), lane=lambda topic: topic)
    async with running(bus):
        await bus.publish(Outgoing(f"{ROOT}/commands/verdict", b"v"))
        for number in range(5):
            await bus.publish(Outgoing(f"{ROOT}/commands/ping", str(number).encode()))
        await bus.prove_rights(f"{ROOT}/audit")  # a round trip behind the others
        assert bus.dropped == 2
        arriving = bus.incoming()
        assert [(await anext(arriving)).payload for _ in range(4)] == [b"v", b"2", b"3", b"4"]


@needs_mosquitto
async def test_a_broker_that_stops_answering_does_not_hold_a_publish_for_ever(broker, monkeypatch):
    monkeypatch.setattr("streamwatch.bus.mqtt.PUBACK_S", 0.3)
    async with running(bus_at(broker.url)) as bus:
        broker._process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(BusUnavailable, match=r"within 0\.3 s"):
                await bus.publish(Outgoing(f"{ROOT}/audit", b"{}"))
        finally:
            broker._process.send_signal(signal.SIGCONT)
        assert await bus.wait_connected() == 2
        await bus.publish(Outgoing(f"{ROOT}/audit", b"{}"))


async def test_a_broker_that_answers_pings_but_acknowledges_nothing_more_is_left(monkeypatch):
    monkeypatch.setattr("streamwatch.bus.mqtt.PUBACK_S", 0.3)
    monkeypatch.setattr("streamwatch.bus.mqtt.BACKOFF_S", (0.01, 0.1))

    async def answer(reader, writer):
        births = 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, size = await reader.readexactly(2)  # every packet here is shorter than 128 bytes
                packet = await reader.readexactly(size)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x02\x00\x00")
                elif kind >> 4 == 3 and births:
                    births -= 1
                    topic = int.from_bytes(packet[:2], "big")
                    writer.write(b"\x40\x02" + packet[2 + topic : 4 + topic])
                elif kind >> 4 == 12:
                    writer.write(b"\xd0\x00")

    async with serving(answer) as port, running(bus_at(f"mqtt://127.0.0.1:{port}", protocol="3.1.1")) as bus:
        with pytest.raises(BusUnavailable, match=r"within 0\.3 s"):
            await bus.publish(Outgoing(f"{ROOT}/audit", b"{}"))
        assert await bus.wait_connected() == 2


async def test_a_topic_that_is_none_is_a_refusal():
    async with EmbeddedBroker() as embedded, running(bus_at(embedded.url)) as bus:
        with pytest.raises(BusRefused):
            await bus.publish(Outgoing("a/+/b", b"{}"))


async def test_cancelled_while_connecting_leaves_no_socket_behind():
    """A server that accepts and never answers: the cancellation comes while CONNACK is awaited."""
    accepted = asyncio.Event()

    async def accept(reader, writer):
        accepted.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()  # until the other side hangs up

    async with serving(accept) as port:
        task = asyncio.create_task(bus_at(f"mqtt://127.0.0.1:{port}").run(), name="bus under test")
        async with asyncio.timeout(1):
            await accepted.wait()
            task.cancel()
            await asyncio.wait((task,))


async def test_nobody_listening_is_retried_until_somebody_does():
    port = free_port()
    async with running(bus_at(f"mqtt://127.0.0.1:{port}"), connected=False) as bus:
        await asyncio.sleep(0.3)  # the first attempt fails by the real clock
        assert not bus.connected
        async with EmbeddedBroker(port=port):
            assert await bus.wait_connected() == 1


@needs_mosquitto
async def test_tls_with_our_own_authority_and_client_certificate(tmp_path):
    ca, cert, key = make_certificates(tmp_path / "tls")
    broker = Mosquitto(
        tmp_path / "broker", "allow_anonymous true", f"cafile {ca}", f"certfile {cert}", f"keyfile {key}",
        "require_certificate true",
    )  # fmt: skip
    await broker.start()
    url = f"mqtts://127.0.0.1:{broker.port}"
    try:
        async with running(bus_at(url, ca=ca, cert=cert, key=key)) as bus:
            await bus.publish(Outgoing(f"{ROOT}/audit", b"{}"))
        unknown = bus_at(url, cert=cert, key=key)
        with pytest.raises(BusUnavailable, match="certificate verify failed"):
            await unknown._connect()
    finally:
        await broker.stop()


def test_tls_files_that_are_missing_are_said_before_anything_is_connected(tmp_path):
    with pytest.raises(OutsideError, match="TLS"):
        bus_at("mqtts://127.0.0.1:1", ca=tmp_path / "none.pem")


async def test_web_sockets():
    """With amqtt: not every build of mosquitto can listen for them."""
    port = free_port()
    listeners = {"default": {"type": "ws", "bind": f"127.0.0.1:{port}"}}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": listeners, "plugins": plugins})
    await broker.start()
    try:
        url = f"ws://127.0.0.1:{port}/mqtt"
        async with running(bus_at(url, f"{ROOT}/commands/+", protocol="3.1.1")) as bus:
            await bus.publish(Outgoing(f"{ROOT}/commands/ping", b"{}"))
            assert (await anext(bus.incoming())).payload == b"{}"
    finally:
        await broker.shutdown()


def test_the_client_id_is_stable_per_node_and_no_secret():
    first, again, other = (
        BrokerOptions(url=SafeUrl("mqtt://h"), node=node, **user("u")).client_id
        for node in ("edge-1", "edge-1", "edge-2")
    )
    assert first == again != other
    assert first.startswith("streamwatch-edge-1-")


def test_options_do_not_show_the_password():
    assert "pw" not in repr(BrokerOptions(url=SafeUrl("mqtt://u:pw@h"), node="n", **user("u", "pw")))


def test_ssl_is_verified():
    context = BrokerOptions(url=SafeUrl("mqtts://h"), node="n").tls()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
