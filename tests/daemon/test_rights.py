"""Missing rights at the broker, and other things a broker withholds, are said where people look."""

from __future__ import annotations

from tests.daemon.stage import ROOT, Stage, running, setup_of, spec

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
