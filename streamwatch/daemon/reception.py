"""What watchers say: to the books, to the alert desk, to the metrics. Event loop only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from streamwatch.alerts.base import StreamFacts
from streamwatch.alerts.desk import AlertDesk
from streamwatch.coverage.books import Books
from streamwatch.daemon.demands import Demands
from streamwatch.daemon.pressure import Pressure
from streamwatch.daemon.setup import Setup
from streamwatch.daemon.translate import decision_of
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import Reason, StreamId, StreamSpec
from streamwatch.fleet.base import Report
from streamwatch.link.messages import Beat, Ready, RuleLevel, Sampled, StreamLevel
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

_DECODING = frozenset({"decode", "inner"})


class Reception:
    """Takes messages from watchers, one at a time."""

    def __init__(
        self,
        *,
        setup: Callable[[], Setup],
        spec_of: Callable[[StreamId], StreamSpec | None],
        books: Books,
        desk: AlertDesk,
        demands: Demands,
        metrics: Metrics,
        health: Health,
        clock: Clock,
        streams_of: Callable[[int], Sequence[StreamId]],
        on_ready: Callable[[Ready], None],
        on_sample: Callable[[Sampled], None] = lambda _sample: None,
    ) -> None:
        self._setup = setup
        self._spec_of = spec_of
        self._books = books
        self._desk = desk
        self._demands = demands
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._streams_of = streams_of
        self._on_ready = on_ready
        self._on_sample = on_sample
        self._pressure = Pressure(metrics=metrics, health=health)
        self._beats: dict[int, Beat] = {}

    async def on_message(self, slot: int, message: Report) -> None:
        """One message from the watcher in `slot`."""
        match message:
            case Sampled():
                self._sampled(message)
            case RuleLevel():
                self._decided(message)
            case StreamLevel():
                self._level(message)
            case Beat():
                self._beat(slot, message)
            case _:
                pass

    async def on_ready(self, slot: int, ready: Ready) -> None:
        """A watcher is at work."""
        self._beats.pop(slot, None)
        self._demands.renew(self._streams_of(slot))
        self._on_ready(ready)

    async def on_lost(self, slot: int, reason: str) -> None:
        """A watcher is gone; its streams are not looked at until it is back."""
        self._beats.pop(slot, None)
        self._pressure.lost(slot)
        self._metrics.restarts.labels(reason).inc()
        streams = self._streams_of(slot)
        self._books.hindered(streams, Reason.WATCHER, self._clock.monotonic())

    def _sampled(self, message: Sampled) -> None:
        stream = StreamId(message.stream)
        if self._spec_of(stream) is None:
            return
        self._on_sample(message)
        for line in message.scores:
            self._metrics.samples.labels(line.detector).inc()
            self._metrics.inference.observe(line.infer_s)
            self._metrics.batch.observe(1)
        if not (message.corrupt or message.blind):
            self._books.sampled(
                stream,
                arrival=message.arrival,
                gap_s=message.gap_s,
                now=self._clock.monotonic(),
            )
            if message.gap_s is not None:
                self._metrics.gap.observe(message.gap_s)

    def _level(self, message: StreamLevel) -> None:
        stream = StreamId(message.stream)
        if self._spec_of(stream) is None:
            return
        newly_ended = message.ended and not self._books.ended(stream)
        self._books.level(
            stream,
            session=message.session or self._books.live_session(stream),
            live=message.live,
            ended=message.ended,
            reason=message.reason,
            detail=message.detail,
            now=self._clock.monotonic(),
        )
        if newly_ended:  # levels are repeated; a moderator may have reopened meanwhile
            self._tell_desk(lambda: self._desk.ended(stream))

    def _decided(self, message: RuleLevel) -> None:
        stream = StreamId(message.stream)
        spec = self._spec_of(stream)
        if spec is None:
            return
        setup = self._setup()
        facts = StreamFacts(
            id=stream,
            name=setup.name(spec),
            origin=spec.origin,
            session=message.session,
            watch_url=spec.watch_url,
            tests=spec.tests,
            still_live=bool(self._books.live_session(stream)),
            shown=setup.shown(stream),
            signals=self._demands.signals(stream),
        )
        decision = decision_of(message)
        self._tell_desk(lambda: self._desk.observe(facts, decision))

    def _beat(self, slot: int, beat: Beat) -> None:
        before = self._beats.get(slot)
        self._beats[slot] = beat
        self._pressure.beat(slot, beat)
        for part, spent in beat.cpu.items():
            more = max(spent - (before.cpu.get(part, 0.0) if before else 0.0), 0.0)
            self._metrics.cpu.labels(part).inc(more)
            if part in _DECODING:
                self._metrics.decode.inc(more)
        for transport, received in beat.received.items():
            known = before.received.get(transport, 0) if before else 0
            self._metrics.received[transport] += max(received - known, 0)
        for what, now, then in (
            ("look", beat.looks_dropped, before.looks_dropped if before else 0),
            ("packet", beat.packets_dropped, before.packets_dropped if before else 0),
        ):
            self._metrics.dropped.labels(what).inc(max(now - then, 0))

    def _tell_desk(self, tell: Callable[[], None]) -> None:
        """A ledger that refuses costs nothing but time: levels are repeated, so the desk hears of it again."""
        try:
            tell()
        except LedgerError as error:
            self._health.degrade("ledger", str(error))
