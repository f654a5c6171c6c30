"""Composition of the daemon process: the one place that knows its bus, ledger, fleet and web."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import structlog

from streamwatch import __version__
from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.duty import Duty
from streamwatch.app import audit, settings
from streamwatch.app.grants import Grants
from streamwatch.app.settings import Settings
from streamwatch.app.start import watcher_command
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.topics import Topics
from streamwatch.config.choices import Identify
from streamwatch.coverage.books import Books
from streamwatch.daemon import web
from streamwatch.daemon.attesting import Attestor
from streamwatch.daemon.bases import Bases
from streamwatch.daemon.crier import Crier
from streamwatch.daemon.delivery import WINDOW, Delivery
from streamwatch.daemon.demands import Demands
from streamwatch.daemon.diary import Diary
from streamwatch.daemon.glance import Glance
from streamwatch.daemon.herald import Herald
from streamwatch.daemon.keeper import Keeper
from streamwatch.daemon.orders import Orders, lanes
from streamwatch.daemon.outside import Outside
from streamwatch.daemon.overhearing import AuditedGate, AuditedHandler
from streamwatch.daemon.reception import Reception
from streamwatch.daemon.rights import Rights
from streamwatch.daemon.roster import Roster
from streamwatch.daemon.service import DaemonService, Parts
from streamwatch.daemon.setup import Setup
from streamwatch.domain.alerts import AlertEvent, Event
from streamwatch.domain.clock import Clock, SystemClock
from streamwatch.domain.decisions import Severity
from streamwatch.domain.streams import Reason, StreamId, topic_sid
from streamwatch.domain.urls import show_paths
from streamwatch.fleet.assigner import LeastLoaded
from streamwatch.fleet.base import Command, FleetLimits
from streamwatch.fleet.supervisor import Fleet
from streamwatch.ledger.hiding import Hiding
from streamwatch.ledger.sqlite import SqliteLedger
from streamwatch.ledger.standby import StandbyLedger
from streamwatch.link.messages import Ready
from streamwatch.sandbox.enter import enter_daemon
from streamwatch.sandbox.grant import Grant
from streamwatch.sandbox.report import LayerState
from streamwatch.telemetry import logs
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

RELOAD_LOOK_S = 1.0
SETTLE_S = 0.2

log = structlog.get_logger(__name__)


def run(path: Path, *, log_level: str = "info") -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises:
        ConfigError, ModelError: the configuration cannot be used.
        OutsideError, SandboxError: something outside is missing: the port, the state folder, the kernel's sandbox.

    """
    logs.configure(process="daemon", level=log_level)
    logs.catch_all()
    ready = settings.read(path)
    show_paths(shown=ready.setup.names_shown)
    config = ready.config
    for remark in ready.loaded.remarks():
        log.warning("configuration", remark=str(remark))
    clock = SystemClock()
    disk = SqliteLedger(ready.state_folder, clock=clock)  # makes its folder, which then is the only one to be written
    ledger = StandbyLedger(disk, clock=clock)
    try:
        key = ready.setup.sid_key
        hiding = Hiding(None if key is None else partial(topic_sid, key=key), names=not ready.setup.names_shown)
        if disk.hide(hiding):
            log.info("the ledger of before was rewritten: what is hidden now stood in it")
        layers = enter_daemon(config.privacy.sandbox.value, writable=(str(ready.state_folder.resolve()),))
        asyncio.run(_run(ready, ledger, clock, layers=layers, log_level=log_level))
    finally:
        ledger.close()


async def _run(
    ready: Settings, ledger: StandbyLedger, clock: Clock, *, layers: Sequence[LayerState], log_level: str
) -> None:
    config = ready.config
    log.info("sandbox", **{layer.name: f"{layer.word}: {layer.detail}" for layer in layers})
    async with contextlib.AsyncExitStack() as stack:
        service, metrics, glance = compose(ready, ledger, clock, layers=layers, log_level=log_level)
        app = web.application(
            metrics=metrics.render,
            health=service.facts,
            ready=service.missing,
            streams=service.streams,
            coverage=glance.coverage,
        )
        listen = config.http.listen
        await stack.enter_async_context(web.listening(app, host=listen.host, port=listen.port))
        log.info("started", node=config.node, version=__version__, streams=len(ready.setup.streams))
        async with asyncio.TaskGroup() as tasks:
            reloading = tasks.create_task(_reload(service, ready, clock), name="reload")
            with _signals(service):
                await service.run()
            reloading.cancel()


def compose(
    ready: Settings,
    ledger: StandbyLedger,
    clock: Clock,
    *,
    layers: Sequence[LayerState] = (),
    log_level: str = "info",
) -> tuple[DaemonService, Metrics, Glance]:
    """Put a daemon together. What must know each other both ways meets through functions that look it up late."""
    config, boot_id = ready.config, secrets.token_hex(8)
    topics = Topics(config.mqtt.prefix, config.node)
    metrics, health = Metrics(), Health()
    scribe = audit.scribe(ready, health=health, clock=clock)
    auditor = audit.auditor(ready, scribe, clock=clock, boot_id=boot_id, layers=layers)
    books = Books(
        offset=clock.now().timestamp() - clock.monotonic(),
        on_breach=lambda event: crier.heard(event),  # noqa: PLW0108  # `crier` comes later
        wall=lambda moment: clock.now().timestamp() - clock.monotonic() + moment,
    )
    expiry_s = round(config.mqtt.expiry) or None

    def setup() -> Setup:
        return service.setup

    def command(grant: Grant) -> Command:
        return watcher_command(
            sandbox=config.privacy.sandbox.value,
            grant=grant,
            log_level=log_level,
            names=config.privacy.names.value,
        )

    grants = Grants(ready.setup.grant)

    async def regrant(wanted: Grant) -> None:
        if grants.lacks(wanted):
            grants.give(wanted)
            await fleet.renew(command(wanted))

    def on_quarantine(stream: StreamId, until: float | None) -> None:
        auditor.quarantined(stream, held=until is not None)
        if until is not None:
            books.hindered([stream], Reason.QUARANTINED, clock.monotonic())

    def on_ready(message: Ready) -> None:
        herald.sandbox("watcher", [(layer.name, layer.in_force, layer.detail) for layer in message.sandbox])

    def on_event(event: AlertEvent) -> None:
        metrics.alerts.labels(event.severity.value, event.event.value).inc()
        delivery.call()
        auditor.alert(event)
        say = log.warning if wants_eyes(event) else log.info
        say(
            "alert",
            step=event.event.value,
            alert_id=event.alert_id,
            seq=event.seq,
            severity=event.severity.value,
            stream=setup().shown(event.stream),
        )

    desk = AlertDesk(
        store=ledger,
        notes=ledger,
        clock=clock,
        node=config.node,
        boot_id=boot_id,
        listener=on_event,
    )
    duty = Duty(notes=ledger, clock=clock)
    demands = Demands(notes=ledger, clock=clock)
    herald = Herald(
        publish=lambda message: bus.publish(message),  # noqa: PLW0108  # `bus` comes later
        recall=lambda topic_filter: bus.read_retained(topic_filter),  # noqa: PLW0108  # the same
        topics=topics,
        books=books,
        health=health,
        setup=setup,
        clock=clock,
        boot_id=boot_id,
        version=__version__,
    )
    herald.sandbox("daemon", [(layer.name, layer.in_force, layer.detail) for layer in layers])
    crier = Crier(
        publish=lambda message: bus.publish(message),  # noqa: PLW0108  # `bus` comes later
        topics=topics,
        setup=setup,
        metrics=metrics,
        health=health,
        clock=clock,
        expiry_s=expiry_s,
    )
    bus = MqttBus(ready.broker, herald=herald, subscriptions=topics.subscriptions, clock=clock, lane=lanes(topics))
    diary = Diary(store=ledger, setup=setup, metrics=metrics, health=health, clock=clock)
    reception = Reception(
        setup=setup,
        spec_of=lambda stream: roster.get(stream),  # noqa: PLW0108  # `roster` comes later
        streams_of=lambda slot: fleet.slots()[slot].streams,
        on_ready=on_ready,
        on_sample=diary.note,
        books=books,
        desk=desk,
        demands=demands,
        metrics=metrics,
        health=health,
        clock=clock,
    )
    fleet = Fleet(
        slots=ready.watchers,
        command=command(ready.setup.grant),
        configure=ready.setup.configure,
        handler=AuditedHandler(reception, auditor),
        standing_of=desk.standing_of,
        assigner=LeastLoaded(ready.watchers),
        clock=clock,
        limits=FleetLimits(memory_bytes=config.limits.memory),
        spare=True,
        on_quarantine=on_quarantine,
        session_of=books.live_session,
    )
    roster = Roster(
        watchers=fleet, books=books, desk=desk, demands=demands, clock=clock, limit=config.limits.max_streams
    )
    delivery = Delivery(
        outbox=ledger,
        bus=bus,
        topics_of=lambda event: owed_on(event, topics, setup().sid(event.stream)),
        expiry_s=expiry_s,
        metrics=metrics,
        health=health,
        clock=clock,
        window=lambda: min(bus.window, WINDOW),
    )
    outside = Outside(demands=demands, fleet=fleet, clock=clock)
    orders = Orders(
        bus=bus,
        topics=topics,
        gate=AuditedGate(auditor, seen=ledger, clock=clock, identify=config.mqtt.identify is Identify.TOPIC),
        desk=desk,
        duty=duty,
        roster=roster,
        fleet=fleet,
        outside=outside,
        setup=setup,
        metrics=metrics,
        clock=clock,
        version=__version__,
        delivered=delivery.call,
    )
    parts = Parts(
        bus=bus,
        watchers=fleet,
        books=books,
        desk=desk,
        duty=duty,
        roster=roster,
        herald=herald,
        crier=crier,
        keeper=Keeper(books=books, store=ledger, clock=clock, health=health, boot=_boot()),
        diary=diary,
        orders=orders,
        outside=outside,
        delivery=delivery,
        figures=ledger,
        bases=Bases(notes=ledger, clock=clock),
        auditor=auditor,
        attestor=Attestor(
            auditor=auditor,
            scribe=scribe,
            publish=lambda message: bus.publish(message),  # noqa: PLW0108  # `bus` comes later
            topic=topics.audit,
            clock=clock,
            health=health,
            node=config.node,
            boot_id=boot_id,
        ),
        rights=Rights(
            prove=bus.prove_rights,
            complaints=bus.complaints,
            topics=topics,
            health=health,
            clock=clock,
            has_account=config.mqtt.username is not None or config.mqtt.cert is not None,
        ),
        metrics=metrics,
        health=health,
        clock=clock,
        watchers_at_work=lambda: (sum(slot.ready for slot in fleet.slots()), ready.watchers),
        broker_trouble=lambda: bus.trouble,
        commands_dropped=lambda: bus.dropped,
        regrant=regrant,
    )
    service = DaemonService(parts, ready.setup)
    return service, metrics, Glance(node=config.node, books=books, setup=setup, clock=clock)


def owed_on(event: AlertEvent, topics: Topics, sid: str) -> Sequence[str]:
    """The topics on which an event is owed."""
    if event.severity is Severity.TEST:
        return (topics.tests(sid),)
    return (topics.alerts(sid), topics.escalations) if event.escalated else (topics.alerts(sid),)


def wants_eyes(event: AlertEvent) -> bool:
    """Whether a step of an alert is a warning in the log: what changes for people, of what is meant for them now.

    The rest is said at info: self-tests, low ones, and every `updated`, which comes with each new hit.
    """
    return event.severity in (Severity.HIGH, Severity.URGENT) and event.event is not Event.UPDATED


def _boot() -> str:
    """Which run of the machine this is; empty where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:64]
    except (OSError, UnicodeError):
        return ""


@contextlib.contextmanager
def _signals(service: DaemonService) -> Iterator[None]:
    """SIGTERM and SIGINT ask for an orderly stop; a second one is for the impatient. SIGHUP is the reloader's."""
    loop = asyncio.get_running_loop()
    asked = False

    def stop(number: int) -> None:
        nonlocal asked
        if asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked = True
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _reload(service: DaemonService, first: Settings, clock: Clock) -> None:
    """Read the configuration again on SIGHUP, and when one of its files changed."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    path, files = first.loaded.path, first.loaded.files
    marks = _marks(files)

    latest = first

    def read() -> Setup:
        nonlocal files, latest
        latest = settings.read(path, before=latest)
        files = latest.loaded.files
        return latest.setup

    try:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), RELOAD_LOOK_S)
            now = _marks(files)
            if now == marks and not asked.is_set():
                continue
            asked.clear()
            await clock.sleep(SETTLE_S)  # an editor writes in several steps
            marks = _marks(files)  # what is written from here on is another reason to read again
            await service.reload(read)
            if len(files) != len(marks):
                marks = _marks(files)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _marks(files: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    """Whether files changed: identity and time of writing."""

    def mark(file: Path) -> tuple[int, int] | None:
        try:
            state = file.stat()
        except OSError:
            return None
        return state.st_ino, state.st_mtime_ns

    return tuple(mark(file) for file in files)
