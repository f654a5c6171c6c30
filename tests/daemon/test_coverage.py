"""Coverage as the world sees it: breaches told once each, storms summed up, restarts that are uncovered time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamwatch.coverage.breaches import BreachEvent
from streamwatch.daemon import crier
from streamwatch.daemon.keeper import SAVE_EVERY_S
from streamwatch.domain.streams import Reason, StreamId
from tests.daemon.stage import ROOT, Stage, running, setup_of, spec
from tests.fakes.clock import FakeClock


async def looked_at(stage: Stage, *names: str, seconds: int) -> None:
    """Frames every two seconds."""
    for _ in range(seconds // 2):
        for name in names:
            await stage.sample(name, gap_s=2.0)
        await stage.pass_time(2)


async def test_a_broken_promise_is_told_when_it_begins_and_when_it_ends() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.level("lobby", reason=Reason.STALLED)
        await stage.pass_time(13)
        [begun] = stage.said("streams/lobby/breaches")
        assert begun["schema"] == "streamwatch.breach/1"
        assert (begun["event"], begun["reason"], begun["to"], begun["max_gap_s"]) == ("begun", "stalled", None, 10)
        await stage.level("lobby")
        await stage.sample("lobby")
        await stage.pass_time(1)
        ended = stage.said("streams/lobby/breaches")[1]
        assert (ended["event"], ended["from"]) == ("ended", begun["from"])
        assert ended["uncovered_s"] == pytest.approx(3.5, abs=0.3)
        assert ended["worst_gap_s"] == pytest.approx(ended["uncovered_s"] + 10)
        assert stage.kept("streams/lobby/breaches") is None, "never retained"
        await stage.pass_time(20)
        assert 'streamwatch_breaches_total{reason="stalled"} 1.0' in stage.metrics.render().decode()


@pytest.mark.parametrize("set_s", [0.02, -0.02, 3600, -3600])
async def test_both_documents_of_a_breach_have_one_beginning_whatever_the_clock_and_late_frames_do(set_s) -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.pass_time(14)
        await stage.sample("lobby", ago=11)  # so it was covered for longer, and is not now
        stage.clock.set_s = set_s
        await stage.pass_time(5)
        await stage.sample("lobby")
        await stage.pass_time(1)
        begun, ended = stage.said("streams/lobby/breaches")
        assert [one["event"] for one in (begun, ended)] == ["begun", "ended"]
        for name in ("stream", "session", "from"):
            assert ended[name] == begun[name]
        assert ended["to"] >= ended["from"]
        assert ended["uncovered_s"] == pytest.approx(6, abs=0.3)


async def test_a_breach_that_lasts_over_a_restart_keeps_its_beginning() -> None:
    first = Stage(setup_of(spec("lobby")))
    async with running(first):
        await first.covered("lobby")
        await first.pass_time(13.3)
    first.clock.advance(20)
    first.clock.set_s = 0.77
    second = Stage(setup_of(spec("lobby")), ledger=first.ledger, clock=first.clock)
    async with running(second):
        await second.level("lobby")
        await second.sample("lobby")
        await second.pass_time(1)
    [begun], [ended] = first.said("streams/lobby/breaches"), second.said("streams/lobby/breaches")
    assert (begun["event"], ended["event"]) == ("begun", "ended")
    for name in ("stream", "session", "from"):
        assert ended[name] == begun[name]


async def test_while_the_broker_is_away_breaches_wait_in_order_and_the_oldest_give_way(monkeypatch) -> None:
    monkeypatch.setattr(crier, "QUEUE", 3)
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        stage.broker.stop()
        for _ in range(2):
            await stage.pass_time(13)
            await stage.sample("lobby")
        stage.broker.start()
        await stage.pass_time(3)
        assert [one["event"] for one in stage.said("streams/lobby/breaches")] == ["ended", "begun", "ended"]
        assert 'streamwatch_dropped_total{what="breach"} 1.0' in stage.metrics.render().decode()


async def test_what_the_broker_refuses_is_counted_and_said_and_holds_nothing_up() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    stage.broker.refuses.add(f"{ROOT}/streams/lobby/breaches")
    async with running(stage):
        await stage.covered("lobby")
        await stage.pass_time(13)
        assert any(reason.startswith("breaches: ") for reason in stage.kept("status")["reasons"])
        await stage.covered("hall")
        await stage.pass_time(13)
        assert [one["event"] for one in stage.said("streams/hall/breaches")] == ["begun"]
        assert stage.kept("status")["state"] == "online", "what is told now is taken"


class Lines:
    """What is logged, whatever other tests made of the log's configuration."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def warning(self, event: str, **what: Any) -> None:
        self.lines.append({"event": event, **what})


async def test_hundreds_that_break_at_once_are_a_few_lines(monkeypatch) -> None:
    log = Lines()
    monkeypatch.setattr(crier, "log", log)
    stage = Stage(setup_of(*(spec(f"s{n}") for n in range(3))))
    told = [
        BreachEvent("begun", StreamId(f"s{n}"), "x", Reason.WATCHER, 990.0, None, 10.0, 10.0, 20.0) for n in range(300)
    ]
    for event in told:
        stage.crier.heard(event)
    for _ in range(30):
        stage.clock.advance(1)
        stage.crier.tick()
    assert [line["event"] for line in log.lines] == ["promise broken"] * crier.LINES + [
        "further promises broken and kept again"
    ]
    assert (log.lines[-1]["broken"], log.lines[-1]["watcher"]) == (295, 295)


async def test_coverage_names_windows_origins_and_breaches() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall", origin="edge")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.covered("hall")
        await looked_at(stage, "lobby", seconds=40)
        said = stage.kept("coverage")
        assert said["coverage_1h"] == pytest.approx(said["coverage_24h"])
        assert 0.5 < said["coverage_1h"] < 0.9
        assert [(one["name"], one["live"], one["covered"]) for one in said["origins"]] == [
            ("edge", 1, 0), ("static", 1, 1),
        ]  # fmt: skip
        assert said["breaches_1h"] == 1
        text = stage.metrics.render().decode()
        assert 'streamwatch_origin_coverage_ratio{origin="static",window="1h"} 1.0' in text
        assert 'streamwatch_coverage_window_ratio{window="24h"} 0.' in text


async def test_where_nothing_was_live_no_share_of_it_is_told() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall", origin="edge")))
    async with running(stage):
        await stage.pass_time(15)
        said = stage.kept("coverage")
        assert (said["coverage_1m"], said["coverage_1h"], said["coverage_24h"]) == (1.0, None, None)
        assert [one["coverage_1h"] for one in said["origins"]] == [None, None]
        shown = stage.glance.coverage()
        for one in (shown["node"], *shown["origins"], *shown["streams"]):
            assert (one["coverage_1m"], one["coverage_1h"], one["coverage_24h"]) == (None, None, None)
        text = stage.metrics.render().decode()
        assert 'streamwatch_coverage_window_ratio{window="1h"} NaN' in text
        assert 'streamwatch_origin_coverage_ratio{origin="edge",window="24h"} NaN' in text
        assert "streamwatch_coverage_ratio 1.0" in text, "the public interface promises a number"


async def test_the_share_of_an_hour_outlives_the_stream_and_that_of_a_minute_does_not() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall", origin="edge")))
    async with running(stage):
        await stage.covered("lobby")
        await looked_at(stage, "lobby", seconds=20)
        await stage.level("lobby", live=False, ended=True)
        await stage.pass_time(90)
        node = stage.glance.coverage()["node"]
        assert (node["coverage_1m"], node["coverage_1h"]) == (None, 1.0)
        assert [one["name"] for one in stage.kept("coverage")["origins"]] == ["static", "edge"], "what is unknown last"


async def test_what_is_shown_over_http_begins_with_the_worst() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall"), spec("yard")))
    async with running(stage):
        for name in ("lobby", "hall"):
            await stage.covered(name)
        await looked_at(stage, "lobby", seconds=20)
        shown = stage.glance.coverage()
        assert [one["stream"] for one in shown["streams"]] == ["hall", "lobby", "yard"]
        hall = shown["streams"][0]
        assert (hall["state"], hall["reason"], hall["breaches_1h"]) == ("uncovered", "overload", 1)
        assert hall["broken_since"] is not None
        assert shown["node"]["uncovered"] == 1
        assert shown["node"]["connecting"] == 1
        assert shown["streams_total"] == 3


async def restarted(*, orderly: bool, away_s: float, ran_s: int = 30) -> tuple[Stage, Any]:
    """A daemon that ran and is gone, and one that takes its place."""
    clock = FakeClock()
    first = Stage(setup_of(spec("lobby"), spec("hall")), clock=clock)
    async with running(first):
        await first.covered("lobby")
        await looked_at(first, "lobby", seconds=ran_s)
        if not orderly:
            first.ledger.unwritable = True  # its last words are lost, as after kill -9
    first.ledger.unwritable = False
    clock.advance(away_s)
    return Stage(setup_of(spec("lobby"), spec("hall")), ledger=first.ledger, clock=clock), first


@pytest.mark.parametrize("orderly", [True, False])
async def test_a_restart_is_uncovered_until_a_watcher_speaks(orderly) -> None:
    stage, first = await restarted(orderly=orderly, away_s=20)
    async with running(stage):
        said = stage.kept("streams/lobby/state")
        assert (said["state"], said["reason"]) == ("uncovered", "restart")
        assert stage.kept("streams/hall/state")["state"] == "connecting"
        assert said["session"] not in {"", first.books.live_session(StreamId("lobby"))}
        [begun] = stage.said("streams/lobby/breaches")
        assert (begun["event"], begun["reason"]) == ("begun", "restart")
        await stage.level("lobby")
        await looked_at(stage, "lobby", seconds=20)
        assert stage.kept("streams/lobby/state")["state"] == "covered"
        [_, ended] = stage.said("streams/lobby/breaches")
        lost_s = stage.books.uncovered_total[Reason.RESTART]
        assert lost_s == pytest.approx(ended["uncovered_s"], abs=0.1)
        assert lost_s == pytest.approx(12, abs=2 if orderly else 2 + SAVE_EVERY_S)
        assert stage.kept("coverage")["coverage_1h"] < 1


async def test_a_ledger_that_cannot_be_written_is_said_and_the_next_record_holds_everything() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        stage.ledger.unwritable = True
        await looked_at(stage, "lobby", seconds=22)
        assert any(reason.startswith("ledger: ") for reason in stage.kept("status")["reasons"])
        stage.ledger.unwritable = False
        await looked_at(stage, "lobby", seconds=22)
        assert stage.kept("status")["state"] == "online"
    pages = {page.name: page for page in stage.ledger.load_books().pages}
    assert sum(bucket.live_s for bucket in pages["lobby"].buckets if bucket.width_s == 60) > 30


async def test_a_ledger_that_cannot_be_read_begins_the_books_anew() -> None:
    stage, _ = await restarted(orderly=True, away_s=20)
    stage.ledger.broken = True
    stage.service._p.keeper.restore()
    stage.ledger.broken = False
    assert stage.health.is_degraded("ledger")
    assert stage.books.streams() == ()
    await asyncio.sleep(0)
