"""The fleet: every stream in the hands of a running watcher, whatever happens to watchers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Standing
from streamwatch.domain.errors import ModelError, Problem, leaf
from streamwatch.domain.streams import StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl, printable
from streamwatch.fleet.assignments import Assignment, standing_states, wire_name
from streamwatch.fleet.base import (
    Assigner,
    Command,
    FleetHandler,
    FleetLimits,
    Report,
    SlotStatistics,
    StandingOf,
)
from streamwatch.fleet.custody import Custody
from streamwatch.fleet.isolation import Isolation
from streamwatch.fleet.plausible import Wording, admitted, detectors_of
from streamwatch.fleet.process import WatcherProcess
from streamwatch.fleet.quarantine import Quarantine
from streamwatch.fleet.slot import RENEWED, Slot
from streamwatch.fleet.spare import Spare
from streamwatch.link.messages import (
    Configure,
    Demand,
    Inspect,
    Ready,
    Release,
    Restand,
    RuleLevel,
    Sampled,
    StreamLevel,
)

log = structlog.get_logger(__name__)

OnQuarantine = Callable[[StreamId, float | None], None]
"""Hears that a stream is left alone until this monotonic time, or, with None, that it is watched again.

The first is said again whenever the stream would have been given to a watcher: after `on_ready`, and by `watch`.
"""

_FREE_S = 1.0
RENEWAL_S = 20.0
"""For each watcher that is replaced: its streams are looked at again long before."""
_RENEWAL_LOOK_S = 0.1


class Fleet:
    """`slots` watchers and the streams that they hold. Everything runs on one event loop, of the main thread."""

    def __init__(
        self,
        *,
        slots: int,
        command: Command,
        configure: Configure,
        handler: FleetHandler,
        standing_of: StandingOf,
        assigner: Assigner,
        clock: Clock,
        limits: FleetLimits | None = None,
        spare: bool = False,
        quarantine: Quarantine | None = None,
        on_quarantine: OnQuarantine | None = None,
        isolation: Callable[[], Isolation] = Isolation,
        session_of: Callable[[StreamId], str] = lambda _stream: "",
    ) -> None:
        """`spare` keeps one warm watcher in reserve, about 120 MB; `on_quarantine` hears of streams left alone."""
        self._command = command
        self._clock = clock
        self._spare = Spare(command=command, clock=clock) if spare else None
        self._custody = Custody(slots, quarantine=quarantine or Quarantine(), isolation=isolation)
        self._on_quarantine = on_quarantine
        self._given: tuple[dict[int, StreamId], ...] = tuple({} for _ in range(slots))
        self._configure = configure
        self._detectors = detectors_of(configure)
        self._handler = handler
        self._standing_of = standing_of
        self._session_of = session_of
        self._assigner = assigner
        self._assignments: dict[StreamId, Assignment] = {}
        self._by_wire: dict[str, StreamId] = {}
        self._epoch = 0
        self._stale = [0] * slots
        self._wording = tuple(Wording() for _ in range(slots))
        self._first_ready = asyncio.Event()
        self._reconfiguring = asyncio.Lock()
        self._slots = tuple(
            Slot(index, owner=self, limits=limits or FleetLimits(), clock=clock) for index in range(slots)
        )

    # --- life ---

    async def run(self) -> None:
        """Keep every slot running until cancelled; then each watcher is asked to stop, and made to within 3 s.

        Raises:
            SandboxError, ModelError, OutsideError: the first watchers cannot work; every watcher is stopped.

        """
        try:
            async with asyncio.TaskGroup() as group:
                for slot in self._slots:
                    group.create_task(slot.run(), name=f"fleet-slot-{slot.index}")
                group.create_task(self._free(), name="fleet-quarantine")
                if self._spare is not None:
                    group.create_task(self._spare.run(), name="fleet-spare")
        except BaseExceptionGroup as errors:
            if (ours := leaf(errors)) is not None:
                raise ours from errors
            raise

    async def wait_ready(self) -> None:
        """Wait until every slot is ready for the first time."""
        await self._first_ready.wait()

    def slots(self) -> tuple[SlotStatistics, ...]:
        """Every slot now."""
        return tuple(
            SlotStatistics(
                slot=slot.index,
                pid=slot.pid,
                ready=slot.ready,
                streams=self._assigner.held_by(slot.index),
                restarts=dict(slot.restarts),
                sandbox=slot.sandbox,
                rss_bytes=slot.beat.rss_bytes if slot.beat else 0,
                busy_s=slot.beat.busy_s if slot.beat else 0.0,
                stale=self._stale[slot.index],
            )
            for slot in self._slots
        )

    @property
    def spare_pid(self) -> int | None:
        """The process in reserve, if there is one now."""
        return self._spare.pid if self._spare is not None else None

    # --- streams ---

    def watch(self, spec: StreamSpec, standing: Sequence[Standing] | None = None) -> int:
        """Have a stream watched, or go on with changed settings; returns its slot. `standing` None: it is asked for.

        Raises:
            PolicyRefused: its address or a setting cannot be given to a watcher. Nothing changes then.

        """
        wire = wire_name(spec.id)
        epoch = self._epoch + 1
        draft = Assignment(spec=spec, slot=-1, epoch=epoch, wire=wire)
        message = draft.message(
            self._standing_of(spec.id) if standing is None else standing, session=self._session_of(spec.id)
        )
        troubled = [slot.index for slot in self._slots if slot.troubled]
        index = self._assigner.assign(spec.id, spec.weight, avoid=troubled)
        self._epoch = epoch
        self._assignments[spec.id] = Assignment(spec=spec, slot=index, epoch=epoch, wire=wire)
        self._by_wire[wire] = spec.id
        until = self._custody.until(spec.id, index, self._clock.monotonic())
        if until is not None:
            self._say_quarantined(spec.id, until)
        elif self._slots[index].ready:
            self._given[index][epoch] = spec.id
            self._slots[index].post(message)
        return index

    def release(self, stream: StreamId) -> None:
        """Stop watching a stream; one that is not watched is no error."""
        assignment = self._assignments.pop(stream, None)
        if assignment is not None:
            self._by_wire.pop(assignment.wire, None)
            self._assigner.release(stream)
            self._slots[assignment.slot].post(Release(stream=assignment.wire))
            self._given[assignment.slot].pop(assignment.epoch, None)
            self._let_go(self._custody.forget(stream, assignment.slot))

    def restand(self, stream: StreamId, standing: Sequence[Standing]) -> None:
        """Tell the watcher of a stream where its rules stand now."""
        if (assignment := self._assignments.get(stream)) is not None:
            self._slots[assignment.slot].post(Restand(stream=assignment.wire, standing=standing_states(standing)))

    def demand(self, stream: StreamId, suspicion: float, for_s: float = 0.0) -> None:
        """Have a stream looked at harder, 0 to 1: for `for_s` in the place of what was demanded before, or just now."""
        if (assignment := self._assignments.get(stream)) is not None:
            self._slots[assignment.slot].post(Demand(stream=assignment.wire, suspicion=suspicion, for_s=for_s))

    def inspect(self, url: SafeUrl, seconds: float) -> None:
        """Have the first slot say what is at an address: the handler hears `Found`."""
        self._slots[0].post(Inspect(url=url.reveal(), seconds=seconds))

    async def reconfigure(self, configure: Configure) -> None:
        """Change detectors and rules in every watcher, once each was ready for the first time.

        Raises:
            ModelError: a watcher cannot; the old configuration is in force again everywhere.

        """
        await self.wait_ready()
        async with self._reconfiguring:
            before, self._configure = self._configure, configure
            self._detectors = detectors_of(before, configure)  # looks in progress are of the old ones
            answers = await asyncio.gather(*(slot.reconfigure(configure) for slot in self._slots))
            failed = next((answer for answer in answers if answer is not None), None)
            if failed is None:
                return
            self._configure = before
            await asyncio.gather(*(slot.reconfigure(before) for slot in self._slots))
            raise ModelError(Problem(where="detectors", key="", wrong=failed.detail))

    async def renew(self, command: Command) -> None:
        """Replace every watcher, one after the other, by one that is started so. Streams stay with their slots.

        A watcher that does not come back in time is not waited for: its slot goes on trying.
        """
        self._command = command
        async with self._reconfiguring:
            if self._spare is not None:
                await self._spare.renew(command)
            for slot in self._slots:
                before = slot.pid
                slot.renew()
                waited = 0.0
                while (slot.pid == before or not slot.ready) and waited < RENEWAL_S:
                    await self._clock.sleep(_RENEWAL_LOOK_S)
                    waited += _RENEWAL_LOOK_S

    # --- what slots say (see SlotOwner) ---

    def configuration(self) -> Configure:
        """What a watcher that starts now is told first."""
        return self._configure

    async def new_watcher(self, name: str) -> WatcherProcess:
        """The spare if there is one, else a fresh start."""
        process = await self._spare.take() if self._spare is not None else None
        if process is None:
            return await WatcherProcess.start(self._command, name=name, clock=self._clock)
        process.rename(name)
        return process

    async def slot_ready(self, slot: int, ready: Ready) -> None:
        """Give a new watcher the streams of its slot, in new epochs."""
        self._given[slot].clear()
        await self._handler.on_ready(slot, ready)
        for stream in self._assigner.held_by(slot):
            self.watch(self._assignments[stream].spec)
        self._custody.ready(slot, self._clock.monotonic())
        if all(one.ready for one in self._slots):
            self._first_ready.set()
            if self._spare is not None:
                self._spare.want()

    async def slot_said(self, slot: int, message: Report) -> None:
        """Pass a report on, if it is about a stream in the present hands of this slot."""
        if isinstance(message, StreamLevel | Sampled | RuleLevel):
            stream = self._by_wire.get(message.stream)
            assignment = self._assignments.get(stream) if stream is not None else None
            if stream is None or assignment is None or (assignment.slot, assignment.epoch) != (slot, message.epoch):
                self._stale[slot] += 1
                return
            if message.stream != stream:
                message = message.model_copy(update={"stream": stream})
            now = self._clock.monotonic()
            message = admitted(message, detectors=self._detectors, now=math.inf if assignment.spec.fast else now)
            if isinstance(message, StreamLevel) and message.detail:
                detail = self._wording[slot].admitted(message.detail, now)
                message = message.model_copy(update={"detail": detail}) if detail != message.detail else message
        await self._handler.on_message(slot, message)

    async def slot_lost(self, slot: int, reason: str, unfinished: tuple[int, ...], lived_s: float) -> bool:
        """Its streams stay with the slot and are given to the next watcher, but for those that seem to break it."""
        await self._handler.on_lost(slot, reason)
        if reason == RENEWED:  # nobody is to blame
            self._given[slot].clear()
            return True
        epochs = dict(self._given[slot])
        self._given[slot].clear()
        given = [stream for stream in dict.fromkeys(epochs.values()) if stream in self._assignments]
        looked_at = {epochs[epoch] for epoch in unfinished if epoch in epochs}.intersection(given)
        now = self._clock.monotonic()
        loss = self._custody.lost(slot, given, looked_at, reason=reason, lived_s=lived_s, now=now)
        for stream, until in loss.quarantined.items():
            log.warning("stream quarantined", stream=printable(stream), reason=reason)
            self._say_quarantined(stream, until)
        if loss.held:
            log.warning("streams held back to find what breaks watchers", slot=slot, streams=loss.held)
        self._let_go(loss.free)
        return loss.searching

    def _let_go(self, streams: Iterable[StreamId]) -> None:
        """Have those watched that are no longer held back."""
        for stream in streams:
            if (assignment := self._assignments.get(stream)) is not None:
                self._say_quarantined(stream, None)
                self.watch(assignment.spec)

    def _say_quarantined(self, stream: StreamId, until: float | None) -> None:
        if self._on_quarantine is not None:
            self._on_quarantine(stream, until)

    async def _free(self) -> None:
        """Have streams watched again when their quarantine, or a trial of others, is over."""
        while True:
            await self._clock.sleep(_FREE_S)
            now = self._clock.monotonic()
            self._let_go(self._custody.passed(now))
            for stream in self._custody.freed(now):
                if (assignment := self._assignments.get(stream)) is not None:
                    log.info("stream tried again", stream=printable(stream))
                    self._custody.probation(stream, assignment.slot, now)
                    self._let_go([stream])
