"""The scenarios: what is done, what is measured, what is promised. Each ends with the same verdict."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from pathlib import Path

from streamwatch.alerts.ulid import Ulids
from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.sqlite import SqliteLedger
from tests.torture.ledger import disk
from tests.torture.proxy import Mood
from tests.torture.report import Report
from tests.torture.stage import Stage
from tests.torture.torment import Plan, Torment
from tests.torture.verdict import Committed, Receipt

DRAIN_S = 180.0
"""A ledger that does not drain within this is not drained."""
COMMIT_MS = 3.0
"""What an event may cost, on a disk that gives it half of that."""
_FIRST_REMINDER_S = 30.0
"""An urgent alert that nobody acknowledged reminds then, and not before."""


async def chaos(folder: Path, plan: Plan, *, rate: float, forget_s: float | None = None) -> Report:
    """Kills and cuts at random moments while alerts come."""
    report = Report()
    stage = Stage(folder, seed=plan.seed, forget_s=forget_s)
    async with stage.set():
        stage.victim.rate, stage.victim.solo_rate = rate, 0.5
        await stage.victim.start()
        torment = Torment(stage, plan)
        begun = time.monotonic()
        await torment.run()
        report.row("under torture", f"{time.monotonic() - begun:.0f} s at {rate:g} events/s, seed {plan.seed}")
        report.row("done", ", ".join(f"{count} {what}" for what, count in sorted(torment.done.items())))
        await _drained(stage, report)
        committed, verdict = await stage.judge()
    _spread(report, committed)
    report.verdict(verdict)
    return report


async def latency(folder: Path, *, seed: int, rate: float, seconds: float) -> Report:
    """From the hand-over to a subscriber, with nothing in the way."""
    report = Report()
    stage = Stage(folder, seed=seed, troubles=False)
    async with stage.set():
        await stage.victim.start()
        await stage.victim.until("connected", bool, limit=30)
        await stage.victim.sing(rate)
        await asyncio.sleep(seconds)
        await _drained(stage, report)
        committed, verdict = await stage.judge()
    first = _first(stage.listener.receipts)
    published = [(first[e.key] - e.offered_at) * 1000 for e in committed if e.key in first and e.offered_at]
    whole = [(first[e.key] - e.committed_at) * 1000 for e in committed if e.key in first]
    report.row("load", f"{len(committed) / seconds:.0f} events/s for {seconds:g} s (asked: {rate:g})")
    report.row("publish to subscriber", f"p50 {_share(published, 0.5):.2f} ms, most {max(published):.1f} ms")
    report.promise("publish to subscriber, p95", _share(published, 0.95), 50, "ms")
    report.row("commit to subscriber", f"p50 {_share(whole, 0.5):.2f} ms, p95 {_share(whole, 0.95):.2f} ms")
    report.verdict(verdict)
    return report


async def outage(folder: Path, *, seed: int, waiting: int) -> Report:
    """A broker that was away while events piled up; urgent ones come while they are drained."""
    report = Report()
    stage = Stage(folder, seed=seed, troubles=False)
    async with stage.set():
        await stage.broker.stop()
        await stage.victim.start()
        await stage.victim.until("connected", lambda _: True, limit=30)
        begun = time.monotonic()
        await stage.victim.tell(f"fill {waiting}")
        await stage.victim.until("counts", lambda counts: counts.get("spoken", 0) >= waiting, limit=30 + waiting / 50)
        report.row("events waiting", f"{stage.victim.facts['pending']}, committed in {time.monotonic() - begun:.0f} s")
        await stage.broker.start()
        back, back_at = time.monotonic(), time.time()
        await stage.victim.until("connected", bool, limit=30)
        report.row("connected again after", f"{time.monotonic() - back:.1f} s")
        await stage.victim.sing(0.0, 1.0)
        await stage.victim.until("pending", lambda pending: pending < 3, limit=DRAIN_S * 2)
        drained_s = time.monotonic() - back
        await _drained(stage, report)
        committed, verdict = await stage.judge()
    first = _first(stage.listener.receipts)
    new = [e for e in committed if e.severity == "urgent" and e.committed_at > back_at and e.event == "opened"]
    delays = [first[e.key] - e.committed_at for e in new if e.key in first]
    report.promise(f"{waiting} events drained", drained_s, 120, "s")
    report.row("rate of the drain", f"{waiting / drained_s:.0f} events/s")
    if delays:
        report.promise(f"new urgent alerts meanwhile ({len(delays)}), longest delay", max(delays), 1, "s")
    report.verdict(verdict)
    return report


async def clock(folder: Path, *, seed: int, rate: float, jumps: int) -> Report:
    """The wall clock is set an hour back or forth; brokers that forget and daemons that begin anew come between."""
    report = Report()
    dice = random.Random(f"{seed} clock")
    stage = Stage(folder, seed=seed, forget_s=3600.0)
    begun = time.monotonic()
    async with stage.set():
        victim = stage.victim
        victim.rate, victim.solo_rate = rate, 1.0
        await victim.start()
        for number in range(jumps):
            await victim.until("connected", bool, limit=30)
            await asyncio.sleep(dice.uniform(0.3, 1.0))
            hour = -3600 if number % 2 else 3600
            match number % 5:  # what counts from a reconnect, or from what the ledger says of before, is misled
                case 1:
                    await _forgetful(stage, victim.jump(hour))
                case 2:
                    await _reborn(stage, hour)
                case 4:  # one life, in which the clock was set: its ledger speaks of a future that is over
                    await _forgetful(stage, _reborn(stage, hour))
                case _:
                    await victim.jump(hour)
        await asyncio.sleep(1.0)
        report.row("jumps", f"{jumps} of an hour in {time.monotonic() - begun:.0f} s, seed {seed}")
        await _drained(stage, report)
        committed, verdict = await stage.judge()
    report.row("levels", ", ".join(f"{count} {what}" for what, count in sorted(victim.counted.items())))
    if victim.counted["silent"]:
        report.faults.append(f"{victim.counted['silent']} levels that should speak made no event")
    reminders = [e for e in committed if e.event == "reminder"]
    early = [e.key for e in reminders if json.loads(e.body).get("escalated") is None]
    report.row("escalated", f"{len(reminders) - len(early)}, for a restart has the wall clock alone to count from")
    if early and time.monotonic() - begun < _FIRST_REMINDER_S:
        report.faults.append(f"reminded too early: {len(early)}, such as {early[:3]}")
    report.verdict(verdict)
    return report


async def forgotten(folder: Path, *, seed: int, rate: float, away_s: float) -> Report:
    """A broker forgets what it acknowledged, and is away for longer than daemons usually look back."""
    report = Report()
    stage = Stage(folder, seed=seed, forget_s=3600.0)
    async with stage.set():
        await stage.victim.start()
        await stage.victim.until("connected", bool, limit=30)
        stage.aside.mood(Mood.REFUSE)
        stage.aside.cut()  # nobody hears what is said now
        await stage.victim.sing(rate)
        await asyncio.sleep(2.0)
        await _forgetful(stage, _pass_time(stage, away_s))
        await stage.victim.until("connected", bool, limit=30)
        report.row("broker away", f"{away_s:g} s")
        await _drained(stage, report)
        _, verdict = await stage.judge()
    report.verdict(verdict)
    return report


async def _forgetful(stage: Stage, meanwhile: Awaitable[None]) -> None:
    """The broker is killed while its subscriber is away: what it acknowledged and did not save is gone."""
    stage.aside.mood(Mood.REFUSE)
    stage.aside.cut()
    await asyncio.sleep(1.0)
    await stage.broker.stop(signal.SIGKILL)
    await meanwhile
    await asyncio.sleep(0.1)
    await stage.broker.start()
    stage.aside.mood(Mood.OPEN)


def ledger(folder: Path, *, events: int) -> Report:
    """What an event costs, fsync included: its commit, and what delivery writes of it."""
    report = Report()
    state = folder / "state"
    store = SqliteLedger(state, clock=SystemClock())
    ulids = Ulids(SystemClock())
    took: dict[str, list[float]] = {"commit": [], "offer": [], "acknowledged": []}
    body = '{"schema":"streamwatch.alert/1","text":"' + "x" * 1400 + '"}'
    try:
        for number in range(events):
            key = ulids.new()
            severity = list(Severity)[number % 3]
            alert = Alert(key, StreamId(f"s{number % 40}"), "rule", severity, Kind.CLASSIFIER, 1, open=True,
                          document=body, changed_at=time.time())  # fmt: skip
            event = AlertEvent(key, 1, Event.OPENED, severity, alert.stream, body)
            for what, call in (
                ("commit", partial(store.commit, alert, event)),
                ("offer", partial(store.offer, [event])),
                ("acknowledged", partial(store.acknowledged, [event], at=time.time())),
            ):
                begun = time.perf_counter()
                call()
                took[what].append((time.perf_counter() - begun) * 1000)
    finally:
        store.close()
    report.row("disk", disk(state))
    alone = _disk_alone(folder / "alone", body, events // 4)
    bare_ms = _share(alone, 0.95)
    report.row("the disk alone", f"p50 {_share(alone, 0.5):.3f} ms, p95 {bare_ms:.3f} (a body written, with fsync)")
    report.row("events", f"{events} of {len(body)} bytes, each committed with fsync (WAL, synchronous FULL)")
    for what, millis in took.items():
        report.row(what, f"p50 {_share(millis, 0.5):.3f} ms, p99 {_share(millis, 0.99):.3f}, most {max(millis):.2f}")
    p95 = _share(took["commit"], 0.95)
    if bare_ms <= COMMIT_MS / 2:
        report.promise("commit, p95", p95, COMMIT_MS, "ms")
    else:
        report.row("commit, p95", f"{p95:.3g} ms (not judged: the disk alone takes more than half of {COMMIT_MS:g} ms)")
    return report


def _disk_alone(path: Path, body: str, times: int) -> list[float]:
    """Milliseconds of writing and syncing so much, with no database."""
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            begun = time.perf_counter()
            file.write(body.encode())
            os.fsync(file.fileno())
            took.append((time.perf_counter() - begun) * 1000)
    return took


async def _pass_time(stage: Stage, seconds: float) -> None:
    """Once the daemon has noticed that the broker is away, so long passes for it at once."""
    await stage.victim.until("connected", lambda connected: not connected, limit=30)
    await stage.victim.tell(f"leap {seconds}")
    await stage.victim.obeyed(limit=30)


async def _reborn(stage: Stage, hour: float) -> None:
    """The daemon is killed, and begins anew at another time of day."""
    await stage.victim.stop(signal.SIGKILL)
    stage.victim.offset_s += hour
    await stage.victim.start()


async def _drained(stage: Stage, report: Report) -> None:
    try:
        report.row("drained after", f"{await stage.settle(limit=DRAIN_S):.1f} s")
    except AssertionError as error:
        report.faults.append(f"not drained within {DRAIN_S:g} s: {error}")


def _spread(report: Report, committed: Sequence[Committed]) -> None:
    alerts = len({event.alert_id for event in committed})
    report.row("alerts", f"{alerts}, of them closed {sum(event.event == 'closed' for event in committed)}")


def _first(receipts: Sequence[Receipt]) -> dict[tuple[str, int], float]:
    return {receipt.key: receipt.at for receipt in reversed(receipts)}


def _share(values: Sequence[float], share: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]
