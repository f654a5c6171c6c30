"""Signals through a real broker that vouches for their source, on both versions of MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.duty import Duty
from streamwatch.alerts.gate import CommandGate
from streamwatch.bus.base import Outgoing
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.topics import Topics
from streamwatch.coverage.books import Books
from streamwatch.daemon.demands import HOLD_S, Demands
from streamwatch.daemon.orders import Orders, lanes
from streamwatch.daemon.outside import Outside
from streamwatch.daemon.roster import Roster
from streamwatch.domain.clock import SystemClock, rfc3339
from streamwatch.domain.urls import SafeUrl
from streamwatch.telemetry.metrics import Metrics
from tests.daemon.stage import ROOT, setup_of, spec
from tests.fakes.fleet import FakeFleet
from tests.fakes.ledger import FakeLedger
from tests.fakes.mosquitto import Mosquitto, needs_mosquitto

pytestmark = [pytest.mark.integration, needs_mosquitto]

ACL = """\
user daemon
topic readwrite streamwatch/v1/edge-1/#

user chat
topic read streamwatch/v1/+/replies/signal

pattern write streamwatch/v1/+/signals/%u
pattern read streamwatch/v1/+/replies/signal/%u
"""
"""Every source writes under its own name, and reads answers."""


class Presence:
    def birth(self) -> Outgoing:
        return Outgoing(f"{ROOT}/status", b"online", retain=True)

    def testament(self) -> Outgoing:
        return Outgoing(f"{ROOT}/status", b"offline", retain=True)


@pytest.fixture
def rights(tmp_path: Path) -> Path:
    """A folder with users and what they may do."""
    folder = tmp_path / "broker"
    folder.mkdir()
    (folder / "acl").write_text(ACL)
    (folder / "passwords").write_text("".join(f"{user}:secret\n" for user in ("daemon", "chat")))
    subprocess.run(["mosquitto_passwd", "-U", str(folder / "passwords")], check=True)
    return folder


@pytest.fixture
async def broker(rights: Path) -> AsyncIterator[Mosquitto]:
    folder = rights
    made = Mosquitto(folder, "allow_anonymous false", f"password_file {folder}/passwords", f"acl_file {folder}/acl")
    await made.start()
    yield made
    await made.stop()


@contextlib.asynccontextmanager
async def listening(broker: Mosquitto, protocol: str) -> AsyncIterator[FakeFleet]:
    """Whoever takes signals, at work on a stream `lobby`."""
    clock, topics, fleet = SystemClock(), Topics("streamwatch/v1", "edge-1"), FakeFleet()
    setup, ledger = setup_of(spec("lobby")), FakeLedger(clock)
    user = {"username": "daemon", "password": "secret"}
    options = BrokerOptions(url=SafeUrl(broker.url), node="edge-1", protocol=protocol, **user)
    bus = MqttBus(options, herald=Presence(), subscriptions=topics.subscriptions, clock=clock, lane=lanes(topics))
    desk = AlertDesk(store=ledger, notes=ledger, clock=clock, node="edge-1", boot_id="boot")
    demands = Demands(notes=ledger, clock=clock)
    roster = Roster(watchers=fleet, books=Books(), desk=desk, demands=demands, clock=clock, limit=3)
    roster.apply(setup.streams)
    orders = Orders(
        bus=bus,
        topics=topics,
        gate=CommandGate(seen=ledger, clock=clock, identify=True),
        desk=desk,
        duty=Duty(notes=ledger, clock=clock),
        roster=roster,
        fleet=fleet,
        outside=Outside(demands=demands, fleet=fleet, clock=clock),
        setup=lambda: setup,
        metrics=Metrics(),
        clock=clock,
        version="0",
        delivered=lambda: None,
    )
    tasks = [asyncio.create_task(bus.run(), name="bus"), asyncio.create_task(orders.run(), name="orders")]
    try:
        async with asyncio.timeout(20):
            await bus.wait_connected()
            yield fleet
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)


def body(request_id: str, **more: Any) -> str:
    sound = {"stream": "lobby", "strength": 0.7, "because": "three reports within a minute"}
    return json.dumps({"request_id": request_id, "at": rfc3339(SystemClock().now()), **sound, **more})


async def call(broker: Mosquitto, program: str, *words: str) -> str:
    """What one of mosquitto's own clients, as the user `chat`, prints."""
    me = ["-h", "127.0.0.1", "-p", str(broker.port), "-u", "chat", "-P", "secret", "-q", "1"]
    done = await asyncio.to_thread(subprocess.run, [program, *me, *words], capture_output=True, text=True, timeout=15)
    return done.stdout


async def ask(broker: Mosquitto, payload: str, version: str, answer: str) -> dict[str, Any]:
    """Send a signal as another system would, and return the answer."""
    words = ("-V", version, "-t", f"{ROOT}/signals/chat", "-m", payload, "-e", answer, "-W", "10")
    return json.loads(await call(broker, "mosquitto_rr", *words))


@pytest.mark.parametrize(("protocol", "version"), [("3.1.1", "mqttv311"), ("5", "mqttv5")])
async def test_a_source_is_heard_under_its_own_name_only(broker: Mosquitto, protocol: str, version: str) -> None:
    answers = f"{ROOT}/replies/signal"
    async with listening(broker, protocol) as fleet:
        done = await ask(broker, body("r1"), version, answers)
        assert (done["request_id"], done["verb"], done["result"]) == ("r1", "signal", "done")
        assert fleet.stands == {"lobby": (0.7, HOLD_S)}
        forged = body("r2", strength=1.0)
        await call(broker, "mosquitto_pub", "-V", version, "-t", f"{ROOT}/signals/reports", "-m", forged)
        refused = await ask(broker, body("r3", stream="nowhere"), version, answers)
        assert (refused["request_id"], refused["why"]) == ("r3", "no such stream is watched here")
        assert fleet.stands == {"lobby": (0.7, HOLD_S)}


async def test_on_mqtt_5_the_answer_goes_to_the_response_topic(broker: Mosquitto) -> None:
    async with listening(broker, "5"):
        done = await ask(broker, body("r1"), "mqttv5", f"{ROOT}/replies/signal/chat")
        assert done["result"] == "done"
