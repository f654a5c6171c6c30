"""`config/mosquitto/` against a real mosquitto: role by topic, publish and subscribe, on both versions of MQTT.

Every cell is judged by what was delivered. The files are those of the recipe, with ports and paths filled in.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator

import pytest

from streamwatch.bus.base import Outgoing
from streamwatch.bus.client import CannotConnect, Version
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.topics import Topics
from streamwatch.daemon.rights import Rights
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.urls import SafeUrl
from streamwatch.telemetry.health import Health
from tests.fakes.account import Account, account
from tests.fakes.mosquitto import RecipeMosquitto, needs_mosquitto

pytestmark = [pytest.mark.integration, needs_mosquitto]

PREFIX = "streamwatch/v1"
TOPICS = Topics(PREFIX, "edge-1")
NODES = ("edge-1", "edge-2")
ROLES = {
    "node": "edge-1",
    "moderator": "anna",
    "lead": "lena",
    "auditor": "aude",
    "test operator": "tom",
    "platform": "platform",
    "stranger": "zed",
}
"""The account of each role in the recipe; the stranger has a password there and no block."""
OBSERVER = "observer"
PEOPLE_VERBS = ("verdict", "mute", "on_duty", "look", "boost", "resync", "ping")
VERBS = (*PEOPLE_VERBS, "preserve_ack")
NODE_SAYS = (
    "status", "coverage", "streams/lobby/state", "streams/lobby/alerts", "streams/lobby/tests",
    "streams/lobby/breaches", "streams/~rights/alerts", "streams/~rights/tests", "escalations", "audit",
    *(f"replies/{verb}" for verb in (*VERBS, "signal", "rights")),
)  # fmt: skip


def topics(me: str) -> list[str]:
    """All that could be said, as seen by one account: below its own name, below another's, below nobody's."""
    commands = [f"commands/{verb}{who}" for verb in (*VERBS, "new_verb") for who in ("", f"/{me}", "/somebody")]
    signals = [f"signals/{source}" for source in (me, "somebody")]
    said = (*NODE_SAYS, *answers(me), *commands, *signals)
    own = [f"{PREFIX}/{node}/{leaf}" for node in NODES for leaf in said]
    return [*own, f"{PREFIX}/other", "elsewhere/topic"]


def answers(me: str) -> list[str]:
    """Response topics that somebody may ask for on MQTT 5."""
    return [f"replies/{verb}/{who}" for verb in ("verdict", "signal") for who in (me, "somebody")]


def everywhere(*leaves: str) -> set[str]:
    return {f"{PREFIX}/{node}/{leaf}" for node in NODES for leaf in leaves}


def may_write(role: str) -> set[str]:
    me = ROLES[role]
    match role:
        case "node":
            return {f"{PREFIX}/{me}/{leaf}" for leaf in (*NODE_SAYS, *answers(me))}
        case "moderator" | "lead" | "stranger":
            return everywhere(*(f"commands/{verb}/{me}" for verb in PEOPLE_VERBS))
        case "test operator":
            return everywhere(f"commands/ping/{me}", f"commands/look/{me}")
        case "platform":
            return everywhere(f"commands/preserve_ack/{me}", f"signals/{me}")
        case _:
            return set()


def may_read(role: str) -> set[str]:
    me = ROLES[role]
    alerts = tuple(leaf for leaf in NODE_SAYS if leaf.endswith("/alerts"))
    tests = tuple(leaf for leaf in NODE_SAYS if leaf.endswith("/tests"))
    replies = tuple(leaf for leaf in NODE_SAYS if leaf.startswith("replies/"))
    desk = ("status", "coverage", "escalations", "streams/lobby/state", "streams/lobby/breaches", *alerts, *tests)
    answered = everywhere(*(leaf for leaf in answers(me) if leaf.endswith(f"/{me}")))
    if role == "node":
        asked = [f"commands/{verb}{who}" for verb in (*VERBS, "new_verb") for who in ("", "/somebody")]
        proof = [leaf for leaf in NODE_SAYS if "~rights" in leaf]
        heard = (*asked, *proof, *replies, *answers(me), "streams/lobby/state", f"signals/{me}", "signals/somebody")
        return {f"{PREFIX}/{me}/{leaf}" for leaf in heard} | answered
    commanded = [f"commands/{verb}/{who}" for verb in (*VERBS, "new_verb") for who in (me, "somebody")]
    heard_by = {
        "moderator": (*desk, *replies),
        "lead": (*desk, *replies, "audit", *commanded),
        "auditor": ("audit", "status", "coverage"),
        "test operator": (*tests, "status", "coverage", "replies/ping", "replies/look"),
        "platform": (*alerts, "status", "replies/preserve_ack", "replies/signal"),
        "stranger": (),
    }
    return everywhere(*heard_by[role]) | answered


@pytest.fixture
async def broker(tmp_path):
    made = RecipeMosquitto(
        tmp_path / "broker", *ROLES.values(), OBSERVER, more_rules=f"\nuser {OBSERVER}\ntopic readwrite #\n"
    )
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("role", ROLES)
async def test_what_a_role_may_say_is_all_that_is_delivered(broker, role, version):
    async with account(broker, OBSERVER, version) as observer, account(broker, ROLES[role], version) as speaker:
        await observer.listen("#")
        said = topics(ROLES[role])
        taken = {topic for topic in said if await speaker.say(topic)}
        await observer.catch_up()
        assert may_write(role) <= set(said)
        assert observer.take() == may_write(role)
        if version == "5":
            assert taken == may_write(role), "the reason code tells the truth"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("role", ROLES)
async def test_what_a_role_may_hear_is_all_that_it_is_sent(broker, role, version):
    async with account(broker, OBSERVER, version) as observer, account(broker, ROLES[role], version) as listener:
        said = topics(ROLES[role])
        await listener.listen("#", *said)
        heard = set()
        for topic in said:
            assert await observer.say(topic)
            await listener.catch_up()
            heard |= listener.take()
        assert may_read(role) <= set(said)
        assert heard == may_read(role)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_what_is_retained_is_kept_from_who_may_not_read_it(broker, version):
    async with account(broker, OBSERVER, version) as observer:
        for leaf in ("status", "streams/lobby/state"):
            await observer.connection.say(Outgoing(f"{PREFIX}/edge-1/{leaf}", b"{}", retain=True), limit_s=10)
        async with account(broker, "aude", version) as auditor:
            await auditor.listen("#")
            await auditor.catch_up()
            assert auditor.take() == {f"{PREFIX}/edge-1/status"}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("changes", [
    {"password": "guess"},
    {"username": None, "password": None},
    {"username": "unknown"},
])  # fmt: skip
async def test_nobody_gets_in_without_an_account(broker, version, changes):
    visitor = Account(broker, "anna", version, **changes)
    with pytest.raises(CannotConnect, match="user, password or certificate"):
        await visitor.connection.open()
    visitor.connection.cut()


async def test_nobody_gets_in_unencrypted(broker):
    visitor = Account(broker, "anna", "5", url=SafeUrl(f"mqtt://127.0.0.1:{broker.port}"))
    with pytest.raises(CannotConnect):
        await visitor.connection.open()
    visitor.connection.cut()


class Presence:
    """What a daemon says of itself."""

    def birth(self) -> Outgoing:
        return Outgoing(TOPICS.status, b"online", retain=True)

    def testament(self) -> Outgoing:
        return Outgoing(TOPICS.status, b"offline", retain=True)


@contextlib.asynccontextmanager
async def daemon(broker: RecipeMosquitto, version: Version) -> AsyncIterator[tuple[MqttBus, Health, Rights]]:
    """A daemon's bus and its rights, at work."""
    options = BrokerOptions(
        url=SafeUrl(broker.url), node="edge-1", username="edge-1", password=broker.word, ca=broker.ca,
        protocol=version,
    )  # fmt: skip
    bus = MqttBus(options, herald=Presence(), subscriptions=TOPICS.subscriptions, clock=SystemClock())
    health = Health()
    rights = Rights(
        prove=functools.partial(bus.prove_rights, limit_s=0.5),
        complaints=bus.complaints,
        topics=TOPICS,
        health=health,
        clock=SystemClock(),
    )
    task = asyncio.create_task(bus.run(), name="bus under test")
    try:
        await asyncio.wait_for(bus.wait_connected(), 10)
        yield bus, health, rights
    finally:
        task.cancel()
        await asyncio.wait((task,), timeout=10)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_daemon_has_all_the_rights_that_it_proves(broker, version):
    async with daemon(broker, version) as (bus, health, rights):
        rights.renew()
        await rights.check()
        rights.look()
        assert health.reasons == ()
        await bus.publish(Outgoing(TOPICS.state("lobby"), b"{}", retain=True))
        assert [one.topic for one in await bus.read_retained(TOPICS.states)] == [TOPICS.state("lobby")]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize(("line", "said"), [
    ("topic read streamwatch/v1/edge-1/streams/~rights/+", "topic write streamwatch/v1/edge-1/streams/+/alerts"),
    ("topic write streamwatch/v1/edge-1/streams/+/alerts", "topic write streamwatch/v1/edge-1/streams/+/alerts"),
    ("topic write streamwatch/v1/edge-1/streams/+/tests", "topic write streamwatch/v1/edge-1/streams/+/tests"),
    ("topic readwrite streamwatch/v1/edge-1/replies/#", "topic readwrite streamwatch/v1/edge-1/replies/#"),
])  # fmt: skip
async def test_a_rule_that_is_missing_is_named(tmp_path, version, line, said):
    broker = RecipeMosquitto(tmp_path / "broker", "edge-1", without=line)
    await broker.start()
    try:
        async with daemon(broker, version) as (_, health, rights):
            rights.renew()
            await rights.check()
            (reason,) = health.reasons
            assert reason.startswith(f"rights: the broker's access rules lack `{said}")
    finally:
        await broker.stop()
