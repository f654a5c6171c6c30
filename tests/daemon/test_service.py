"""The daemon's promises, with nothing real but its own organs."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from streamwatch.daemon.bases import NOTE
from streamwatch.daemon.flips import MOST
from streamwatch.domain.decisions import Level, Severity
from streamwatch.domain.errors import ConfigError, Problem
from streamwatch.domain.streams import Reason, StreamId, topic_sid
from streamwatch.fleet.base import FleetHandler
from streamwatch.ledger.eviction import Evicted
from streamwatch.link.messages import Beat, Ready
from tests.daemon.stage import ROOT, Stage, rule, running, setup_of, spec
from tests.fakes.bus import FakeBroker
from tests.fakes.clock import settle


async def test_it_announces_itself_and_says_offline_when_it_stops() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        assert stage.kept("status")["state"] == "online"
        assert stage.kept("coverage")["streams_live"] == 0
    assert stage.kept("status")["state"] == "offline"


async def test_states_are_published_on_change_and_retained() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        assert stage.kept("streams/lobby/state")["state"] == "connecting"
        await stage.covered("lobby")
        document = stage.kept("streams/lobby/state")
        assert (document["state"], document["reason"], document["session"]) == ("covered", None, "s1")
        before = len(stage.said("streams/lobby/state"))
        await stage.level("lobby")
        await stage.pass_time(1)
        assert len(stage.said("streams/lobby/state")) == before
        await stage.level("lobby", reason=Reason.STALLED)
        await stage.pass_time(0.5)
        assert stage.kept("streams/lobby/state")["reason"] == "stalled"


async def test_an_end_is_said_unretained_and_then_nothing_is_retained() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.level("lobby", live=False, ended=True)
        await stage.pass_time(0.5)
        assert stage.said("streams/lobby/state")[-1]["state"] == "ended"
        assert stage.kept("streams/lobby/state") is None


async def test_coverage_is_said_every_ten_seconds() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        before = len(stage.said("coverage"))
        await stage.pass_time(30.5)
        assert len(stage.said("coverage")) - before == 3


async def test_a_stream_that_nobody_looks_at_is_uncovered_and_counted() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.pass_time(30)
        assert stage.kept("streams/lobby/state")["state"] == "uncovered"
        listed = stage.kept("coverage")["uncovered"]
        assert [entry["sid"] for entry in listed] == ["lobby"]
        assert b'streamwatch_uncovered_seconds_total{reason="overload"}' in stage.metrics.render()


async def test_a_lost_watcher_leaves_its_streams_uncovered_for_that_reason() -> None:
    stage = Stage(setup_of(spec("lobby")))
    handler: FleetHandler = stage.reception
    async with running(stage):
        await stage.covered("lobby")
        await handler.on_lost(0, "signal:SIGKILL")
        await stage.pass_time(0.5)
        assert stage.kept("streams/lobby/state")["reason"] == "watcher"
        await handler.on_ready(0, Ready(pid=1, sandbox=(), detectors=()))
        await stage.covered("lobby")
        assert stage.kept("streams/lobby/state")["state"] == "covered"
        assert stage.service.missing() == ()


async def test_watchers_that_stay_away_are_said_and_without_any_it_is_not_ready() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        stage.fleet.at_work = (0, 2)
        assert stage.service.missing() == ("no watcher is at work",)
        await stage.pass_time(8)
        assert "0 of 2 work" in stage.kept("status")["reasons"][0]
        stage.fleet.at_work = (2, 2)
        await stage.pass_time(2)
        assert stage.kept("status")["state"] == "online"


async def test_a_broker_that_stays_away_is_said_with_its_reason() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        stage.broker.stop()
        await stage.pass_time(5)
        assert "Not authorized" in stage.health.reasons[0]
        assert stage.service.missing() == ("no connection to the broker",)


async def test_an_alarm_becomes_an_alert_and_its_latency_is_measured_at_the_hand_over() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        (document,) = stage.said("streams/lobby/alerts")
        assert (document["event"], document["seq"], document["severity"]) == ("opened", 1, "high")
        assert document["latency_ms"] >= 500
        assert stage.ledger.backlog().pending == 0


async def test_test_alerts_go_to_tests_only() -> None:
    stage = Stage(setup_of(spec("lobby"), rules=(rule("card", Severity.TEST),)))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        assert len(stage.said("streams/lobby/tests")) == 1
        assert stage.said("streams/lobby/alerts") == []


async def test_the_end_of_the_stream_closes_its_alerts() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.level("lobby", live=False, ended=True)
        await stage.pass_time(0.5)
        assert [d["event"] for d in stage.said("streams/lobby/alerts")] == ["opened", "closed"]
        assert stage.said("streams/lobby/alerts")[-1]["close_reason"] == "ended"


async def test_while_the_broker_is_away_alerts_wait_and_then_arrive_once_known_in_order() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await stage.covered("lobby")
        stage.broker.stop()
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(20)
        await stage.decided("lobby", Level.CALM, score=0.1)
        await stage.pass_time(1)
        assert stage.ledger.backlog().pending >= 2
        assert stage.service.facts()["state"] == "degraded"
        stage.broker.start()
        await stage.pass_time(2)
        documents = stage.said("streams/lobby/alerts")
        assert [d["seq"] for d in documents] == sorted(d["seq"] for d in documents)
        assert documents[0]["event"] == "opened"
        assert documents[-1]["event"] == "closed"
        assert stage.kept("status")["state"] == "online"
        assert stage.kept("streams/lobby/state")["state"] in {"covered", "uncovered"}


async def test_what_a_killed_broker_acknowledged_is_offered_again_with_the_same_body() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(0.5)
        stage.broker.stop()
        await stage.pass_time(1)
        stage.broker.start()
        await stage.pass_time(2)
        bodies = [m.payload for m in stage.broker.published if m.topic == f"{ROOT}/streams/lobby/alerts"]
        assert len(bodies) == 2
        assert bodies[0] == bodies[1]


async def test_a_refused_alert_is_kept_said_loudly_and_tried_again() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    stage.broker.refuses.add(f"{ROOT}/streams/lobby/alerts")
    async with running(stage):
        await stage.covered("lobby")
        await stage.covered("hall")
        await stage.decided("lobby", Level.ALARM)
        await stage.decided("hall", Level.ALARM)
        await stage.pass_time(2)
        assert len(stage.said("streams/hall/alerts")) == 1
        assert "refuses" in stage.kept("status")["reasons"][0]
        stage.broker.refuses.clear()
        await stage.pass_time(15)
        assert len(stage.said("streams/lobby/alerts")) >= 1
        await stage.pass_time(5)
        assert stage.kept("status")["state"] == "online"


async def test_a_ledger_that_refuses_is_loud_and_the_alert_comes_when_it_is_back() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        stage.ledger.broken = True
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(2)
        assert any(reason.startswith("ledger") for reason in stage.kept("status")["reasons"])
        assert stage.said("streams/lobby/alerts") == []
        stage.ledger.broken = False
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(12)
        assert [d["event"] for d in stage.said("streams/lobby/alerts")][:1] == ["opened"]
        assert stage.kept("status")["state"] == "online"


async def test_an_open_alert_survives_a_restart_of_the_daemon_and_one_of_a_vanished_stream_closes() -> None:
    first = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(first):
        for name in ("lobby", "hall"):
            await first.covered(name)
            await first.decided(name, Level.ALARM)
        await first.pass_time(0.5)
    second = Stage(setup_of(spec("lobby")), broker=first.broker, ledger=first.ledger)
    async with running(second):
        assert second.said("streams/hall/alerts")[-1]["close_reason"] == "restart"
        assert second.said("streams/lobby/alerts")[-1]["event"] == "opened"
        (standing,) = second.fleet.standing[StreamId("lobby")]
        assert standing.open


async def test_stale_retained_states_of_an_earlier_life_are_cleared() -> None:
    broker = FakeBroker()
    first = Stage(setup_of(spec("lobby"), spec("gone")), broker=broker)
    async with running(first):
        await first.covered("gone")
    assert first.kept("streams/gone/state") is not None
    second = Stage(setup_of(spec("lobby")), broker=broker)
    async with running(second):
        assert second.kept("streams/gone/state") is None
        assert second.kept("streams/lobby/state") is not None


async def test_a_reload_touches_only_what_changed() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await stage.covered("hall")
        stage.fleet.calls.clear()
        await stage.service.reload(lambda: setup_of(spec("lobby"), spec("new")))
        await stage.pass_time(0.5)
        assert stage.fleet.calls == [("release", "hall"), ("watch", "new")]
        assert stage.kept("streams/hall/state") is None


async def test_a_wrong_configuration_on_reload_changes_nothing_and_is_said_until_mended() -> None:
    stage = Stage(setup_of(spec("lobby")))

    def wrong() -> None:
        raise ConfigError(Problem("s.yaml:3", "streams.0.url", "no such scheme", "rtmp"))

    async with running(stage):
        await stage.service.reload(wrong)
        await stage.pass_time(0.5)
        document = stage.kept("status")
        assert document["state"] == "degraded"
        assert "s.yaml:3" in document["reasons"][0]
        assert list(stage.fleet.watched) == ["lobby"]
        await stage.service.reload(lambda: setup_of(spec("lobby")))
        await stage.pass_time(0.5)
        assert stage.kept("status")["state"] == "online"


@pytest.mark.parametrize("hidden", [{"names_shown": False}, {"sid_key": b"k" * 16}])
async def test_where_names_or_ids_are_hidden_a_wrong_configuration_is_told_by_its_place_alone(hidden: Any) -> None:
    stage = Stage(setup_of(spec("lobby"), **hidden))

    def wrong() -> None:
        raise ConfigError(Problem("s.yaml:3", "streams.1.id", "`canary` is already the id of streams.0", "another id"))

    async with running(stage):
        with capture_logs() as logs:
            await stage.service.reload(wrong)
        await stage.pass_time(0.5)
        (reason,) = stage.kept("status")["reasons"]
        assert "s.yaml:3: streams.1.id is wrong; `streamwatch check` says how" in reason
        assert "canary" not in reason
        assert "canary" not in str(logs)


async def test_what_nobody_confirmed_goes_after_three_days() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.decided("lobby", Level.CALM)
        await stage.pass_time(620)  # others were called to it
        assert [alert.open for alert in stage.ledger.alerts(open_only=False)] == [False]
        stage.clock.advance(71 * 3600)
        await stage.pass_time(61)
        assert len(stage.ledger.alerts(open_only=False)) == 1
        stage.clock.advance(3600)
        await stage.pass_time(61)
        assert stage.ledger.alerts(open_only=False) == []
        assert stage.ledger.events == []


async def test_a_ledger_that_is_too_large_makes_room_and_says_what_went(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(setup_of(spec("lobby"), max_ledger=12345))
    answers = [Evicted(0, Counter({Severity.TEST: 7}), Counter()), Evicted(0, Counter(), Counter())]
    asked: list[int] = []

    def evict(*, limit_bytes: int) -> Evicted:
        asked.append(limit_bytes)
        return answers.pop(0) if answers else Evicted(0, Counter(), Counter())

    monkeypatch.setattr(stage.ledger, "evict", evict)
    async with running(stage):
        await stage.pass_time(0.3)
        assert stage.kept("status")["reasons"] == [
            "room: the ledger reached state.max_size: the least severe and oldest alerts made room"
        ]
        assert b'streamwatch_ledger_evicted_total{severity="test"} 7.0' in stage.metrics.render()
        await stage.pass_time(300)
        assert stage.kept("status")["reasons"] != [], "somebody must be able to read it"
        await stage.pass_time(400)
        assert stage.kept("status")["reasons"] == []
        answers.append(Evicted(0, Counter(), Counter(), stuck=True))
        await stage.pass_time(61)
        assert "nothing that may go is left" in stage.kept("status")["reasons"][0]
        assert set(asked) == {12345}


async def test_a_private_stream_that_loses_its_basis_is_let_go_at_once_whatever_else_is_wrong() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("call"), bases={StreamId("call"): "order 17"}))

    def wrong() -> None:
        raise ConfigError(Problem("s.yaml:3", "node", "missing"), baseless=("call", "another"))

    async with running(stage):
        assert set(stage.fleet.watched) == {"lobby", "call"}
        assert "order 17" in (stage.ledger.recall(NOTE) or "")
        await stage.service.reload(wrong)
        assert set(stage.fleet.watched) == {"lobby"}
        assert stage.ledger.recall(NOTE) is None
        await stage.pass_time(11)
        assert not [m for m in stage.broker.published if b"order 17" in m.payload]


async def test_a_basis_is_recorded_with_since_when_it_holds() -> None:
    stage = Stage(setup_of(spec("call"), bases={StreamId("call"): "order 17"}))
    async with running(stage):
        first = json.loads(stage.ledger.recall(NOTE) or "{}")
        assert first["call"]["basis"] == "order 17"
        await stage.pass_time(5)
        await stage.service.reload(lambda: replace(stage.service.setup))
        assert json.loads(stage.ledger.recall(NOTE) or "{}") == first
        await stage.service.reload(lambda: replace(stage.service.setup, bases={StreamId("call"): "order 18"}))
        second = json.loads(stage.ledger.recall(NOTE) or "{}")
        assert second["call"]["since"] > first["call"]["since"]


async def test_a_private_stream_whose_basis_cannot_be_recorded_is_not_watched() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        stage.ledger.unwritable = True
        await stage.service.reload(lambda: setup_of(spec("lobby"), spec("call"), bases={StreamId("call"): "order 17"}))
        assert set(stage.fleet.watched) == {"lobby"}
        assert stage.health.is_degraded("ledger")


async def test_a_model_that_fails_on_reload_leaves_the_old_setup_in_force() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        stage.fleet.refuses_models = True
        before = stage.service.setup
        changed = before.configure.model_copy(update={"max_pixels": 5})
        await stage.service.reload(lambda: setup_of(spec("new"), configure=changed))
        assert stage.service.setup is before
        assert "does not load" in stage.health.reasons[0]


async def test_what_only_a_restart_can_change_is_named() -> None:
    stage = Stage(setup_of(spec("lobby"), fixed=(("mqtt", "a"),)))
    async with running(stage):
        await stage.service.reload(lambda: setup_of(spec("lobby"), fixed=(("mqtt", "b"),)))
        assert "mqtt" in stage.health.reasons[0]
        await stage.service.reload(lambda: setup_of(spec("lobby"), fixed=(("mqtt", "a"),)))
        assert stage.health.reasons == ()


async def test_streams_over_the_limit_are_left_out_and_that_is_said() -> None:
    stage = Stage(setup_of(*(spec(f"s{number}") for number in range(5))))
    async with running(stage):
        await stage.pass_time(1)
        assert len(stage.fleet.watched) == 3
        assert "2 streams over limits.max_streams" in stage.kept("status")["reasons"][0]


async def test_a_stream_that_cannot_be_assigned_says_why() -> None:
    stage = Stage(setup_of(spec("lobby")))
    stage.fleet.refuses.add(StreamId("lobby"))
    async with running(stage):
        assert stage.kept("streams/lobby/state")["reason"] == "policy"


async def test_pseudonyms_and_hidden_names_leave_no_name_in_any_topic_or_document() -> None:
    key = b"0123456789abcdef"
    sid = topic_sid("anna's room", key)
    stage = Stage(setup_of(spec("anna's room", id=StreamId(sid)), sid_key=key, names_shown=False))
    async with running(stage):
        await stage.covered(sid)
        await stage.decided(sid, Level.ALARM)
        await stage.pass_time(11)
        everything = b"".join(m.topic.encode() + m.payload for m in stage.broker.published)
        assert b"anna" not in everything
        assert stage.service.streams()[0]["url"] == ""


async def test_metrics_say_what_happened() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.sample("lobby", gap_s=8.0)
        beat = {"busy_s": 0.0, "rss_bytes": 1, "packets_dropped": 0}
        await stage.reception.on_message(
            0, Beat(cpu={"decode": 1.5, "receive": 1}, looks_dropped=2, received={"rtmp": 1000}, **beat)
        )
        await stage.reception.on_message(
            0, Beat(cpu={"decode": 2.0, "receive": 1.25}, looks_dropped=2, received={"rtmp": 1500}, **beat)
        )
        await stage.pass_time(1)
        text = stage.metrics.render().decode()
        for line in (
            'streamwatch_streams{state="covered"} 1.0',
            'streamwatch_samples_total{detector="cards"} 2.0',
            "streamwatch_sample_gap_seconds_count 1.0",
            "streamwatch_decode_seconds_total 2.0",
            'streamwatch_watcher_cpu_seconds_total{part="receive"} 1.25',
            'streamwatch_received_bytes_total{transport="rtmp"} 1500.0',
            "streamwatch_mqtt_connected 1.0",
            "streamwatch_coverage_ratio 1.0",
        ):
            assert line in text, line


async def test_a_stream_that_flips_does_not_flood_the_log_and_its_last_line_is_true() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await stage.covered("lobby")
        with capture_logs() as lines:
            for _ in range(60):
                await stage.level("lobby", reason=Reason.OVERLOAD)
                await stage.pass_time(0.5)
                await stage.level("lobby", reason=Reason.NO_KEYS)
                await stage.pass_time(0.5)
            await stage.covered("hall")
            await stage.pass_time(130)
        own = [line for line in lines if line.get("stream") == "lobby" and "promise" not in line["event"]]
        sums = [line for line in own if line["event"].startswith("stream changed its state often")]
        assert len(own) - len(sums) <= MOST
        assert 1 <= len(sums) <= 3
        assert sum(line["changes"] for line in sums) > 80
        assert (own[-1]["state"], own[-1]["reason"]) == ("uncovered", "no_keys")
        assert "covered" in [line.get("state") for line in lines if line.get("stream") == "hall"]


async def test_words_about_strangers_are_ignored() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.level("stranger")
        await stage.sample("stranger")
        await stage.decided("stranger", Level.ALARM)
        await stage.pass_time(1)
        assert stage.books.streams() == ("lobby",)
        assert stage.ledger.backlog().pending == 0
        await settle()


@pytest.mark.parametrize("leaf", ["status", "coverage", "streams/lobby/state"])
async def test_every_document_is_small(leaf: str) -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.pass_time(11)
    assert all(len(m.payload) <= 4096 for m in stage.broker.published if m.topic.endswith(leaf))
