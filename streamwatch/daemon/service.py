"""The daemon at work: its tasks, its pulse, reload and stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.duty import Duty
from streamwatch.bus.base import Bus
from streamwatch.coverage.books import Books
from streamwatch.daemon.attesting import Attestor
from streamwatch.daemon.auditing import Auditor
from streamwatch.daemon.bases import Bases
from streamwatch.daemon.crier import Crier
from streamwatch.daemon.delivery import Delivery
from streamwatch.daemon.diary import Diary
from streamwatch.daemon.figures import CoverageFigures
from streamwatch.daemon.flips import WITHIN_S, Flips
from streamwatch.daemon.herald import Herald
from streamwatch.daemon.keeper import Keeper
from streamwatch.daemon.orders import Orders
from streamwatch.daemon.outside import Outside
from streamwatch.daemon.rights import Rights
from streamwatch.daemon.roster import Roster
from streamwatch.daemon.setup import Setup
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.decisions import Standing
from streamwatch.domain.errors import BusRefused, BusUnavailable, ConfigError, LedgerError, UserError
from streamwatch.domain.streams import State, StreamId, StreamState
from streamwatch.ledger.base import Backlog
from streamwatch.ledger.eviction import Evicted
from streamwatch.ledger.retention import Due
from streamwatch.link.messages import Configure
from streamwatch.sandbox.grant import Grant
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

PULSE_S = 0.25
"""How often states are judged and said: a change is public within this and the broker's time."""

LINES = 20
"""Changes of state that have a line of their own in one pulse; further ones are counted in one."""

DUTIES_S = 1.0
"""How often the desk's clock-work and the metrics run."""

PRUNE_EVERY_S = 60.0

ROOM_TOLD_S = 600.0
"""That alerts were given up for want of room stands in the status for so long: somebody must be able to read it."""

WATCHER_AWAY_S = 5.0
"""A watcher that was lost is back within this, or something is wrong."""

BROKER_AWAY_S = 3.0
"""A broker that is away for less is not worth a word: reconnecting takes that long."""

STOP_S = 10.0
"""For each of the two steps of a stop: watchers end within 3 s, or are made to."""

FLUSH_S = 3.0
"""An orderly stop waits so long for the broker to take what is pending; the rest waits in the ledger."""


class Watchers(Protocol):
    """What the service needs of the fleet, beside the roster's part of it."""

    async def run(self) -> None:
        """Keep the watchers alive until cancelled, then stop them."""
        ...

    async def reconfigure(self, configure: Configure) -> None:
        """Give every watcher other detectors and rules. Raises ModelError: the old ones are in force again."""
        ...

    def restand(self, stream: StreamId, standing: Sequence[Standing]) -> None:
        """Tell a stream's watcher where its rules stand."""
        ...


class Figures(Protocol):
    """What the service asks the ledger for metrics."""

    def backlog(self) -> Backlog:
        """What is owed to people. Raises LedgerError."""
        ...

    def evict(self, *, limit_bytes: int) -> Evicted:
        """Make room where more is kept than that; says what went. Raises LedgerError."""
        ...

    def tend(self) -> str:
        """What is wrong with the ledger's disk, empty where nothing is: alerts go on in memory meanwhile."""
        ...

    def prune(self, due: Due) -> int:
        """Delete some of what is past its time and owed to nobody; 0: nothing is left to do. Raises LedgerError."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The daemon's organs, put together by the composition."""

    bus: Bus
    watchers: Watchers
    books: Books
    desk: AlertDesk
    duty: Duty
    roster: Roster
    herald: Herald
    crier: Crier
    keeper: Keeper
    diary: Diary
    orders: Orders
    outside: Outside
    delivery: Delivery
    figures: Figures
    bases: Bases
    auditor: Auditor
    attestor: Attestor
    rights: Rights
    metrics: Metrics
    health: Health
    clock: Clock
    watchers_at_work: Callable[[], tuple[int, int]]
    """How many watchers are ready, and how many there should be."""
    regrant: Callable[[Grant], Awaitable[None]]
    """Have watchers that may do so much: they are replaced, one after the other, where they may not yet."""
    commands_dropped: Callable[[], int]
    """Commands given up unread since the start."""
    broker_trouble: Callable[[], str]
    """Why there is no connection to the broker; empty while there is one or nothing is known."""


class DaemonService:
    """One daemon. Event loop only."""

    def __init__(self, parts: Parts, setup: Setup) -> None:
        self._p = parts
        self.setup = setup
        self._fixed = setup.fixed
        self._gone: list[StreamId] = []
        self._stopping = asyncio.Event()
        self._heard_broker = parts.clock.monotonic()
        self._full_house = parts.clock.monotonic()
        self._dropped = 0
        self._prune_at = 0.0
        self._made_room_at = float("-inf")
        self._figures = CoverageFigures(parts.books, parts.metrics)
        self._flips = Flips()

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`, then: no new looks, last events to the broker, `offline`, farewell.

        Raises:
            SandboxError, ModelError: the watchers cannot start as configured.

        """
        p = self._p
        p.auditor.started(self.setup)
        p.desk.configure(self.setup.desk_rules, self.setup.policy)
        p.desk.restore({spec.id for spec in self.setup.streams})
        p.duty.restore()
        p.outside.restore()
        p.keeper.restore()
        async with asyncio.TaskGroup() as tasks:
            bus = tasks.create_task(p.bus.run(), name="bus")
            orders = tasks.create_task(p.orders.run(), name="orders")
            delivery = tasks.create_task(p.delivery.run(), name="delivery")
            crying = tasks.create_task(p.crier.run(), name="breaches")
            keeping = tasks.create_task(p.keeper.run(), name="keeping the books")
            attesting = tasks.create_task(p.attestor.run(), name="audit")
            diary = tasks.create_task(p.diary.run(), name="keeping scores")
            greeting = tasks.create_task(self._greet(), name="greeting")
            fleet = tasks.create_task(p.watchers.run(), name="fleet")
            self._roll()
            pulse = tasks.create_task(self._pulse(), name="pulse")
            duties = tasks.create_task(self._duties(), name="duties")
            await self._stopping.wait()
            log.info("stopping")
            ending = (orders, greeting, pulse, duties, keeping, attesting, diary, fleet)
            for task in ending:
                task.cancel()
            await asyncio.wait(ending, timeout=STOP_S)
            await p.keeper.save()
            await p.diary.finish()
            crying.cancel()
            delivery.cancel()
            await asyncio.wait((delivery,), timeout=STOP_S)
            await p.delivery.flush(FLUSH_S)
            await p.attestor.farewell(FLUSH_S)
            bus.cancel()  # says `offline` on its way out
        log.info("stopped")

    async def reload(self, read: Callable[[], Setup]) -> None:
        """Apply what changed in the configuration; a wrong one changes nothing and is said loudly."""
        p = self._p
        try:
            setup = await asyncio.to_thread(read)  # it hashes every model
            await p.regrant(setup.grant)
            if setup.configure != self.setup.configure:
                await p.watchers.reconfigure(setup.configure)
        except UserError as error:
            said = [self.setup.told(problem) for problem in error.problems]
            for problem in said:
                log.error("configuration not taken over", problem=problem)
            p.auditor.refused(error)
            p.health.degrade("configuration", f"the last good one stays in force: {said[0] if said else error}")
            if isinstance(error, ConfigError):
                self._let_go(error.baseless)
            return
        p.auditor.taken_over(self.setup, setup)
        self.setup = setup
        p.health.mend("configuration")
        if setup.kept:
            p.health.degrade("models", "; ".join(setup.kept))
        else:
            p.health.mend("models")
        fixed = sorted({name for name, _ in set(setup.fixed) ^ set(self._fixed)})
        if fixed:
            p.health.degrade("restart", f"changed, and in force only after a restart: {', '.join(fixed)}")
        else:
            p.health.mend("restart")
        p.desk.configure(setup.desk_rules, setup.policy)
        self._roll()
        log.info("configuration taken over", streams=len(p.roster))

    def _let_go(self, baseless: Collection[str]) -> None:
        """Stop watching private streams whose legal basis is gone, also where the file is no good for anything else."""
        gone = [spec.id for spec in self.setup.streams if spec.id in baseless]
        for stream in gone:
            log.warning("private stream is let go: no legal basis", stream=self.setup.shown(stream))
        if gone:
            self.setup = self.setup.without(gone)
            self._roll()

    def _roll(self) -> None:
        """Bring the roster in line with the setup. Private streams whose ground cannot be recorded are not watched."""
        p = self._p
        try:
            p.bases.record(self.setup.bases, shown=self.setup.shown)
        except LedgerError as error:
            p.health.degrade("ledger", str(error))
            self.setup = self.setup.without(self.setup.bases)
        self._gone.extend(p.roster.apply(self.setup.streams))
        if p.roster.left_out:
            p.health.degrade("streams", f"{p.roster.left_out} streams over limits.max_streams are not watched")
        else:
            p.health.mend("streams")

    async def _greet(self) -> None:
        """Say everything after each new connection to the broker."""
        p = self._p
        connection = 0
        while True:
            now = await p.bus.wait_connected()
            if now != connection:
                connection = now
                p.health.mend("mqtt")
                p.delivery.call()
                with suppress(BusUnavailable, BusRefused):
                    await p.herald.say_everything()
                    await p.herald.clear_stale()
                p.rights.renew()
            await p.rights.check()
            await p.clock.sleep(PULSE_S)

    async def _pulse(self) -> None:
        p = self._p
        while True:
            changed = p.books.judge(p.clock.monotonic())
            self._log_states(changed)
            gone, self._gone = self._gone, []
            for stream in gone:
                self._flips.forget(stream)
            await p.herald.speak(changed, gone)
            await p.clock.sleep(PULSE_S)

    def _log_states(self, changed: Sequence[tuple[StreamId, StreamState, str]]) -> None:
        """A line for each change, but no flood: neither of many streams nor of one."""
        now = self._p.clock.monotonic()
        said = [change for change in changed if self._flips.says(*change, now)]
        for stream, state, detail in said[:LINES]:
            log.info("stream", **self._stands(stream, state, detail))
        if len(said) > LINES:
            more = Counter(state.state.value for _, state, _ in said[LINES:])
            log.info("further streams changed their state to this, counted", **more)

    def _log_flips(self) -> None:
        """Sum up the streams that changed too often for lines of their own."""
        sums = self._flips.over(self._p.clock.monotonic())
        for one in sums[:LINES]:
            stands = self._stands(one.stream, one.state, one.detail)
            log.info(
                "stream changed its state often, and stands so now", changes=one.changes, seconds=WITHIN_S, **stands
            )
        if len(sums) > LINES:
            changes = sum(one.changes for one in sums[LINES:])
            log.info(
                "further streams changed their state often",
                streams=len(sums) - LINES,
                changes=changes,
                seconds=WITHIN_S,
            )

    def _stands(self, stream: StreamId, state: StreamState, detail: str) -> dict[str, str | None]:
        reason = state.reason.value if state.reason else None
        return {"stream": self.setup.shown(stream), "state": state.state.value, "reason": reason, "detail": detail}

    async def _duties(self) -> None:
        p = self._p
        while True:
            self._keep_alerts()
            for stream in p.desk.take_restanding():
                p.watchers.restand(stream, p.desk.standing_of(stream))
            p.outside.tick()
            p.crier.tick()
            self._log_flips()
            self._missing_people()
            self._measure()
            self._forget_old()
            await p.clock.sleep(DUTIES_S)

    def _keep_alerts(self) -> None:
        """Bring to the disk what waits for it, then let time work on alerts; each whatever becomes of the other."""
        p = self._p
        failures: list[str] = []
        try:
            failures.append(p.figures.tend())
        except LedgerError as error:
            failures.append(str(error))
        try:
            p.desk.tick()
        except LedgerError as error:
            failures.append(str(error))
        try:
            backlog = p.figures.backlog()
            p.metrics.pending.set(backlog.pending)
            p.metrics.oldest.set(backlog.oldest_s)
        except LedgerError as error:
            failures.append(str(error))
        trouble = next(filter(None, failures), "")
        if trouble:
            p.health.degrade("ledger", trouble)
        else:
            p.health.mend("ledger")

    def _missing_people(self) -> None:
        """Alerts that nobody sees, and spans that nobody keeps, are alarms of their own."""
        p, policy = self._p, self.setup.policy
        live = p.books.counts()
        seen = live[State.COVERED] + live[State.UNCOVERED]
        for key, trouble in (
            ("duty", p.duty.trouble(live=seen, expect=policy.duty)),
            ("preservation", p.desk.unpreserved),
            ("flood", p.desk.flooded),
        ):
            if trouble:
                p.health.degrade(key, trouble)
            else:
                p.health.mend(key)
        p.metrics.on_duty.set(len(p.duty.people))
        p.metrics.held.update({reason.value: float(count) for reason, count in p.desk.held.items()})

    def _forget_old(self) -> None:
        """Keep retention: a little every minute, and more of it only while there is more."""
        p = self._p
        now = p.clock.monotonic()
        if now < self._prune_at:
            return
        try:
            pruned = p.figures.prune(self.setup.keep.due(p.clock.now().timestamp()))
            pruned += self._make_room()
        except LedgerError as error:
            p.health.degrade("ledger", str(error))
            pruned = 0
        self._prune_at = now + (DUTIES_S if pruned else PRUNE_EVERY_S)

    def _make_room(self) -> bool:
        """Keep the ledger within its size. What had to go is said: some of it nobody may have been told of."""
        p = self._p
        now = p.clock.monotonic()
        gone = p.figures.evict(limit_bytes=self.setup.max_ledger)
        for severity, count in (*gone.alerts.items(), *gone.owed.items()):
            p.metrics.evicted.labels(severity.value).inc(count)
        if gone.alerts or gone.owed:
            self._made_room_at = now
            log.error("the ledger is full: the least severe made room", gone=gone.words)
            p.health.degrade("room", "the ledger reached state.max_size: the least severe and oldest alerts made room")
        if gone.stuck:
            p.health.degrade("room", "the ledger is larger than state.max_size, and nothing that may go is left")
        elif not gone and now - self._made_room_at > ROOM_TOLD_S:
            p.health.mend("room")
        return bool(gone)

    def _measure(self) -> None:
        p = self._p
        for state, count in p.books.counts().items():
            p.metrics.streams.labels(state.value).set(count)
        now = p.clock.monotonic()
        self._figures.show(now)
        p.rights.look()
        connected = p.bus.connected
        p.metrics.connected.set(1 if connected else 0)
        if connected:
            self._heard_broker = now
            p.health.mend("mqtt")
        elif now - self._heard_broker > BROKER_AWAY_S:
            why = p.broker_trouble()
            p.health.degrade(
                "mqtt", f"no connection to the broker{': ' + why if why else ''}; alerts wait in the ledger"
            )
        dropped = p.commands_dropped()
        p.metrics.dropped.labels("command").inc(dropped - self._dropped)
        self._dropped = dropped
        ready, wanted = p.watchers_at_work()
        if ready == wanted:
            self._full_house = now
            p.health.mend("watchers")
        elif now - self._full_house > WATCHER_AWAY_S:
            p.health.degrade("watchers", f"{ready} of {wanted} work; the log says why")

    def streams(self) -> list[dict[str, Any]]:
        """The streams at a glance, for `/streams` and the live views."""
        p = self._p
        now = p.clock.monotonic()
        listed = []
        for spec in p.roster:
            known = p.books.state(spec.id)
            if known is None:
                continue
            state, detail = known
            last = p.books.last_sample(spec.id)
            listed.append(
                {
                    "sid": self.setup.sid(spec.id),
                    "stream": self.setup.shown(spec.id),
                    "name": self.setup.name(spec),
                    "url": str(spec.url) if self.setup.names_shown else "",
                    "state": state.state.value,
                    "reason": state.reason.value if state.reason else None,
                    "detail": detail,
                    "gap_s": None if state.gap_s is None else round(state.gap_s, 3),
                    "last_sample_s": None if last is None or state.state is State.ENDED else round(now - last, 3),
                    "max_gap_s": spec.sampling.max_gap_s,
                    "session": state.session,
                },
            )
        return listed

    def facts(self) -> dict[str, Any]:
        """What `/healthz` says."""
        p = self._p
        return {
            "state": p.health.state,
            "reasons": p.health.reasons,
            "mqtt_connected": p.bus.connected,
            "streams": {state.value: count for state, count in p.books.counts().items()},
            "at": rfc3339(p.clock.now()),
            "sandbox": p.herald.layers,
        }

    def missing(self) -> tuple[str, ...]:
        """What keeps the daemon from being ready; empty when nothing does."""
        p = self._p
        lacking = [] if p.watchers_at_work()[0] else ["no watcher is at work"]
        if not p.bus.connected:
            lacking.append("no connection to the broker")
        return tuple(lacking)
