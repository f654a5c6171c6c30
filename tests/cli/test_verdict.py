"""`streamwatch verdict` and `streamwatch on-duty`, against a real broker that vouches for who speaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamwatch.alerts.base import StreamFacts
from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.duty import Duty
from streamwatch.alerts.gate import CommandGate
from streamwatch.app import asking
from streamwatch.bus.base import Outgoing
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.topics import Topics
from streamwatch.cli.asking import daemon
from streamwatch.cli.main import app
from streamwatch.cli.verdict import span
from streamwatch.coverage.books import Books
from streamwatch.daemon.demands import Demands
from streamwatch.daemon.orders import Orders, lanes
from streamwatch.daemon.outside import Outside
from streamwatch.daemon.roster import Roster
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.decisions import Decision, Level
from streamwatch.domain.errors import OutsideError, UserError
from streamwatch.domain.streams import StreamId
from streamwatch.domain.urls import SafeUrl
from streamwatch.telemetry.metrics import Metrics
from tests.daemon.stage import ROOT, setup_of, spec
from tests.fakes.desk import RULES
from tests.fakes.fleet import FakeFleet
from tests.fakes.kept import config
from tests.fakes.ledger import FakeLedger
from tests.fakes.mosquitto import Mosquitto, needs_mosquitto
from tests.ports import free_port

ID = "01K3J5V0G4QZ8N6M2T7R1XYWBC"
RECIPE = (Path(__file__).parents[2] / "config/mosquitto/acl").read_text(encoding="utf-8")
ACL = RECIPE.replace("user anna\n", "user ben\n", 1).replace(
    "user lena\n", "user anna\ntopic read streamwatch/v1/+/replies/+\n\nuser lena\n", 1
)
"""What operators are told to begin with, and one moderator more."""


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
    (folder / "passwords").write_text("".join(f"{user}:secret\n" for user in ("edge-1", "anna", "ben")))
    subprocess.run(["mosquitto_passwd", "-U", str(folder / "passwords")], check=True)
    return folder


@pytest.fixture
async def broker(rights: Path) -> AsyncIterator[Mosquitto]:
    made = Mosquitto(rights, "allow_anonymous false", f"password_file {rights}/passwords", f"acl_file {rights}/acl")
    await made.start()
    yield made
    await made.stop()


@dataclass
class Node:
    """A daemon's desk with two alerts open, taking orders from the broker."""

    desk: AlertDesk

    @property
    def ids(self) -> list[str]:
        return [alert.id for alert in self.desk.open_alerts]


@contextlib.asynccontextmanager
async def listening(broker: Mosquitto) -> AsyncIterator[Node]:
    clock, topics, fleet = SystemClock(), Topics("streamwatch/v1", "edge-1"), FakeFleet()
    setup, ledger = setup_of(spec("lobby")), FakeLedger(clock)
    user = {"username": "edge-1", "password": "secret"}
    options = BrokerOptions(url=SafeUrl(broker.url), node="edge-1", **user)
    bus = MqttBus(options, herald=Presence(), subscriptions=topics.subscriptions, clock=clock, lane=lanes(topics))
    desk = AlertDesk(store=ledger, notes=ledger, clock=clock, node="edge-1", boot_id="boot")
    desk.configure(RULES)
    demands = Demands(notes=ledger, clock=clock)
    roster = Roster(watchers=fleet, books=Books(), desk=desk, demands=demands, clock=clock, limit=3)
    roster.apply(setup.streams)
    facts = StreamFacts(StreamId("lobby"), "lobby", "static", "s1", "", tests=True, still_live=True)
    for rule in ("nudity", "urgent"):
        desk.observe(facts, Decision(rule, Level.ALARM, 0.5, 0.9))
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
        yield Node(desk)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)


async def say(*words: str) -> tuple[int, str, str]:
    """What the command, typed as it is, ends with and prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streamwatch", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(40):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret\n")
    return path


@pytest.mark.integration
@needs_mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_verdict_is_done_proposed_or_refused(
    broker: Mosquitto, tmp_path: Path, secret: Path, protocol: str
) -> None:
    path = str(config(tmp_path, broker=f"{broker.url}\n  protocol: {protocol}"))

    def me(who: str) -> tuple[str, ...]:
        return (path, "--as", who, "--password-file", str(secret))

    async with listening(broker) as node:
        plain, urgent = node.ids
        done = await say("verdict", plain, "confirm", *me("anna"), "--note", "seen", "--viewed",
                         "2026-11-21T10:00:00Z..2026-11-21T10:02:30Z")  # fmt: skip
        assert done == (0, f"alert {plain} confirmed (step 2)\n", "")
        human = json.loads(node.desk.open_alerts[0].document)["human"]
        assert (human["moderator"], human["verdict"], human["note"]) == ("anna", "confirm", "seen")
        assert human["viewed_s"] == 150

        status, out, _ = await say("verdict", urgent.lower(), "dismiss", *me("anna"))
        assert (status, "second, different person" in out) == (0, True)
        status, _, err = await say("verdict", urgent, "dismiss", *me("anna"))
        assert (status, "refused by streamwatch/v1/edge-1" in err) == (1, True)
        status, out, _ = await say("verdict", urgent, "dismiss", *me("ben"), "--json")
        assert (status, json.loads(out)["result"]) == (0, "done")
        assert node.ids == [plain]
        status, _, err = await say("verdict", ID, "acknowledge", *me("anna"))
        assert (status, "no such alert" in err) == (1, True)
        assert await say("on-duty", *me("anna"), "--for", "1h") == (0, "anna is on duty for 1h\n", "")


@pytest.mark.integration
@needs_mosquitto
async def test_what_the_broker_forbids_is_refused_and_who_does_not_answer_is_missing(
    broker: Mosquitto, secret: Path
) -> None:
    at = ("--url", broker.url, "--node", "edge-1", "--password-file", str(secret))
    async with listening(broker) as node:
        alert = node.ids[0]
        forged = await say("verdict", alert, "dismiss", *at, "--username", "anna", "--as", "ben")
        assert forged[0] == 1, forged
        assert "refused by the broker" in forged[2]
        assert node.ids[0] == alert
        status, _, err = await say("verdict", alert, "dismiss", *at, "--username", "nobody", "--as", "nobody")
        assert (status, "no connection to the broker" in err) == (3, True)


@pytest.mark.integration
@needs_mosquitto
async def test_where_no_daemon_answers_it_ends_with_3(broker: Mosquitto, secret: Path) -> None:
    asked = daemon(None, who="anna", url=broker.url, node="edge-1", username="", password_file=secret)
    with pytest.raises(OutsideError, match="no answer from streamwatch/v1/edge-1 within"):
        await asking.command(
            asked, verb="verdict", who="anna", body={"alert_id": ID}, at=SystemClock().now(), limit_s=0.5
        )


def test_where_no_broker_is_it_ends_with_3(tmp_path: Path) -> None:
    path = config(tmp_path, broker=f"mqtt://127.0.0.1:{free_port()}")
    result = CliRunner().invoke(app, ["verdict", ID, "confirm", str(path), "--as", "anna"])
    assert isinstance(result.exception, OutsideError)
    assert "no connection to the broker" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("verdict", "x", "confirm"), "no alert's id"),
        (("verdict", ID, "confirm", "--note", "x" * 501), "at most 500"),
        (("verdict", ID, "confirm", "--viewed", "yesterday"), "no span of time"),
        (("verdict", ID, "confirm"), "which daemon is not known"),
        (("verdict", ID, "confirm", "--url", "http://h", "--node", "a"), "is no broker"),
        (("verdict", ID, "confirm", "--url", "mqtt://h", "--node", "a/b"), "not a node name"),
        (("verdict", ID, "confirm", "--url", "mqtt://h", "--node", "a", "--password-file", "none"), "does not exist"),
        (("on-duty", "--for", "13h"), "too long"),
        (("on-duty", "--for", "1"), "not a duration"),
    ],
)
def test_mistakes_are_said_before_anybody_is_asked(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(app, [*words, "--as", "anna"])
    assert isinstance(result.exception, UserError), result.output
    assert said in str(result.exception)


def test_a_name_that_would_be_another_topic_is_none() -> None:
    where = ["--url", "mqtt://127.0.0.1:1", "--node", "a"]
    result = CliRunner().invoke(app, ["verdict", ID, "confirm", *where, "--as", "anna/ben"])
    assert isinstance(result.exception, UserError)
    assert "is no name" in str(result.exception)


def test_spans_are_told_in_utc() -> None:
    assert span("2026-11-21T11:00:00+01:00..2026-11-21T10:01:00Z") == {
        "from": "2026-11-21T10:00:00.000Z", "to": "2026-11-21T10:01:00.000Z"}  # fmt: skip
    for wrong in ("2026-11-21T11:00:00..2026-11-21T11:00:00", "2026-11-21T11:00:00Z..2026-11-21T10:00:00Z", "a..b"):
        with pytest.raises(UserError):
            span(wrong)
