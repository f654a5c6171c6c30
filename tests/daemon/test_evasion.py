"""What the daemon makes of streams that show nothing: uncovered, and an alert among the others."""

import streamwatch
from streamwatch.app.equipment import desk_rules
from streamwatch.domain.decisions import Level, Severity
from streamwatch.domain.streams import Reason
from streamwatch.evasion.rules import builtin
from tests.daemon.stage import Stage, rule, running, setup_of, spec

RULES = (rule(), *desk_rules(builtin(Severity.LOW), {}))


async def test_a_blind_sample_covers_nothing() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        for _ in range(4):
            await stage.pass_time(4)
            await stage.sample("lobby", gap_s=4, blind=True)
        await stage.level("lobby", reason=Reason.BLIND)
        await stage.pass_time(1)
        document = stage.kept("streams/lobby/state")
        assert (document["state"], document["reason"]) == ("uncovered", "blind")
        await stage.covered("lobby")
        await stage.level("lobby")
        await stage.pass_time(1)
        assert stage.kept("streams/lobby/state")["state"] == "covered"
        assert b'streamwatch_samples_total{detector="cards"} 6.0' in stage.metrics.render()


async def test_evasion_is_an_alert_of_its_own_kind_beside_the_others() -> None:
    stage = Stage(setup_of(spec("lobby"), rules=RULES))
    async with running(stage):
        await stage.covered("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.decided("lobby", Level.ALARM, rule_name="evasion-frozen", score=1.0)
        await stage.pass_time(1)
        card, frozen = stage.said("streams/lobby/alerts")
        assert (card["rule"], card["kind"]) == ("card", "classifier")
        assert (frozen["rule"], frozen["label"], frozen["kind"], frozen["severity"]) == (
            "evasion-frozen", "frozen", "evasion", "low"
        )  # fmt: skip
        assert frozen["detector"] == {"name": "evasion", "version": streamwatch.__version__, "sha256": ""}
        assert stage.said("streams/lobby/tests") == []
        await stage.level("lobby", live=False, ended=True)
        await stage.pass_time(1)
        closed = [said for said in stage.said("streams/lobby/alerts") if said["event"] == "closed"]
        assert {(said["rule"], said["close_reason"]) for said in closed} == {
            ("card", "ended"),
            ("evasion-frozen", "ended"),
        }


async def test_a_stream_that_is_never_live_can_be_told_of() -> None:
    stage = Stage(setup_of(spec("lobby"), rules=RULES))
    async with running(stage):
        await stage.level("lobby", live=False, reason=Reason.CODEC)
        await stage.decided("lobby", Level.ALARM, rule_name="evasion-unknown-codec", score=1.0)
        await stage.pass_time(1)
        (told,) = stage.said("streams/lobby/alerts")
        assert (told["label"], told["still_live"]) == ("unknown_codec", False)
        await stage.decided("lobby", Level.CALM, rule_name="evasion-unknown-codec", score=0.0)
        await stage.pass_time(1)
        assert stage.said("streams/lobby/alerts")[-1]["close_reason"] == "quiet"
