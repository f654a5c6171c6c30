"""One slot of the fleet: the lives of its watchers, one after the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Coroutine
from contextlib import suppress

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import (
    LinkClosed,
    LinkError,
    LinkViolation,
    ModelError,
    OutsideError,
    Problem,
    SandboxError,
    StreamwatchError,
)
from streamwatch.fleet.base import FleetLimits
from streamwatch.fleet.guard import TICK_S, Guard
from streamwatch.fleet.owner import SlotOwner
from streamwatch.fleet.plausible import check_ready
from streamwatch.fleet.process import WatcherProcess
from streamwatch.link.messages import (
    MAX_FRAME,
    MAX_REPORT,
    Beat,
    Configure,
    Failed,
    FromWatcher,
    Layer,
    Message,
    Ready,
)

log = structlog.get_logger(__name__)

RENEWED = "renewed"
"""Why a watcher ended that was to be replaced by one with another grant."""

_EXIT_S = 2.0
"""Between the end of the link and the end of the process."""


class Slot:
    """Keeps one watcher running: starts it, configures it, listens, guards, and starts the next when it is lost."""

    def __init__(self, index: int, *, owner: SlotOwner, limits: FleetLimits, clock: Clock) -> None:
        self.index = index
        self.restarts: Counter[str] = Counter()
        self.sandbox: tuple[Layer, ...] = ()
        self.troubled = False
        """Lost, and lost before: new streams rather go elsewhere."""
        self._name = f"watcher-{index}"
        self._owner = owner
        self._limits = limits
        self._clock = clock
        self._process: WatcherProcess | None = None
        self._ready_at: float | None = None
        self._ever_ready = False
        self._beat: Beat | None = None
        self._told: Configure | None = None
        self._answer: asyncio.Future[Failed | None] | None = None
        self._heard = False
        self._handling = False
        self._unfinished: tuple[int, ...] = ()
        self._renew = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether streams can be given to it now."""
        return self._ready_at is not None

    @property
    def pid(self) -> int | None:
        """Of the watcher that runs or starts."""
        return self._process.pid if self._process else None

    @property
    def beat(self) -> Beat | None:
        """The newest of the watcher that runs."""
        return self._beat

    def post(self, message: Message) -> None:
        """Tell the watcher; lost if there is none, since the next one is told everything anew."""
        if self.ready and self._process is not None:
            with suppress(LinkError):  # whoever listens notices the end
                self._process.link.post(message)

    async def reconfigure(self, configure: Configure) -> Failed | None:
        """Tell the watcher; None when it is in force (or will be, from the next start), else what it could not do."""
        if not self.ready or self._process is None:
            return None
        answer: asyncio.Future[Failed | None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._tell(self._process, configure)
        try:
            return await answer
        finally:
            self._answer = None

    def renew(self) -> None:
        """Replace the watcher by a new one, as soon as can be."""
        self._renew.set()

    async def run(self) -> None:
        """Keep a watcher running until cancelled.

        Raises:
            SandboxError, ModelError: the first watcher says that it cannot work like this.
            OutsideError: watchers end before they were ever ready.

        """
        failures = 0
        while True:
            reason = await self._life()
            lived, self._ready_at = self._lived(), None
            self.restarts[reason] += 1
            if reason == RENEWED:
                log.info("watcher renewed", watcher=self._name, slot=self.index)
                await self._owner.slot_lost(self.index, reason, (), lived)
                continue
            log.error("watcher lost", watcher=self._name, slot=self.index, reason=reason, lived_s=round(lived, 1))
            searching = await self._owner.slot_lost(self.index, reason, self._unfinished, lived)
            if lived >= self._limits.healthy_s:
                failures = 0
            delay = self._limits.backoff_s[min(failures, 1 if searching else len(self._limits.backoff_s) - 1)]
            failures += 1
            self.troubled = failures > 1
            if delay:
                await self._clock.sleep(delay)

    def _lived(self) -> float:
        return 0.0 if self._ready_at is None else self._clock.monotonic() - self._ready_at

    async def _life(self) -> str:
        """From start to end of one watcher; returns why it ended."""
        try:
            process = await self._owner.new_watcher(self._name)
        except OutsideError as error:
            if not self._ever_ready:
                raise
            log.error("watcher cannot be started", watcher=self._name, why=str(error))
            return "start"
        self._process = process
        self._unfinished = ()
        reason: str | None = None
        try:
            self._told = None
            log.info("watcher started", watcher=self._name, pid=process.pid)
            self._renew.clear()
            reason = await self._first(self._talk(process), self._guard(process), self._renewal())
            if not self._ever_ready and self.restarts.total() + 1 >= self._limits.attempts:
                raise OutsideError(f"{self._name} does not start: " + " · ".join(process.last_words[-3:]))
            return reason
        finally:
            ending = await process.stop(ask_s=0 if reason not in (None, RENEWED) else 2.0)
            log.info("watcher ended", watcher=self._name, pid=process.pid, how=ending)
            self._unfinished = process.unfinished
            self._process = None
            self._beat = None
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(Failed(what="bug", detail=f"the watcher was lost: {reason}"))

    async def _renewal(self) -> str:
        await self._renew.wait()
        return RENEWED

    async def _first(self, *jobs: Coroutine[None, None, str]) -> str:
        """The answer of the job that ends first; the others are cancelled. Errors of any are raised."""
        tasks = [asyncio.create_task(job, name=f"{self._name}-{number}") for number, job in enumerate(jobs)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task.result() for task in tasks if task in done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, process: WatcherProcess, configure: Configure) -> None:
        process.link.accept(MAX_FRAME)
        self._told = configure
        with suppress(LinkError):
            process.link.post(configure)

    # --- listening ---

    async def _talk(self, process: WatcherProcess) -> str:
        self._tell(process, self._owner.configuration())
        try:
            while True:
                message = await process.link.receive()
                self._handling = True
                try:
                    if (reason := await self._hear(process, message)) is not None:
                        return reason
                finally:
                    self._handling = False
        except LinkViolation as error:
            log.error("watcher sent what is no message", watcher=self._name, why=str(error))
            return "violation"
        except LinkClosed:
            return await self._how_it_ended(process)

    async def _how_it_ended(self, process: WatcherProcess) -> str:
        try:
            async with asyncio.timeout(_EXIT_S):
                reason = await process.wait()
        except TimeoutError:
            return "silent"
        return "start" if reason == "exit" and not self.ready else reason

    async def _hear(self, process: WatcherProcess, message: FromWatcher) -> str | None:
        """One message; a reason where it ends this life."""
        match message:
            case Ready():
                return await self._is_ready(process, message)
            case Failed() if not self.ready:
                return self._cannot_start(message)
            case Failed() if self._told is not None:
                process.link.accept(MAX_REPORT)
                self._told = None
                self._answered(message)
            case Beat():
                self._heard = True
                self._beat = message
                return await self._taken(self._owner.slot_said(self.index, message))
            case _ if self.ready:
                return await self._taken(self._owner.slot_said(self.index, message))
            case _:
                log.debug("report before ready", watcher=self._name, type=type(message).__name__)
        return None

    async def _taken(self, telling: Awaitable[None]) -> str | None:
        """What nobody could take is the fault of who said it: one watcher starts anew, the others are not disturbed."""
        try:
            await telling
        except LinkError:
            raise
        except Exception:  # valid, and stranger than its hearer can stand: whatever that raises, the fleet goes on
            log.exception("watcher said what cannot be taken", watcher=self._name)
            return "violation"
        return None

    async def _is_ready(self, process: WatcherProcess, ready: Ready) -> str | None:
        if self._told is None:
            return None  # nobody asked
        if (wanted := self._owner.configuration()) is not self._told and not self.ready:
            self._tell(process, wanted)  # it changed while this one was starting
            return None
        check_ready(ready, self._told)
        process.link.accept(MAX_REPORT)
        self._told = None
        self.sandbox = ready.sandbox
        if self.ready:
            self._answered(None)
            return None
        self._ready_at = self._clock.monotonic()
        first, self._ever_ready = not self._ever_ready, True
        log.info("watcher ready", watcher=self._name, slot=self.index, pid=process.pid)
        if first:
            await self._owner.slot_ready(self.index, ready)  # at the start its errors are for who starts us
            return None
        return await self._taken(self._owner.slot_ready(self.index, ready))

    def _answered(self, failed: Failed | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(failed)

    def _cannot_start(self, failed: Failed) -> str:
        log.error("watcher cannot work", watcher=self._name, what=failed.what, why=failed.detail)
        if not self._ever_ready:
            raise _start_error(failed)
        return "failed"

    # --- guarding ---

    async def _guard(self, process: WatcherProcess) -> str:
        guard = Guard(self._limits, self._clock.monotonic())
        while True:
            await self._clock.sleep(TICK_S)
            reason = guard.judge(
                self._clock.monotonic(),
                handling=self._handling,
                told=self._told is not None,
                heard=self._heard,
                beat=self._beat,
                stalled_s=process.link.statistics().stalled_s,
            )
            self._heard = self._heard and self._handling
            if reason is not None:
                return "hung" if reason == "start" and self.ready else reason


def _start_error(failed: Failed) -> StreamwatchError:
    match failed.what:
        case "sandbox":
            return SandboxError(failed.detail)
        case "detectors":
            return ModelError(Problem(where="detectors", key="", wrong=failed.detail))
        case _:
            return OutsideError(f"a watcher cannot work: {failed.detail}")
