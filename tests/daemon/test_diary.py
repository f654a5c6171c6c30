"""Scores of frames are kept where an operator asks for it, and never at the cost of alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from streamwatch.daemon import diary
from streamwatch.daemon.diary import Diary
from streamwatch.domain.decisions import Level
from streamwatch.ledger.retention import Keep
from streamwatch.ledger.samples import scored
from tests.daemon.stage import Stage, running, setup_of, spec

DAY = 86400.0
KEEPING = replace(setup_of(spec("lobby")), keep=Keep(samples_s=7 * DAY))


def dropped(stage: Stage) -> float:
    return stage.metrics.dropped.labels("sample")._value.get()


async def test_without_being_asked_nothing_is_kept() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.pass_time(3)
    assert stage.ledger.samples == []


async def test_scores_are_written_once_a_second_and_at_the_end() -> None:
    stage = Stage(KEEPING)
    async with running(stage):
        await stage.covered("lobby")
        await stage.pass_time(2)
        assert len(stage.ledger.samples) == 1
        await stage.sample("lobby", blind=True)
        assert len(stage.ledger.samples) == 1
    kept = [scored(row) for row in stage.ledger.samples]
    assert [(one.stream, one.scores[0].values, one.blind) for one in kept if one] == [
        ("lobby", (("test_card", 0.1),), False),
        ("lobby", (("test_card", 0.1),), True),
    ]


async def test_frames_of_streams_that_are_not_watched_are_not_noted() -> None:
    stage = Stage(KEEPING)
    async with running(stage):
        await stage.sample("elsewhere")
    assert stage.ledger.samples == []


async def test_a_reload_that_keeps_none_any_more_lets_go_of_all() -> None:
    stage = Stage(KEEPING)
    async with running(stage):
        await stage.covered("lobby")
        await stage.pass_time(2)
        assert stage.ledger.samples
        await stage.service.reload(lambda: setup_of(spec("lobby")))
        await stage.sample("lobby")
        await stage.pass_time(62)
        assert stage.ledger.samples == []


async def test_a_disk_that_refuses_costs_scores_and_no_alert() -> None:
    stage = Stage(KEEPING)
    async with running(stage):
        await stage.covered("lobby")
        stage.ledger.unwritable = True
        await stage.sample("lobby")
        await stage.pass_time(2)
        assert any(reason.startswith("samples:") for reason in stage.health.reasons)
        assert dropped(stage) > 0
        stage.ledger.unwritable = False
        await stage.sample("lobby")
        await stage.decided("lobby", Level.ALARM)
        await stage.pass_time(2)
        assert not any(reason.startswith("samples:") for reason in stage.health.reasons)
        assert [said["event"] for said in stage.said("streams/lobby/alerts")] == ["opened"]


async def test_more_than_memory_is_meant_for_is_given_up_and_counted(monkeypatch) -> None:
    monkeypatch.setattr(diary, "MAX_WAITING", 3)
    stage = Stage(KEEPING)
    async with running(stage):
        await stage.level("lobby")
        for _ in range(5):
            await stage.sample("lobby")
        assert dropped(stage) == 2
        await stage.pass_time(2)
        assert len(stage.ledger.samples) == 3


async def test_a_piece_that_is_being_written_when_all_stops_is_written_once(monkeypatch) -> None:
    monkeypatch.setattr(diary, "PIECE", 2)
    stage = Stage(KEEPING)
    gate, writing = asyncio.Event(), asyncio.Event()

    async def slowly(call: Callable[[], None]) -> None:
        writing.set()
        await gate.wait()
        call()

    kept = Diary(store=stage.ledger, setup=lambda: KEEPING, metrics=stage.metrics, health=stage.health,
                 clock=stage.clock, aside=slowly)  # fmt: skip
    stage.reception._on_sample = kept.note
    stage.service._roll()
    for _ in range(3):
        await stage.sample("lobby")
    saving = asyncio.create_task(kept.save())
    await writing.wait()
    saving.cancel()
    await asyncio.wait((saving,))
    gate.set()
    await kept.finish()
    assert len(stage.ledger.samples) == 3
