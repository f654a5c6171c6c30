"""One stream examined without a broker: `streamwatch watch` and `streamwatch probe`. Real watcher, real sandbox."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from streamwatch.alerts.base import StreamFacts
from streamwatch.alerts.desk import AlertDesk
from streamwatch.app.equipment import Equipped, desk_rules, rule_settings
from streamwatch.app.start import watcher_command
from streamwatch.daemon.translate import decision_of
from streamwatch.domain.clock import Clock, SystemClock
from streamwatch.domain.decisions import RuleSpec
from streamwatch.domain.errors import OutsideError
from streamwatch.domain.streams import StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.fleet.assigner import LeastLoaded
from streamwatch.fleet.base import Report
from streamwatch.fleet.supervisor import Fleet
from streamwatch.ledger.memory import MemoryLedger
from streamwatch.link.messages import Configure, Found, Ready, RuleLevel, Sampled, StreamLevel

Tell = Callable[[Sampled | StreamLevel | str], None]
"""Hears samples, levels, and alert documents (JSON)."""

_MAX_PIXELS = 4096 * 2304


@dataclass(frozen=True, slots=True)
class Options:
    """How to examine."""

    sandbox: str
    log_level: str = "warning"
    for_s: float | None = None
    """Stop after so long; None: when the stream ends or the person interrupts."""
    until_ended: bool = True
    workers: int = 1


class _Watching:
    """Hears the watcher of one stream."""

    def __init__(self, spec: StreamSpec, desk: AlertDesk, tell: Tell) -> None:
        self._spec = spec
        self._desk = desk
        self._tell = tell
        self.ended = asyncio.Event()
        self.lost = ""

    async def on_ready(self, slot: int, ready: Ready) -> None:
        """Nothing to do: the fleet assigns the stream."""

    async def on_lost(self, slot: int, reason: str) -> None:
        """Note it; the fleet starts another watcher."""
        self.lost = reason

    async def on_message(self, slot: int, message: Report) -> None:
        """Tell what was seen; let the desk turn levels into alerts."""
        del slot
        match message:
            case Sampled():
                self._tell(message)
            case StreamLevel():
                self._tell(message)
                if message.ended or (self._spec.url.scheme == "file" and not message.live and message.reason):
                    self._desk.ended(self._spec.id)
                    self.ended.set()
            case RuleLevel():
                facts = StreamFacts(
                    id=self._spec.id,
                    name=self._spec.name,
                    origin=self._spec.origin,
                    session=message.session,
                    watch_url="",
                    tests=True,
                    still_live=True,
                )
                self._desk.observe(facts, decision_of(message))
            case _:
                pass


async def watch(
    spec: StreamSpec,
    *,
    equipped: Sequence[Equipped],
    rules: Sequence[RuleSpec],
    options: Options,
    tell: Tell,
) -> None:
    """Examine one stream and tell what is seen, until it ends, the time is over, or cancelled.

    Raises:
        SandboxError, ModelError: the watcher cannot start as asked.

    """
    clock = SystemClock()
    ledger = MemoryLedger(clock=clock)
    desk = AlertDesk(
        store=ledger,
        notes=ledger,
        clock=clock,
        node="local",
        boot_id=secrets.token_hex(8),
        listener=lambda event: tell(event.body),
    )
    desk.configure(desk_rules(rules, {one.settings.name: one for one in equipped}))
    hearing = _Watching(spec, desk, tell)
    configure = Configure(
        detectors=tuple(one.settings for one in equipped),
        rules=tuple(rule_settings(rule) for rule in rules),
        max_pixels=_MAX_PIXELS,
        allow_hosts=(),
        decode_workers=options.workers,
    )
    fleet = _fleet(configure, hearing, desk, options, clock)
    fleet.watch(spec)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run(), name="fleet")
        with suppress(TimeoutError):
            async with asyncio.timeout(None if options.for_s is None else options.for_s):
                await _until_done(running, hearing.ended)
        running.cancel()


async def _until_done(running: asyncio.Task[None], ended: asyncio.Event) -> None:
    over = asyncio.ensure_future(ended.wait())
    try:
        await asyncio.wait((running, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()


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


async def probe(url: SafeUrl, *, seconds: float, options: Options, allow_hosts: tuple[str, ...] = ()) -> Found:
    """Say what is at an address. Raises SandboxError, OutsideError."""
    clock = SystemClock()
    ledger = MemoryLedger(clock=clock)
    desk = AlertDesk(store=ledger, notes=ledger, clock=clock, node="local", boot_id="probe")
    asking = _Asking()
    configure = Configure(
        detectors=(),
        rules=(),
        max_pixels=_MAX_PIXELS,
        allow_hosts=allow_hosts,
        decode_workers=1,
    )
    fleet = _fleet(configure, asking, desk, options, clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fleet.run(), name="fleet")
        await fleet.wait_ready()
        fleet.inspect(url, seconds)
        await asyncio.wait((running, asking.found), return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
    return await asking.found


def _fleet(
    configure: Configure, handler: _Watching | _Asking, desk: AlertDesk, options: Options, clock: Clock
) -> Fleet:
    return Fleet(
        slots=1,
        command=watcher_command(sandbox=options.sandbox, log_level=options.log_level),
        configure=configure,
        handler=handler,
        standing_of=desk.standing_of,
        assigner=LeastLoaded(1),
        clock=clock,
    )
