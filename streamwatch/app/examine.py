"""One stream examined without a broker: `streamwatch watch` and `streamwatch probe`. Real watcher, real sandbox."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from streamwatch.alerts.base import StreamFacts
from streamwatch.alerts.desk import AlertDesk
from streamwatch.app.equipment import Equipped, desk_rules, rule_settings
from streamwatch.app.grants import grant_for, grant_of
from streamwatch.app.start import watcher_command
from streamwatch.coverage.books import Books
from streamwatch.daemon.translate import decision_of
from streamwatch.domain.alerts import AlertEvent
from streamwatch.domain.clock import Clock, SystemClock
from streamwatch.domain.decisions import RuleSpec
from streamwatch.domain.errors import OutsideError
from streamwatch.domain.streams import Reason, StreamSpec, StreamState
from streamwatch.domain.urls import SafeUrl
from streamwatch.fleet.assigner import LeastLoaded
from streamwatch.fleet.base import Report
from streamwatch.fleet.supervisor import Fleet
from streamwatch.ledger.memory import MemoryLedger
from streamwatch.link.messages import Configure, Found, Ready, RuleLevel, Sampled, StreamLevel
from streamwatch.sandbox.grant import Grant


@dataclass(frozen=True, slots=True)
class Change:
    """The stream's state changed."""

    state: StreamState
    detail: str


Tell = Callable[[Sampled | Change | AlertEvent], None]
"""Hears samples, changes of state, and alert events."""

log = structlog.get_logger(__name__)

_MAX_PIXELS = 4096 * 2304
_JUDGE_S = 0.25
_MEMORY = 2**30


@dataclass(frozen=True, slots=True)
class Options:
    """How to examine."""

    sandbox: str
    log_level: str = "warning"
    for_s: float | None = None
    """Stop after so long; None: when the stream ends or the person interrupts."""


class _Watching:
    """Hears the watcher of one stream."""

    def __init__(self, spec: StreamSpec, desk: AlertDesk, books: Books, tell: Tell, clock: Clock) -> None:
        self._spec = spec
        self._desk = desk
        self._books = books
        self._tell = tell
        self._clock = clock
        self.over = asyncio.Event()
        self.was_live = False
        self._now = clock.monotonic()

    async def on_ready(self, slot: int, ready: Ready) -> None:
        """Nothing to do: the fleet assigns the stream."""

    async def on_lost(self, slot: int, reason: str) -> None:
        """The fleet starts another watcher."""
        del slot
        log.warning("the watcher died and is started again", reason=reason)
        self._books.hindered([self._spec.id], Reason.WATCHER, self._clock.monotonic())

    async def on_message(self, slot: int, message: Report) -> None:
        """Tell what was seen; let the desk turn levels into alerts."""
        del slot
        now = self._now = self._clock.monotonic()
        match message:
            case Sampled():
                if self._spec.fast:  # the file's own time, which runs ahead of ours
                    now = self._now = message.arrival
                self._tell(message)
                if not (message.corrupt or message.blind):
                    self._books.sampled(self._spec.id, arrival=message.arrival, gap_s=message.gap_s, now=now)
                self.judge()
            case StreamLevel():
                self._level(message, now)
            case RuleLevel():
                self._desk.observe(self._facts(message.session), decision_of(message))
            case _:
                pass

    def judge(self) -> None:
        """Tell a change of state, if there is one."""
        for _, state, detail in self._books.judge(self._now if self._spec.fast else self._clock.monotonic()):
            self._tell(Change(state, detail))

    def _level(self, message: StreamLevel, now: float) -> None:
        self.was_live = self.was_live or message.live
        self._books.level(
            self._spec.id,
            session=message.session,
            live=message.live,
            ended=message.ended,
            reason=message.reason,
            detail=message.detail,
            now=now,
        )
        failed_file = self._spec.url.scheme == "file" and message.reason not in {None, Reason.CONNECTING}
        if message.ended or (failed_file and not message.live):
            self.judge()
            self._desk.ended(self._spec.id)
            self.over.set()

    def _facts(self, session: str) -> StreamFacts:
        return StreamFacts(
            id=self._spec.id,
            name=self._spec.name,
            origin=self._spec.origin,
            session=session,
            watch_url="",
            tests=True,
            still_live=True,
        )


async def watch(
    spec: StreamSpec,
    *,
    equipped: Sequence[Equipped],
    rules: Sequence[RuleSpec],
    options: Options,
    tell: Tell,
) -> bool:
    """Examine one stream and tell what is seen, until it ends, the time is over, or cancelled.

    Returns whether the stream was ever live. Raises SandboxError, ModelError where the watcher cannot start as asked.
    """
    clock = SystemClock()
    ledger = MemoryLedger(clock)
    desk = AlertDesk(store=ledger, notes=ledger, clock=clock, node="local", boot_id=secrets.token_hex(8), listener=tell)
    desk.configure(desk_rules(rules, {one.settings.name: one for one in equipped}))
    books = Books()
    books.watch(spec.id, max_gap_s=spec.sampling.max_gap_s, now=clock.monotonic())
    hearing = _Watching(spec, desk, books, tell, clock)
    configure = Configure(
        detectors=tuple(one.settings for one in equipped),
        rules=tuple(rule_settings(rule) for rule in rules),
        max_pixels=_MAX_PIXELS,
        allow_hosts=(),
        decode_workers=1,
    )
    fleet = _fleet(configure, hearing, desk, options, clock, grant=grant_of(configure, [spec], memory=_MEMORY))
    fleet.watch(spec)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run(), name="fleet")
        judging = tasks.create_task(_judge(hearing, desk, clock), name="judge")
        with suppress(TimeoutError):
            async with asyncio.timeout(options.for_s):
                await hearing.over.wait()
        running.cancel()
        judging.cancel()
    return hearing.was_live


async def _judge(hearing: _Watching, desk: AlertDesk, clock: Clock) -> None:
    while True:
        hearing.judge()
        desk.tick()
        await clock.sleep(_JUDGE_S)


class _Asking:
    """Hears the answer to an inspection."""

    def __init__(self) -> None:
        self.found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()

    async def on_ready(self, slot: int, ready: Ready) -> None:
        """The fleet passes the question on."""

    async def on_lost(self, slot: int, reason: str) -> None:
        """A watcher that died of an address says something about that address."""
        del slot
        if not self.found.done():
            self.found.set_exception(OutsideError(f"the watcher that looked at this address died ({reason})"))

    async def on_message(self, slot: int, message: Report) -> None:
        """Take the answer."""
        del slot
        if isinstance(message, Found) and not self.found.done():
            self.found.set_result(message)


async def load(equipped: Equipped, *, options: Options) -> None:
    """Load a detector in a watcher and let it try itself. Raises SandboxError, ModelError."""
    clock = SystemClock()
    configure = Configure(
        detectors=(equipped.settings,), rules=(), max_pixels=_MAX_PIXELS, allow_hosts=(), decode_workers=1
    )
    fleet = _fleet(configure, _Asking(), _no_desk(clock), options, clock, grant=grant_of(configure, (), memory=_MEMORY))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run(), name="fleet")
        await fleet.wait_ready()
        running.cancel()


async def probe(url: SafeUrl, *, seconds: float, options: Options, allow_hosts: tuple[str, ...] = ()) -> Found:
    """Say what is at an address. Raises SandboxError, OutsideError."""
    clock = SystemClock()
    asking = _Asking()
    configure = Configure(
        detectors=(),
        rules=(),
        max_pixels=_MAX_PIXELS,
        allow_hosts=allow_hosts,
        decode_workers=1,
    )
    grant = grant_for([url], allow_hosts=allow_hosts, memory=_MEMORY)
    fleet = _fleet(configure, asking, _no_desk(clock), options, clock, grant=grant)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run(), name="fleet")
        await fleet.wait_ready()
        fleet.inspect(url, seconds)
        await asyncio.wait((running, asking.found), return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
    return await asking.found


def _no_desk(clock: Clock) -> AlertDesk:
    """A desk without rules, for work without alerts."""
    ledger = MemoryLedger(clock)
    return AlertDesk(store=ledger, notes=ledger, clock=clock, node="local", boot_id="local")


def _fleet(
    configure: Configure,
    handler: _Watching | _Asking,
    desk: AlertDesk,
    options: Options,
    clock: Clock,
    *,
    grant: Grant,
) -> Fleet:
    return Fleet(
        slots=1,
        command=watcher_command(sandbox=options.sandbox, grant=grant, log_level=options.log_level),
        configure=configure,
        handler=handler,
        standing_of=desk.standing_of,
        assigner=LeastLoaded(1),
        clock=clock,
    )
