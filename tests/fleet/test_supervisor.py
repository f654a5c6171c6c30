"""A fleet of real processes: watchers die in every way, and no stream is forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from streamwatch.domain.decisions import Level, Standing
from streamwatch.domain.errors import ModelError, OutsideError, PolicyRefused, SandboxError
from streamwatch.domain.streams import StreamId
from streamwatch.fleet.base import FleetLimits
from streamwatch.link.messages import Beat, Ready, RuleLevel, Sampled, StreamLevel
from tests.fakes import watcher_process
from tests.fleet.fleets import QUICK, configure, fake, running, spec


def running_pids(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_streams_are_watched_and_reports_come_by_their_names():
    async with running(slots=2, first=[spec("a"), spec("b")]) as (fleet, notes):
        await notes.until(lambda: notes.of(Sampled, "a") and notes.of(Sampled, "b"))
        slot = fleet.watch(spec("c"))
        await notes.until(lambda: notes.of(Sampled, "c"))
        assert [one.streams for one in fleet.slots()][slot][-1] == "c"
        assert all(one.ready and one.pid for one in fleet.slots())
        assert [layer.name for layer in fleet.slots()[0].sandbox] == ["fake"]
        await notes.until(lambda: all(one.rss_bytes == one.pid for one in fleet.slots()) or None)


async def test_a_released_stream_is_no_longer_heard_of():
    async with running(first=[spec("a")]) as (fleet, notes):
        await notes.until(lambda: notes.of(Sampled, "a"))
        since = len(notes.heard)
        fleet.release(StreamId("a"))
        fleet.release(StreamId("a"))
        await notes.until(lambda: len(notes.of(Beat, since=since)) > 2)
        assert notes.of(StreamLevel, since=since) == []
        assert fleet.slots()[0].stale == 1
        assert fleet.slots()[0].streams == ()


async def test_standing_and_demand_reach_the_watcher():
    async with running(first=[spec("a")]) as (fleet, notes):
        fleet.restand(StreamId("a"), [Standing("r", open=True)])
        await notes.until(lambda: [m for m in notes.of(RuleLevel, "a") if m.rule == "r" and m.level is Level.ALARM])
        fleet.demand(StreamId("a"), 1.0)
        await notes.until(lambda: [m for m in notes.of(RuleLevel, "a") if m.rule == "demand"])
        fleet.restand(StreamId("unknown"), [])
        fleet.demand(StreamId("unknown"), 1.0)


async def test_changed_settings_go_to_the_same_watcher_in_a_new_epoch():
    async with running(slots=2, first=[spec("a"), spec("b")]) as (fleet, notes):
        first = (await notes.until(lambda: notes.of(StreamLevel, "b")))[-1]
        assert fleet.watch(spec("b", "rtmp://127.0.0.1/live/elsewhere")) == fleet.slots()[1].slot
        again = await notes.until(lambda: [m for m in notes.of(StreamLevel, "b") if m.epoch > first.epoch])
        assert len({one.pid for one in fleet.slots()}) == 2
        assert again[0].epoch == first.epoch + 1 or again[0].epoch > first.epoch


async def test_a_killed_watcher_is_replaced_at_once_and_the_alert_it_held_is_told_to_the_next():
    async with running(slots=2, first=[spec("a"), spec("b")]) as (fleet, notes):
        await notes.until(lambda: notes.of(Sampled, "a") and notes.of(Sampled, "b"))
        notes.standing["a"] = (Standing("r", open=True),)
        victim, other = fleet.slots()
        assert victim.streams == ("a",)
        since = len(notes.heard)
        began = time.monotonic()
        os.kill(victim.pid or 0, signal.SIGKILL)
        await notes.until(lambda: notes.of(Sampled, "a", since=since))
        took = time.monotonic() - began
        assert took < 5
        assert notes.lost() == [(0, "signal:SIGKILL")]
        await notes.until(lambda: [m for m in notes.of(RuleLevel, "a", since=since) if m.level is Level.ALARM])
        after = fleet.slots()
        assert after[0].restarts == {"signal:SIGKILL": 1}
        assert after[0].streams == ("a",)
        assert after[1].pid == other.pid
        assert notes.of(Sampled, "b", since=since) == []  # it was not given away and back


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("test:crash", "signal:SIGSEGV"),
        ("test:exit", "exit"),
        ("test:hang", "hung"),
        ("test:silence", "silent"),
        ("test:garbage", "violation"),
        ("test:flood", "violation"),
        ("test:future", "violation"),
        ("test:hit-in-future", "violation"),
        ("test:detector", "violation"),
        ("test:label", "violation"),
        ("test:twice", "violation"),
        ("test:token", "violation"),
        ("test:volume", "violation"),
        ("test:chatter", "violation"),
    ],
)
async def test_a_stream_that_breaks_its_watcher_costs_that_watcher_alone(address: str, reason: str):
    async with running(slots=2, first=[spec("poison", address), spec("b")]) as (fleet, notes):
        await notes.until(lambda: len(notes.lost()) >= 2)
        assert set(notes.lost()) == {(0, reason)}
        assert fleet.slots()[1].restarts == {}
        fleet.release(StreamId("poison"))
        slot = fleet.watch(spec("c"))
        assert slot == 1  # not into the slot that is in trouble
        since = len(notes.heard)
        await notes.until(lambda: [1 for slot, m in notes.heard[since:] if slot == 0 and isinstance(m, Beat)])


async def test_reports_of_another_epoch_or_another_slots_stream_are_dropped_and_counted():
    async with running(
        slots=2, first=[spec("of-another"), spec("b", "test:forge"), spec("c"), spec("d", "test:stale")]
    ) as (
        fleet,
        notes,
    ):
        await notes.until(lambda: fleet.slots()[1].stale >= 3 and notes.of(StreamLevel, "of-another"))
        assert notes.of(StreamLevel, "d") == []
        assert {slot for slot, m in notes.heard if isinstance(m, StreamLevel) and m.stream == "of-another"} == {0}


async def test_a_frozen_watcher_is_silent_and_replaced():
    async with running(first=[spec("a")]) as (fleet, notes):
        await notes.until(lambda: notes.of(Sampled, "a"))
        pid = fleet.slots()[0].pid or 0
        os.kill(pid, signal.SIGSTOP)
        await notes.until(notes.lost)
        assert notes.lost() == [(0, "silent")]
        assert running_pids([pid]) == []


async def test_a_handler_that_takes_its_time_does_not_make_a_watcher_silent():
    async with running(limits=FleetLimits(beat_s=1.0, backoff_s=QUICK.backoff_s)) as (_, notes):
        busy = asyncio.Event()
        original = notes.on_message

        async def slow(slot: int, message: Any) -> None:
            if not busy.is_set():
                busy.set()
                await asyncio.sleep(2.5)  # the subject: longer than a watcher may be silent
            await original(slot, message)

        notes.on_message = slow  # type: ignore[method-assign]
        await busy.wait()
        since = len(notes.heard)
        await notes.until(lambda: len(notes.of(Beat, since=since)) > 5)
        assert notes.lost() == []


async def test_the_first_restart_is_at_once_and_the_next_ones_wait_longer():
    limits = FleetLimits(backoff_s=(0.0, 0.2, 0.4))
    async with running(first=[spec("poison", "test:exit")], limits=limits) as (fleet, notes):
        moments: list[float] = []

        def count() -> bool:
            while len(moments) < len(notes.of(Ready)):
                moments.append(time.monotonic())
            return len(moments) >= 4

        await notes.until(count)
        assert moments[3] - moments[2] >= 0.2
        assert fleet.slots()[0].restarts["exit"] >= 3


@pytest.mark.parametrize(
    ("max_pixels", "error", "words"),
    [
        (watcher_process.REFUSE_SANDBOX, SandboxError, "preferred"),
        (watcher_process.REFUSE_DETECTORS, ModelError, "hash of model.onnx differs"),
        (watcher_process.END, OutsideError, "nothing works"),
    ],
)
async def test_watchers_that_cannot_work_end_the_fleet_with_the_reason(max_pixels: int, error: type, words: str):
    with pytest.raises(error, match=words):
        async with running(slots=2, settings=configure(max_pixels)):
            pass


async def test_a_watcher_that_never_gets_ready_is_given_up():
    limits = FleetLimits(ready_s=0.6, backoff_s=(0.0,), attempts=2)
    with pytest.raises(OutsideError, match="does not start"):
        async with running(settings=configure(watcher_process.NEVER_READY), limits=limits):
            pass


async def test_a_new_configuration_reaches_every_watcher_without_a_restart():
    async with running(slots=2) as (fleet, notes):
        pids = [one.pid for one in fleet.slots()]
        await fleet.reconfigure(configure(42))
        assert [one.pid for one in fleet.slots()] == pids
        os.kill(pids[0] or 0, signal.SIGKILL)
        ready = await notes.until(lambda: [m for m in notes.of(Ready) if m.detectors[0].version == "42"])
        assert ready


async def test_a_configuration_that_one_watcher_refuses_is_taken_back_everywhere():
    async with running(slots=2) as (fleet, notes):
        with pytest.raises(ModelError, match="hash"):
            await fleet.reconfigure(configure(watcher_process.REFUSE_DETECTORS))
        os.kill(fleet.slots()[0].pid or 0, signal.SIGKILL)
        await notes.until(lambda: len(notes.of(Ready)) == 3)
        assert all(one.detectors[0].version == "1000000" for one in notes.of(Ready))


async def test_a_watcher_that_dies_of_a_new_configuration_gets_the_old_one_back():
    async with running() as (fleet, notes):
        with pytest.raises(ModelError, match="lost"):
            await fleet.reconfigure(configure(watcher_process.END))
        await notes.until(lambda: len(notes.of(Ready)) == 2)
        assert notes.of(Ready)[-1].detectors[0].version == "1000000"


async def test_a_stream_that_cannot_be_told_to_a_watcher_is_refused_and_changes_nothing():
    async with running() as (fleet, _):
        with pytest.raises(PolicyRefused, match="url"):
            fleet.watch(spec("a", "rtmp://127.0.0.1/" + "x" * 20_000))
        assert fleet.slots()[0].streams == ()


@pytest.mark.parametrize("name", ["x" * 16_000, "\N{GRINNING FACE}" * 200, "\ud800", "~tilde", "\x00" * 512])
async def test_the_strangest_name_of_a_stream_goes_to_the_watcher_and_comes_back(name: str):
    async with running(first=[spec(name)]) as (_, notes):
        await notes.until(lambda: notes.of(Sampled, name))


async def test_stopping_leaves_no_process():
    async with running(slots=2) as (fleet, _):
        pids = [one.pid or 0 for one in fleet.slots()]
        assert len(running_pids(pids)) == 2
    assert running_pids(pids) == []


async def test_even_deaf_watchers_are_stopped_in_time():
    async with running(slots=2, command=fake("--deaf")) as (fleet, _):
        pids = [one.pid or 0 for one in fleet.slots()]
        began = time.monotonic()
    assert running_pids(pids) == []
    assert time.monotonic() - began < 5


async def test_a_report_that_its_hearer_cannot_take_costs_that_watcher_alone():
    async with running(slots=2, first=[spec("a"), spec("b")]) as (fleet, notes):
        await notes.until(lambda: notes.of(Sampled, "a") and notes.of(Sampled, "b"))
        original, failed = notes.on_message, asyncio.Event()

        async def fragile(slot: int, message: Any) -> None:
            if slot == 0 and not failed.is_set():
                failed.set()
                raise OverflowError("date value out of range")
            await original(slot, message)

        notes.on_message = fragile  # type: ignore[method-assign]
        since = len(notes.heard)
        with capture_logs() as logs:
            await notes.until(lambda: notes.of(Sampled, "a", since=since))
        assert notes.lost() == [(0, "violation")]
        assert fleet.slots()[1].restarts == {}
        assert [entry for entry in logs if entry["event"] == "watcher said what cannot be taken"]


async def test_a_new_watcher_that_cannot_be_welcomed_is_replaced():
    async with running(first=[spec("a")]) as (fleet, notes):
        await notes.until(lambda: notes.of(Sampled, "a"))
        original, failed = notes.on_ready, asyncio.Event()

        async def fragile(slot: int, ready: Ready) -> None:
            if not failed.is_set():
                failed.set()
                raise ValueError
            await original(slot, ready)

        notes.on_ready = fragile  # type: ignore[method-assign]
        since = len(notes.heard)
        os.kill(fleet.slots()[0].pid or 0, signal.SIGKILL)
        await notes.until(lambda: notes.of(Sampled, "a", since=since))
        assert notes.lost() == [(0, "signal:SIGKILL"), (0, "violation")]


async def test_what_the_log_says_of_a_watcher_names_its_slot():
    with capture_logs() as logs:
        async with running(slots=2) as (fleet, notes):
            os.kill(fleet.slots()[1].pid or 0, signal.SIGKILL)
            await notes.until(lambda: len(notes.of(Ready)) == 3)
    said = [(entry["event"], entry["slot"]) for entry in logs if "slot" in entry]
    assert sorted(said[:2]) == [("watcher ready", 0), ("watcher ready", 1)]
    assert said[2:] == [("watcher lost", 1), ("watcher ready", 1)]


async def test_a_fast_stream_may_be_ahead_of_the_clock():
    async with running(first=[spec("a", "test:future", fast=True)]) as (_, notes):
        await notes.until(lambda: len(notes.of(Sampled, "a")) == 2)
        assert notes.lost() == []
