"""Commands: the public table of bad input, and what the good ones do."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from streamwatch.alerts.gate import BURST, PER_S
from streamwatch.bus.base import Outgoing
from streamwatch.bus.topics import Topics
from streamwatch.daemon.demands import HOLD_S, RENEW_S
from streamwatch.daemon.orders import RESYNC_EVERY_S, lanes
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


async def test_a_boost_is_renewed_until_it_expires_and_then_taken_back() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        reply = await stage.command("boost", stream="lobby", suspicion=0.7, for_s=60)
        assert reply["detail"]["suspicion"] == 0.7
        left = datetime.fromisoformat(reply["detail"]["until"]) - stage.clock.now()
        assert timedelta(seconds=59) < left <= timedelta(seconds=60)
        await stage.pass_time(70)
        told = [suspicion for _, suspicion in stage.fleet.demands]
        assert told == [*[0.7] * (len(told) - 1), 0.0]
        assert 60 / RENEW_S <= len(told) - 1 <= 60 / RENEW_S + 1
        assert stage.fleet.stands["lobby"][0] == 0


async def test_a_boost_of_zero_takes_back_ones_own_and_nobody_elses() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.command("boost/ann", stream="lobby", suspicion=0.9)
        await stage.command("boost/ben", stream="lobby", suspicion=0.4)
        await stage.command("boost/ann", stream="lobby", suspicion=0.0)
        assert stage.fleet.stands["lobby"] == (0.4, HOLD_S)


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


async def test_who_is_on_duty_is_counted_and_nobody_is_an_alarm() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        reply = await stage.command("on_duty/anna", for_s=10)
        assert (reply["result"], reply["detail"]) == ("done", {"on_duty": 1})
        await stage.pass_time(2)
        assert b"streamwatch_moderators_on_duty 1.0" in stage.metrics.render()
        await stage.pass_time(75)
        assert "duty: nobody is on duty while 1 streams are live" in stage.kept("status")["reasons"]
        assert (await stage.command("on_duty", for_s=10))["result"] == "refused", "the broker vouches for nobody"
        await stage.command("on_duty/bob", for_s=60)
        await stage.pass_time(2)
        assert not [reason for reason in stage.kept("status")["reasons"] if reason.startswith("duty")]


async def test_a_confirmed_stream_is_looked_at_harder_and_the_rule_has_a_count() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        [opened] = stage.said("streams/lobby/alerts")
        at = rfc3339(stage.clock.now())
        viewed = [{"from": at, "to": rfc3339(stage.clock.now() + timedelta(seconds=4))}]
        reply = await stage.command("verdict/anna", alert_id=opened["alert_id"], verdict="confirm", viewed=viewed)
        assert reply["result"] == "done"
        assert stage.fleet.demands[-1] == ("lobby", 1.0)
        assert stage.said("streams/lobby/alerts")[-1]["human"]["viewed_s"] == 4.0
        assert b'streamwatch_verdicts_total{rule="card",verdict="confirm"} 1.0' in stage.metrics.render()


async def test_whoever_records_answers_and_that_it_is_not_kept_is_an_alarm() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        [opened] = stage.said("streams/lobby/alerts")
        assert opened["preserve"]["state"] == "asked"
        reply = await stage.command("preserve_ack/recorder", alert_id=opened["alert_id"], kept=False)
        assert reply["result"] == "done"
        await stage.pass_time(2)
        [told] = stage.said("escalations")
        assert told["preserve"]["state"] == "failed"
        assert [reason for reason in stage.kept("status")["reasons"] if reason.startswith("preservation: ")]
        await stage.command("preserve_ack/recorder", alert_id=opened["alert_id"])
        await stage.pass_time(2)
        assert stage.said("streams/lobby/alerts")[-1]["preserve"]["state"] == "kept"
        assert stage.kept("status")["reasons"] == []


async def test_a_retained_command_is_never_executed() -> None:
    stage = Stage(setup_of(spec("lobby")))
    topic = f"{ROOT}/commands/look"
    payload = {"request_id": "r", "at": rfc3339(stage.clock.now()), "stream": "lobby"}
    stage.broker.take(Outgoing(topic, json.dumps(payload).encode(), retain=True))
    async with running(stage):
        await stage.pass_time(1)
        assert stage.fleet.demands == []
        assert b'streamwatch_commands_total{result="retained",verb="refused"}' in stage.metrics.render()
        (reply,) = stage.said("replies/look")
        assert reply["result"] == "refused"
        assert "retained" in reply["why"]


@pytest.mark.parametrize("retain", [True, False])
@pytest.mark.parametrize("topic", ["commands/look", "commands/verdict/anna", "commands/nonsense", "signals/chat"])
async def test_clearing_what_is_retained_is_no_command_and_gets_no_answer(topic: str, *, retain: bool) -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        stage.broker.take(Outgoing(f"{ROOT}/{topic}", b"", retain=retain))
        assert (await stage.command("ping"))["result"] == "done"
        answers = [m.topic for m in stage.broker.published if m.topic.startswith(f"{ROOT}/replies/")]
        assert answers == [f"{ROOT}/replies/ping"]
        text = stage.metrics.render().decode()
        assert 'verb="refused"' not in text
        assert 'result="retained"' not in text


def flood(stage: Stage, topic: str, count: int, **body: Any) -> None:
    """Commands by the hundred, faster than anybody takes them."""
    at = rfc3339(stage.clock.now())
    for number in range(count):
        payload = {"request_id": f"f{number}", "at": at, **body}
        stage.broker.take(Outgoing(f"{ROOT}/commands/{topic}", json.dumps(payload).encode()))


async def test_a_flood_from_anybody_drops_no_moderators_word_and_is_not_answered_word_for_word() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        alert = stage.said("streams/lobby/alerts")[0]["alert_id"]
        verdict = {"request_id": "v1", "at": rfc3339(stage.clock.now()), "alert_id": alert, "verdict": "confirm"}
        stage.broker.take(Outgoing(f"{ROOT}/commands/verdict/anna", json.dumps(verdict).encode()))
        flood(stage, "ping", 1500)
        flood(stage, "verdict", 1500, alert_id=alert, verdict="confirm")
        flood(stage, "verdict/eve", 1500, alert_id="nonsense")
        await stage.pass_time(10)
        assert "v1" in [reply["request_id"] for reply in stage.said("replies/verdict") if reply["result"] == "done"]
        assert len(stage.said("replies/ping")) <= BURST + 10 * PER_S
        assert stage.bus.dropped == 1500
        assert b'streamwatch_commands_total{result="too_many",verb="refused"}' in stage.metrics.render()


async def test_all_is_said_again_at_most_every_five_seconds() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        assert (await stage.command("resync"))["result"] == "done"
        assert (await stage.command("resync"))["result"] == "refused"
        await stage.pass_time(RESYNC_EVERY_S)
        assert (await stage.command("resync"))["result"] == "done"
        assert len(stage.said("streams/lobby/alerts")) == 3


async def test_nobody_can_use_up_a_moderators_request_id() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        alert = stage.said("streams/lobby/alerts")[0]["alert_id"]
        await stage.command("ping", request_id="v1")
        body = {"request_id": "v1", "alert_id": alert, "verdict": "acknowledge"}
        assert (await stage.command("verdict/anna", **body))["result"] == "done"


@pytest.mark.parametrize(
    ("topic", "lane"),
    [
        ("commands/verdict/anna", "/anna"), ("commands/mute/anna", "/anna"), ("commands/verdict", "verdict/"),
        ("commands/ping", "ping"), ("commands/ping/anna", "ping"), ("commands/ping/eve", "ping"),
        ("commands/nonsense", ""), ("commands/nonsense/x", ""), ("signals/nudge", "signals/nudge"), ("status", ""),
    ],
)  # fmt: skip
def test_each_verb_and_each_person_has_a_lane(topic: str, lane: str) -> None:
    assert lanes(Topics("streamwatch/v1", "edge-1"))(f"{ROOT}/{topic}") == lane
