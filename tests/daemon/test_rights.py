"""Missing rights at the broker, and other things a broker withholds, are said where people look."""

from __future__ import annotations

from streamwatch.bus.topics import Topics
from streamwatch.daemon.rights import Rights
from streamwatch.telemetry.health import Health
from tests.daemon.stage import ROOT, Stage, running, setup_of, spec
from tests.fakes.clock import FakeClock

ALERTS, TESTS = f"{ROOT}/streams/~rights/alerts", f"{ROOT}/streams/~rights/tests"


async def test_rights_are_proved_at_the_start_and_after_each_reconnect() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        assert stage.proved == [f"{ROOT}/replies/rights", ALERTS, TESTS]
        await stage.pass_time(120)
        assert len(stage.proved) == 3
        stage.broker.stop()
        await stage.pass_time(1)
        stage.broker.start()
        await stage.pass_time(1)
        assert len(stage.proved) == 6
        assert stage.kept("status")["state"] == "online"


async def test_a_missing_right_names_the_line_and_is_tried_again_until_it_is_there() -> None:
    stage = Stage(setup_of(spec("lobby")))
    stage.rights_missing = {ALERTS: "published, and never came back", TESTS: "the same"}
    async with running(stage):
        await stage.pass_time(1)
        (reason,) = stage.kept("status")["reasons"]
        assert reason.startswith(f"rights: the broker's access rules lack `topic write {ROOT}/streams/+/alerts")
        assert "(and 1 more)" in reason
        await stage.pass_time(30)
        assert len(stage.proved) == 3
        stage.rights_missing = {}
        await stage.pass_time(31)
        assert len(stage.proved) == 6
        assert stage.kept("status")["state"] == "online"


async def test_what_the_bus_complains_of_is_said_and_mended() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        stage.complaints = {"identifier": "another client uses our identifier", "broker": "keeps nothing"}
        await stage.pass_time(2)
        assert stage.kept("status")["reasons"] == [
            "broker: keeps nothing",
            "identifier: another client uses our identifier",
        ]
        stage.complaints = {}
        await stage.pass_time(2)
        assert stage.kept("status")["state"] == "online"


async def test_a_refused_subscription_is_tried_again_too() -> None:
    stage = Stage(setup_of(spec("lobby")))
    stage.complaints = {"subscriptions": "the broker refused the subscription to commands"}
    async with running(stage):
        await stage.pass_time(61)
        assert len(stage.proved) == 6
        stage.complaints = {}
        await stage.pass_time(120)
        assert len(stage.proved) == 9


async def test_a_broker_that_hangs_up_on_the_proof_is_not_asked_for_ever() -> None:
    """HiveMQ ends the connection of who publishes without the right: alerts that it does take must get through."""
    stage = Stage(setup_of(spec("lobby")))
    stage.proof_ends_connection = True
    async with running(stage):
        await stage.pass_time(30)
        assert len(stage.proved) == 6
        assert "seems to hang up" in stage.kept("status")["reasons"][0]
        stage.proof_ends_connection = False
        await stage.pass_time(60)
        assert len(stage.proved) == 9
        assert stage.kept("status")["state"] == "online"


async def test_where_the_broker_does_not_know_us_nobody_who_listens_for_alerts_hears_a_proof() -> None:
    asked: list[str] = []

    async def prove(*topics: str) -> dict[str, str]:
        asked.extend(topics)
        return {}

    rights = Rights(
        prove=prove,
        complaints=dict,
        topics=Topics("streamwatch/v1", "edge-1"),
        health=Health(),
        clock=FakeClock(),
        has_account=False,
    )
    rights.renew()
    await rights.check()
    assert asked == [f"{ROOT}/replies/rights"]
