"""Commands: the public table of bad input, and what the good ones do."""

import json

from streamwatch.domain.clock import rfc3339
from streamwatch.domain.decisions import Level
from tests.daemon.stage import ROOT, Stage, running, setup_of, spec


async def test_ping_is_answered_with_the_request_id() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        reply = await stage.command("ping", request_id="abc")
        assert (reply["request_id"], reply["result"]) == ("abc", "done")


async def test_malformed_oversized_and_stale_commands_are_refused_with_a_reason_and_counted() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        for reply in (
            await stage.command("ping", raw=b"{not json"),
            await stage.command("ping", raw=b'{"request_id": "x", "pad": "' + b"x" * 5000 + b'"}'),
            await stage.command("ping", at="2020-01-01T00:00:00Z"),
            await stage.command("ping", request_id=""),
        ):
            assert reply["result"] == "refused"
            assert reply["why"]
        assert b'streamwatch_commands_total{result="malformed",verb="refused"}' in stage.metrics.render()


async def test_the_same_id_gets_the_same_answer_once_executed_and_another_body_is_refused() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        at = rfc3339(stage.clock.now())
        first = await stage.command("look", request_id="one", at=at, stream="lobby")
        demands = len(stage.fleet.demands)
        again = await stage.command("look", request_id="one", at=at, stream="lobby")
        assert again == first
        assert len(stage.fleet.demands) == demands
        other = await stage.command("look", request_id="one", at=at, stream="hall")
        assert other["result"] == "refused"


async def test_a_verdict_needs_a_topic_that_names_its_sender_whatever_the_payload_says() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        alert = stage.said("streams/lobby/alerts")[0]["alert_id"]
        body = {"alert_id": alert, "verdict": "acknowledge", "moderator": "mallory"}
        assert (await stage.command("verdict", **body))["result"] == "refused"
        assert (await stage.command("verdict/anna", **body))["result"] == "done"
        assert stage.said("streams/lobby/alerts")[-1]["human"]["moderator"] == "anna"


async def test_a_dismissal_closes_and_cools_down_and_the_watcher_is_told() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        alert = stage.said("streams/lobby/alerts")[0]["alert_id"]
        reply = await stage.command("verdict/anna", alert_id=alert, verdict="dismiss")
        assert reply["result"] == "done"
        await stage.pass_time(1.5)
        assert stage.said("streams/lobby/alerts")[-1]["close_reason"] == "verdict"
        (standing,) = stage.fleet.standing["lobby"]
        assert not standing.open
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(1)
        assert stage.said("streams/lobby/alerts")[-1]["event"] == "closed"


async def test_boost_is_renewed_until_it_expires() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.command("boost", stream="lobby", suspicion=0.7, for_s=5)
        await stage.pass_time(10)
        renewed = [suspicion for _, suspicion in stage.fleet.demands]
        assert 4 <= len(renewed) <= 7
        assert set(renewed) == {0.7}


async def test_a_stream_may_be_named_by_its_topic_id_and_unknown_ones_are_refused() -> None:
    stage = Stage(setup_of(spec("große bühne")))
    async with running(stage):
        assert (await stage.command("look", stream="gro%C3%9Fe%20b%C3%BChne"))["result"] == "done"
        assert (await stage.command("look", stream="nowhere"))["result"] == "refused"


async def test_resync_says_every_open_alert_again() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        reply = await stage.command("resync")
        assert reply["result"] == "done"
        await stage.pass_time(0.5)
        assert [d["event"] for d in stage.said("streams/lobby/alerts")] == ["opened", "updated"]


async def test_what_is_not_built_yet_is_refused_and_says_so() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        reply = await stage.command("on_duty/anna", for_s=60)
        assert reply["result"] == "refused"
        assert "yet" in reply["why"]


async def test_a_retained_command_is_never_executed() -> None:
    stage = Stage(setup_of(spec("lobby")))
    topic = f"{ROOT}/commands/look"
    payload = {"request_id": "r", "at": rfc3339(stage.clock.now()), "stream": "lobby"}
    from streamwatch.bus.base import Outgoing  # noqa: PLC0415

    stage.broker.take(Outgoing(topic, json.dumps(payload).encode(), retain=True))
    async with running(stage):
        await stage.pass_time(1)
        assert stage.fleet.demands == []
        assert b'streamwatch_commands_total{result="retained",verb="refused"}' in stage.metrics.render()
