"""Risk signals: what other systems say, what watchers are told of it, and what alerts repeat."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from streamwatch.alerts.gate import BURST
from streamwatch.bus.base import Outgoing
from streamwatch.daemon.demand import BASE
from streamwatch.daemon.demands import HOLD_S
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.decisions import Level
from streamwatch.domain.streams import AgeBand, StreamId, topic_sid
from streamwatch.link.messages import Ready
from tests.daemon.stage import ROOT, Stage, running, setup_of, spec

WHY = "three reports within a minute"
READY = Ready(pid=1, sandbox=(), detectors=())


def send(stage: Stage, source: str, **body: Any) -> None:
    payload = {
        "request_id": f"r{stage.clock.monotonic()}", "at": rfc3339(stage.clock.now()), "stream": "lobby",
        "strength": 0.7, "because": WHY, **body,
    }  # fmt: skip
    stage.broker.take(Outgoing(f"{ROOT}/signals/{source}", json.dumps(payload).encode()))


async def signal(stage: Stage, source: str = "chat", **body: Any) -> dict[str, Any]:
    """Send a signal as another system would, and return the newest answer."""
    before = len(stage.said("replies/signal"))
    send(stage, source, **body)
    await stage.pass_time(0.3)
    replies = stage.said("replies/signal")
    return replies[-1] if len(replies) > before else {}


def counted(stage: Stage, result: str) -> float:
    line = f'streamwatch_signals_total{{result="{result}"}} '
    found = [row for row in stage.metrics.render().decode().splitlines() if row.startswith(line)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


async def test_a_signal_has_the_stream_looked_at_harder_until_it_expires_and_opens_nothing() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        reply = await signal(stage, for_s=20)
        assert (reply["verb"], reply["result"], reply["detail"]["strength"]) == ("signal", "done", 0.7)
        assert reply["detail"]["until"]
        assert stage.fleet.stands["lobby"] == (0.7, HOLD_S)
        await stage.pass_time(22)
        assert stage.fleet.stands["lobby"] == (0.0, HOLD_S)
        assert stage.said("streams/lobby/alerts") == []
        assert counted(stage, "taken") == 1


async def test_strength_zero_withdraws() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await signal(stage, strength=1.0)
        assert (await signal(stage, strength=0, because="cleared by a moderator"))["result"] == "done"
        assert stage.fleet.stands["lobby"] == (0.0, HOLD_S)
        assert counted(stage, "withdrawn") == 1


async def test_a_stream_may_be_named_by_its_topic_id_and_one_that_is_not_known_is_refused() -> None:
    stage = Stage(setup_of(spec("große bühne")))
    async with running(stage):
        sid = stage.service.setup.sid(spec("große bühne").id)
        assert (await signal(stage, stream=sid))["result"] == "done"
        refused = await signal(stage, stream="nowhere")
        assert (refused["result"], refused["why"]) == ("refused", "no such stream is watched here")
        assert counted(stage, "unknown_stream") == 1


async def test_under_keyed_ids_a_stream_may_be_named_by_its_pseudonym_and_by_what_it_is_called_elsewhere() -> None:
    key = b"k" * 16
    sid = topic_sid("große bühne", key)
    stage = Stage(setup_of(spec("große bühne", id=StreamId(sid)), sid_key=key))
    async with running(stage):
        assert (await signal(stage, stream=sid))["result"] == "done"
        assert (await signal(stage, stream="große bühne"))["result"] == "done"
        assert (await signal(stage, stream=topic_sid("große bühne", b"l" * 16)))["result"] == "refused"
        assert set(stage.fleet.stands) == {sid}


async def test_the_same_signal_again_is_answered_again_and_not_taken_again() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        body = {"request_id": "one", "at": rfc3339(stage.clock.now())}
        first = await signal(stage, **body)
        await signal(stage, strength=0)
        assert await signal(stage, **body) == first
        assert stage.fleet.stands["lobby"] == (0.0, HOLD_S)
        assert (await signal(stage, strength=0.1, **body))["result"] == "refused"
        assert (counted(stage, "repeated"), counted(stage, "replayed")) == (1, 1)


@pytest.mark.parametrize(
    ("body", "result"),
    [({"strength": "high"}, "malformed"), ({"at": "2020-01-01T00:00:00Z"}, "stale"), ({"x": "y" * 5000}, "oversized")],
)
async def test_what_is_not_sound_is_refused_with_a_reason_and_counted(body: dict[str, Any], result: str) -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        with capture_logs() as lines:
            reply = await signal(stage, **body)
            await signal(stage, **body)
        assert reply["result"] == "refused"
        assert reply["why"]
        assert counted(stage, result) == 2
        assert stage.fleet.demands == []
        assert [line["why"] for line in lines if "refused" in line["event"]] == [result], "once a minute is enough"


async def test_a_retained_signal_is_never_taken() -> None:
    stage = Stage(setup_of(spec("lobby")))
    payload = {"request_id": "r", "at": rfc3339(stage.clock.now()), "stream": "lobby", "strength": 1, "because": WHY}
    stage.broker.take(Outgoing(f"{ROOT}/signals/chat", json.dumps(payload).encode(), retain=True))
    async with running(stage):
        await stage.pass_time(1)
        assert stage.fleet.demands == []
        assert counted(stage, "retained") == 1


async def test_a_flood_of_one_source_costs_no_other_source_and_no_person_a_word() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        send(stage, "reports", request_id="wanted")
        for number in range(3000):
            send(stage, "flood", request_id=f"f{number}", strength=0.2)
        reply = await stage.command("boost/ann", stream="lobby", suspicion=0.9)
        assert reply["result"] == "done"
        await stage.pass_time(1)
        assert "wanted" in [one["request_id"] for one in stage.said("replies/signal")]
        assert stage.fleet.stands["lobby"] == (0.9, HOLD_S)
        assert counted(stage, "too_many") == pytest.approx(1000 - BURST, abs=10)
        assert stage.bus.dropped == 2000


async def test_a_new_watcher_is_told_what_stands() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await signal(stage)
        stage.fleet.stands.clear()
        await stage.reception.on_ready(0, READY)
        await stage.pass_time(1)
        assert stage.fleet.stands == {"lobby": (0.7, HOLD_S)}


async def test_signals_outlive_the_daemon_and_a_ledger_that_refuses_takes_none() -> None:
    first = Stage(setup_of(spec("lobby")))
    async with running(first):
        await signal(first, for_s=3600)
        first.ledger.unwritable = True
        assert await signal(first, strength=1.0) == {}
        assert counted(first, "ledger") == 1
        assert first.fleet.stands["lobby"] == (0.7, HOLD_S)
        first.ledger.unwritable = False
    second = Stage(setup_of(spec("lobby")), ledger=first.ledger)
    second.clock.advance(first.clock.monotonic() - second.clock.monotonic())
    async with running(second):
        assert second.fleet.stands["lobby"] == (0.7, HOLD_S)


async def test_an_alert_names_the_signals_that_stood_when_it_opened_and_those_that_came_since() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await signal(stage, strength=0.4, because="see https://user:secret@chat.example/room/7")
        await stage.command("boost/ann", stream="lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        (opened,) = stage.said("streams/lobby/alerts")
        (one,) = opened["trace"]["signals"]
        assert (one["source"], one["strength"], one["because"]) == ("chat", 0.4, "see [address]")
        await signal(stage, "reports", strength=0.9)
        await stage.pass_time(11)
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        updated = stage.said("streams/lobby/alerts")[-1]
        assert [signal["source"] for signal in updated["trace"]["signals"]] == ["reports", "chat"]


async def test_signals_of_another_stream_are_not_named() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await stage.covered("hall")
        await signal(stage)
        await stage.decided("hall", Level.ALARM)
        await stage.pass_time(0.5)
        assert "signals" not in stage.said("streams/hall/alerts")[0]["trace"]


async def test_a_signal_for_a_stream_that_is_gone_is_forgotten() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await signal(stage)
        setup = stage.service.setup
        await stage.service.reload(lambda: replace(setup, streams=(spec("hall"),)))
        await stage.service.reload(lambda: setup)
        stage.fleet.stands.clear()
        await stage.pass_time(20)
        assert stage.fleet.stands == {}


async def test_a_changed_stream_is_told_again_what_stands() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await signal(stage, for_s=3600)
        setup = stage.service.setup
        stage.fleet.stands.clear()
        await stage.service.reload(lambda: replace(setup, streams=(spec("lobby", weight=2.0),)))
        await stage.pass_time(1)
        assert stage.fleet.stands == {"lobby": (0.7, HOLD_S)}


async def test_a_weak_signal_about_minors_asks_for_more_than_its_strength_and_says_nothing_of_it() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        reply = await signal(stage, strength=0.1, age_band="minor")
        assert reply["detail"]["strength"] == 0.1
        assert stage.fleet.stands["lobby"] == (BASE[AgeBand.MINOR], HOLD_S)
