"""What the audit log is told, what it is not, and that it never stands in an alert's way."""

import json
from dataclasses import replace

import pytest

from streamwatch.alerts.gate import Refusal
from streamwatch.audit import checkpoint
from streamwatch.audit.checkpoint import compare, wanted
from streamwatch.audit.verification import verify
from streamwatch.bus.base import Outgoing
from streamwatch.daemon.attesting import EVERY_S
from streamwatch.daemon.auditing import LINES, MINUTE_S, digest_of
from streamwatch.daemon.overhearing import AuditedHandler
from streamwatch.daemon.scribe import WAITING
from streamwatch.daemon.setup import Model, Written
from streamwatch.domain.alerts import AlertEvent, Event
from streamwatch.domain.decisions import Level, Severity
from streamwatch.domain.errors import ConfigError, Problem
from streamwatch.domain.streams import StreamId
from streamwatch.link.messages import Layer, Ready
from tests.daemon.stage import ROOT, Stage, rule, running, setup_of, spec
from tests.fakes.journal import FakeJournal

MODEL = Model("cards", "onnx", "1", "a" * 64, "active")


def written(sha256: str = "c" * 64, *, rules: str = "r", models: tuple[Model, ...] = (MODEL,)) -> Written:
    return Written(sha256, (("node", "n"), ("rules", rules)), models)


async def alerted(stage: Stage) -> str:
    """An alert on the lobby; its id."""
    await stage.covered("lobby")
    await stage.decided("lobby", Level.ALARM)
    await stage.pass_time(0.5)
    return str(stage.said("streams/lobby/alerts")[0]["alert_id"])


async def test_a_life_begins_and_ends_in_the_log_and_tells_what_it_works_by() -> None:
    stage = Stage(setup_of(spec("lobby"), written=written()))
    async with running(stage):
        [started] = stage.journal.facts("daemon.started")
        assert started["after"] == "nothing"
        assert (started["config_sha256"], started["version"], started["sandbox"]) == ("c" * 64, "0", {"landlock": True})
        assert stage.journal.facts("models.in_force") == [
            {"listed": [{"name": "cards", "kind": "onnx", "version": "1", "sha256": "a" * 64, "mode": "active"}]}
        ]
        [rules] = stage.journal.facts("rules.in_force")
        assert rules["listed"][0]["name"] == "card"
        assert rules["listed"][0]["open"] == [0.8, 2, 10, 0.4]
    assert stage.journal.kinds[-1] == "daemon.stopped"
    assert stage.journal.closed
    assert verify(stage.journal.lines).damages == []
    again = Stage(setup_of(), journal=FakeJournal(*stage.journal.lines))
    async with running(again):
        assert again.journal.facts("daemon.started")[-1]["after"] == "stop"
    killed = Stage(setup_of(), journal=FakeJournal(*stage.journal.lines[:-1]))
    async with running(killed):
        assert killed.journal.facts("daemon.started")[-1]["after"] == "crash"


async def test_many_rules_take_as_many_lines_as_they_need() -> None:
    stage = Stage(setup_of(rules=tuple(rule(f"{'r' * 60}{number}") for number in range(100))))
    async with running(stage):
        listed = [one["name"] for line in stage.journal.facts("rules.in_force") for one in line["listed"]]
        assert len(listed) == len(set(listed)) == 100


async def test_an_alert_is_told_when_it_opens_and_closes_with_the_model_that_judged() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        alert = await alerted(stage)
        await stage.decided("lobby", Level.CALM, score=0.0)
        await stage.pass_time(1)
        [opened], [closed] = stage.journal.facts("alert.opened"), stage.journal.facts("alert.closed")
        assert opened == {
            "alert_id": alert,
            "seq": 1,
            "severity": "high",
            "rule": "card",
            "kind": "classifier",
            "detector": {"name": "cards", "version": "1", "sha256": "0" * 64},
        }
        assert closed["close_reason"] == "quiet"
        assert "lobby" not in b"".join(stage.journal.lines).decode()


def test_an_alert_that_is_raised_or_escalated_is_told_once_each_time() -> None:
    stage = Stage(setup_of())

    def said(seq: int, **body: object) -> None:
        event = AlertEvent("a", seq, Event.UPDATED, Severity.HIGH, StreamId("lobby"), json.dumps({"rule": "r", **body}))
        stage.auditor.alert(event)

    first, again = ({"from": "low", "at": at, "because": "score"} for at in ("t1", "t2"))
    said(2)
    said(3, raised=first)
    said(4, raised=first, escalated="t3")
    said(5, raised=again, escalated="t3")
    said(6, raised=again, escalated="t3")
    assert stage.journal.kinds == ["alert.raised", "alert.escalated", "alert.raised"]
    assert [told["seq"] for told in stage.journal.facts("alert.raised")] == [3, 5]
    assert stage.journal.facts("alert.escalated")[0]["escalated"] == "t3"


async def test_verdicts_are_told_with_who_and_what_came_of_them_and_without_the_note() -> None:
    stage = Stage(setup_of(spec("lobby"), rules=(rule("card", Severity.URGENT),)))
    async with running(stage):
        alert = await alerted(stage)
        span = [{"from": "2026-11-21T10:00:00Z", "to": "2026-11-21T10:00:12Z"}]
        for who in ("anna", "anna", "berta"):
            await stage.command(f"verdict/{who}", alert_id=alert, verdict="dismiss", note="hush hush", viewed=span)
        first, second, third = stage.journal.facts("verdict.given")
        assert (first["who"], first["verdict"], first["result"]) == ("anna", "dismiss", "proposed_dismissal")
        assert (first["alert_id"], first["viewed_s"]) == (alert, 12.0)
        assert second["result"] == "refused"
        assert "second" in second["why"]
        assert (third["who"], third["result"]) == ("berta", "done")
        assert stage.journal.facts("alert.closed")[0]["close_reason"] == "verdict"
        assert b"hush" not in b"".join(stage.journal.lines)


async def test_commands_are_told_accepted_or_refused_with_a_digest_of_their_id() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.command("ping", request_id="abc")
        await stage.command("mute/anna", stream="lobby", for_s=60.0, note="hush")
        await stage.command("mute", stream="lobby", for_s=60.0, request_id="def")
        await stage.command("nonsense/eve")
        await stage.command("ping", raw=b"{not json")
        ping, mute = stage.journal.facts("command.accepted")
        assert ping == {"verb": "ping", "who": "", "request": digest_of("abc"), "result": "done"}
        assert (mute["verb"], mute["who"], mute["result"], mute["for_s"]) == ("mute", "anna", "done", 60.0)
        refused = stage.journal.facts("command.refused")
        assert refused == [
            {"verb": "mute", "who": "", "refusal": "no_identity", "request": digest_of("def")},
            {"verb": "nonsense", "who": "eve", "refusal": "unknown_verb", "request": None},
            {"verb": "ping", "who": "", "refusal": "malformed", "request": None},
        ]
        said = b"".join(stage.journal.lines)
        assert b"abc" not in said
        assert b"hush" not in said
        assert b"lobby" not in said


async def test_signals_are_no_decisions() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        before = len(stage.journal.lines)
        body = {"request_id": "1", "at": "2026-11-21T10:00:01Z", "stream": "lobby", "strength": 0.5, "because": "words"}
        stage.broker.take(Outgoing(f"{ROOT}/signals/chat", json.dumps(body).encode()))
        stage.broker.take(Outgoing(f"{ROOT}/signals/chat", b"nonsense"))
        await stage.pass_time(1)
        assert len(stage.journal.lines) == before


async def test_a_flood_of_commands_is_summed_up_and_what_lasts_is_not() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        alert = await alerted(stage)
        for _ in range(LINES + 40):
            stage.auditor.rejected("ping", "", Refusal.TOO_MANY.value, None)
        await stage.command("ping")
        for number in range(LINES + 10):
            await stage.command("verdict/anna", request_id=f"v{number}", alert_id=alert, verdict="acknowledge")
        assert len(stage.journal.facts("command.refused")) == LINES
        assert stage.journal.facts("command.accepted") == []
        assert len(stage.journal.facts("verdict.given")) == LINES + 10
        await stage.pass_time(MINUTE_S)
        assert stage.journal.facts("command.sums") == [
            {"accepted ping": 1, "refused too_many": 40, "within_s": MINUTE_S}
        ]
        await stage.command("ping")
        assert len(stage.journal.facts("command.accepted")) == 1


async def test_a_configuration_that_is_taken_over_says_what_differs_and_which_models() -> None:
    stage = Stage(setup_of(spec("lobby"), written=written()))
    async with running(stage):
        newer = replace(MODEL, version="2", sha256="b" * 64)
        other = Model("hands", "onnx", "1", "d" * 64, "shadow")
        setup = setup_of(
            spec("lobby"), rules=(rule(), rule("more")), written=written("e" * 64, rules="s", models=(newer, other))
        )
        await stage.service.reload(lambda: setup)
        [taken] = stage.journal.facts("config.taken")
        assert taken == {
            "sha256": "e" * 64, "before_sha256": "c" * 64, "sections": ["rules"], "streams": 1, "models_kept": 0,
        }  # fmt: skip
        cards, hands = stage.journal.facts("models.changed")
        assert (cards["name"], cards["before"]["version"], cards["after"]["version"]) == ("cards", "1", "2")
        assert (hands["before"], hands["after"]["mode"]) == (None, "shadow")
        assert len(stage.journal.facts("rules.in_force")) == 2
        await stage.service.reload(lambda: setup)
        assert len(stage.journal.facts("rules.in_force")) == 2
        assert stage.journal.facts("config.taken")[-1]["sections"] == []


async def test_a_configuration_that_is_refused_says_where_it_is_wrong_and_not_what_stands_there() -> None:
    stage = Stage(setup_of(spec("lobby")))

    def wrong() -> None:
        raise ConfigError(
            Problem("c.yaml:3", "mqtt.password", "`hunter2` is too short", "a longer one"),
            Problem("c.yaml:9", "", "no"),
        )

    async with running(stage):
        await stage.service.reload(wrong)
        [refused] = stage.journal.facts("config.refused")
        assert refused == {"sha256": "now", "problems": 2, "keys": ["mqtt.password", "c.yaml:9"]}
        assert b"hunter2" not in b"".join(stage.journal.lines)


async def test_watchers_are_told_when_they_are_lost_and_their_sandbox_where_it_changes() -> None:
    stage = Stage(setup_of(spec("lobby")))
    handler = AuditedHandler(stage.reception, stage.auditor)
    layers = (Layer(name="landlock", in_force=True, detail=""),)
    async with running(stage):
        for one in (layers, layers, (layers[0].model_copy(update={"in_force": False}),)):
            await handler.on_ready(0, Ready(pid=1, sandbox=one, detectors=()))
        assert [told["layers"] for told in stage.journal.facts("sandbox.state")] == [
            {"landlock": True}, {"landlock": False},
        ]  # fmt: skip
        await handler.on_lost(1, "signal:SIGSEGV")
        assert stage.journal.facts("watcher.lost") == [{"watcher": 1, "reason": "signal:SIGSEGV"}]
        for held in (True, True, False, False, True):
            stage.auditor.quarantined(StreamId("lobby"), held=held)
        kinds = [kind for kind in stage.journal.kinds if kind.startswith("stream.")]
        assert kinds == ["stream.quarantined", "stream.released", "stream.quarantined"]
        assert b"lobby" not in b"".join(stage.journal.lines)


async def test_a_full_disk_is_said_costs_alerts_nothing_and_loses_no_line_that_fits_in_memory() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        stage.journal.full = True
        alert = await alerted(stage)
        attempts = stage.journal.attempts
        for number in range(50):
            await stage.command("verdict/anna", request_id=f"v{number}", alert_id=alert, verdict="acknowledge")
        assert stage.journal.attempts - attempts < 30, "a full disk costs every line an attempt"
        assert "No space left" in stage.health.reasons[0]
        assert stage.health.reasons[0].startswith("audit: ")
        stage.journal.full = False
        await stage.pass_time(1.5)
        assert not stage.health.is_degraded("audit")
        assert len(stage.journal.facts("verdict.given")) == 50
        assert len(stage.journal.facts("alert.opened")) == 1
        assert verify(stage.journal.lines).damages == []


async def test_what_does_not_fit_in_memory_is_counted() -> None:
    stage = Stage(setup_of())
    async with running(stage):
        stage.journal.full = True
        for number in range(WAITING + 7):
            stage.auditor.watcher_lost(number, "exit")
        stage.journal.full = False
        await stage.pass_time(1.5)
        assert stage.journal.facts("audit.lost") == [{"lines": 7}]
        assert [told["watcher"] for told in stage.journal.facts("watcher.lost")] == list(range(7, WAITING + 7))


async def test_a_disk_that_is_full_from_the_start_keeps_nothing_from_working() -> None:
    journal = FakeJournal()
    journal.full = True
    stage = Stage(setup_of(spec("lobby")), journal=journal)
    async with running(stage):
        assert await alerted(stage)
        assert stage.said("audit") == []
        journal.full = False
        await stage.pass_time(2)
        assert journal.kinds[0] == "daemon.started"
        assert stage.said("audit")[-1]["n"] == journal.tip.n


async def test_old_lines_go_by_the_hour_and_a_segment_spans_a_tenth_of_it() -> None:
    stage = Stage(setup_of())
    async with running(stage):
        await stage.pass_time(3600)
        assert len(stage.journal.aged) == 2
        assert [moment[:13] for moment in stage.journal.aged[0]] == ["2024-11-21T10", "2026-09-09T10"]


async def test_a_segment_that_cannot_be_deleted_is_said_and_tried_again() -> None:
    stage = Stage(setup_of())
    async with running(stage):
        stage.journal.full = True
        await stage.pass_time(3600)
        assert stage.health.is_degraded("audit")
        stage.journal.full = False
        await stage.pass_time(62)
        assert not stage.health.is_degraded("audit")


# --- checkpoints ---------------------------------------------------------------------------------------------------


async def test_checkpoints_tell_where_the_log_ends_at_start_while_it_grows_and_at_the_stop() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        [first] = stage.said("audit")
        assert (first["node"], first["boot_id"], first["n"], first["lines"]) == ("edge-1", "boot", 2, 2)
        await stage.pass_time(EVERY_S + 1)
        assert len(stage.said("audit")) == 1, "nothing was written"
        await stage.command("ping")
        await stage.pass_time(2)
        second = stage.said("audit")[1]
        assert (second["n"], second["lines"]) == (3, 1)
        await stage.command("ping")
        await stage.pass_time(EVERY_S - 10)
        assert len(stage.said("audit")) == 2
        await stage.pass_time(11)
        assert [said["n"] for said in stage.said("audit")] == [2, 3, 4]
    last = stage.said("audit")[-1]
    assert (last["n"], last["hash"]) == (stage.journal.tip.n, stage.journal.tip.hash)
    assert stage.kept("audit") is None
    points = [
        checkpoint.read(message.payload) for message in stage.broker.published if message.topic == f"{ROOT}/audit"
    ]
    assert compare(verify(stage.journal.lines, wanted=wanted(points)), points) == []
    assert compare(verify(stage.journal.lines[:-1], wanted=wanted(points)), points)


async def test_lines_of_before_this_run_are_not_counted_again() -> None:
    before = Stage(setup_of())
    async with running(before):
        pass
    stage = Stage(setup_of(), journal=FakeJournal(*before.journal.lines))
    async with running(stage):
        [first] = stage.said("audit")
        assert (first["n"], first["lines"]) == (len(before.journal.lines) + 2, 2)


async def test_a_broker_that_is_away_hears_it_when_it_is_back() -> None:
    stage = Stage(setup_of())
    stage.broker.up.clear()
    async with running(stage):
        assert stage.said("audit") == []
        stage.broker.start()
        await stage.pass_time(2)
        assert [said["n"] for said in stage.said("audit")] == [2]


async def test_a_broker_that_refuses_checkpoints_is_said_and_asked_again_after_a_minute() -> None:
    stage = Stage(setup_of())
    stage.broker.refuses.add(f"{ROOT}/audit")
    async with running(stage):
        assert stage.health.is_degraded("audit-checkpoints")
        stage.broker.refuses.clear()
        await stage.pass_time(30)
        assert stage.said("audit") == []
        await stage.pass_time(32)
        assert len(stage.said("audit")) == 1
        assert not stage.health.is_degraded("audit-checkpoints")


async def test_a_stop_does_not_wait_for_a_broker_that_is_away() -> None:
    stage = Stage(setup_of())
    async with running(stage):
        stage.broker.stop()
        await stage.pass_time(1)
    assert stage.journal.kinds[-1] == "daemon.stopped"


@pytest.mark.parametrize("names", [("lobby", "hall")])
def test_a_digest_tells_words_apart_and_is_no_word(names: tuple[str, str]) -> None:
    one, other = map(digest_of, names)
    assert one != other
    assert len(one) == 32
