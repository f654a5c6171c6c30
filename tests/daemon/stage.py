"""A daemon of real organs, with a broker and a ledger in memory, a fleet without watchers, a clock that stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from streamwatch.alerts.base import DeskRule, DetectorFacts
from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.duty import Duty
from streamwatch.app.daemon import owed_on
from streamwatch.bus.base import Incoming, Outgoing
from streamwatch.bus.topics import Topics
from streamwatch.coverage.books import Books
from streamwatch.daemon.attesting import Attestor
from streamwatch.daemon.auditing import Auditor
from streamwatch.daemon.bases import Bases
from streamwatch.daemon.crier import Crier
from streamwatch.daemon.delivery import Delivery
from streamwatch.daemon.demands import Demands
from streamwatch.daemon.diary import Diary
from streamwatch.daemon.glance import Glance
from streamwatch.daemon.herald import Herald
from streamwatch.daemon.keeper import Keeper
from streamwatch.daemon.orders import Orders, lanes
from streamwatch.daemon.outside import Outside
from streamwatch.daemon.overhearing import AuditedGate
from streamwatch.daemon.reception import Reception
from streamwatch.daemon.rights import Rights
from streamwatch.daemon.roster import Roster
from streamwatch.daemon.scribe import Scribe
from streamwatch.daemon.service import DaemonService, Parts
from streamwatch.daemon.setup import Setup
from streamwatch.domain.alerts import AlertEvent
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.coverage import BooksRecord
from streamwatch.domain.decisions import CloseWhen, Kind, Level, OpenWhen, RuleSpec, Severity
from streamwatch.domain.errors import BusUnavailable
from streamwatch.domain.streams import Reason, SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.link.messages import Configure, HitSeen, RuleLevel, Sampled, ScoreLine, StreamLevel
from streamwatch.sandbox.grant import Grant
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics
from tests.fakes.bus import FakeBroker, FakeBus
from tests.fakes.clock import FakeClock, settle
from tests.fakes.fleet import FakeFleet
from tests.fakes.journal import FakeJournal
from tests.fakes.ledger import FakeLedger

SAMPLING = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0.1, inner=0.05)
ROOT = "streamwatch/v1/edge-1"


def spec(name: str, **changes: Any) -> StreamSpec:
    made = StreamSpec(
        id=StreamId(name),
        url=SafeUrl(f"rtmp://127.0.0.1/live/{name}"),
        sampling=SAMPLING,
        name=name,
        end_after_s=300,
    )
    return replace(made, **changes)


def rule(name: str = "card", severity: Severity = Severity.HIGH) -> DeskRule:
    made = RuleSpec(
        name=name,
        detector="cards",
        label="test_card",
        severity=severity,
        kind=Kind.TEST if severity is Severity.TEST else Kind.CLASSIFIER,
        open=OpenWhen(0.8, 2, 10, 0.4),
        close=CloseWhen(0.5, 30),
        cooldown_s=60,
    )
    return DeskRule(made, DetectorFacts("cards", "1", "0" * 64))


def setup_of(*streams: StreamSpec, rules: tuple[DeskRule, ...] = (rule(),), **changes: Any) -> Setup:
    configure = Configure(detectors=(), rules=(), max_pixels=1 << 20, allow_hosts=(), decode_workers=1)
    return replace(Setup(streams=streams, configure=configure, desk_rules=rules), **changes)


class Stage:
    """Everything, and short words for what tests do with it."""

    def __init__(
        self,
        setup: Setup,
        *,
        broker: FakeBroker | None = None,
        ledger: FakeLedger | None = None,
        clock: FakeClock | None = None,
        journal: FakeJournal | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.broker = broker or FakeBroker()
        self.ledger = ledger or FakeLedger(self.clock)
        self.fleet = FakeFleet()
        self.metrics, self.health = Metrics(), Health()
        self.journal = journal or FakeJournal()
        self.scribe = Scribe(journal=self.journal, health=self.health, clock=self.clock, keep_s=730 * 86400.0)
        self.auditor = Auditor(
            scribe=self.scribe,
            clock=self.clock,
            node="edge-1",
            boot_id="boot",
            version="0",
            identify=True,
            layers=[("landlock", True)],
            digest=lambda: "now",
        )
        self.books = Books(
            on_breach=lambda event: self.crier.heard(event),  # noqa: PLW0108
            wall=lambda moment: self.clock.now().timestamp() - self.clock.monotonic() + moment,
        )
        self.topics = Topics("streamwatch/v1", "edge-1")
        clock = self.clock

        async def recall(topic_filter: str) -> list[Incoming]:
            start = topic_filter.partition("+")[0]
            kept = [m for t, m in self.broker.retained.items() if t.startswith(start)]
            return [Incoming(m.topic, m.payload, retain=True) for m in kept]

        self.desk = AlertDesk(
            store=self.ledger,
            notes=self.ledger,
            clock=clock,
            node="edge-1",
            boot_id="boot",
            listener=self._heard,
        )
        self.duty = Duty(notes=self.ledger, clock=clock)
        self.demands = Demands(notes=self.ledger, clock=clock)
        herald = Herald(
            publish=lambda message: self.bus.publish(message),  # noqa: PLW0108
            recall=recall,
            topics=self.topics,
            books=self.books,
            health=self.health,
            setup=lambda: self.service.setup,
            clock=clock,
            boot_id="boot",
            version="0",
        )
        self.crier = Crier(
            publish=lambda message: self.bus.publish(message),  # noqa: PLW0108
            topics=self.topics,
            setup=lambda: self.service.setup,
            metrics=self.metrics,
            health=self.health,
            clock=clock,
        )
        self.glance = Glance(node="edge-1", books=self.books, setup=lambda: self.service.setup, clock=clock)
        self.bus = FakeBus(self.broker, subscriptions=self.topics.subscriptions, herald=herald, lane=lanes(self.topics))
        self.diary = Diary(
            store=self.ledger,
            setup=lambda: self.service.setup,
            metrics=self.metrics,
            health=self.health,
            clock=clock,
            aside=_now,
        )
        self.reception = Reception(
            setup=lambda: self.service.setup,
            spec_of=lambda stream: self.roster.get(stream),  # noqa: PLW0108
            streams_of=lambda _slot: tuple(self.fleet.watched),
            on_ready=lambda _ready: None,
            on_sample=self.diary.note,
            books=self.books,
            desk=self.desk,
            demands=self.demands,
            metrics=self.metrics,
            health=self.health,
            clock=clock,
        )
        self.roster = Roster(
            watchers=self.fleet, books=self.books, desk=self.desk, demands=self.demands, clock=clock, limit=3
        )
        self.delivery = Delivery(
            outbox=self.ledger,
            bus=self.bus,
            topics_of=lambda event: owed_on(event, self.topics, self.service.setup.sid(event.stream)),
            expiry_s=60,
            metrics=self.metrics,
            health=self.health,
            clock=clock,
        )
        outside = Outside(demands=self.demands, fleet=self.fleet, clock=clock)
        orders = Orders(
            bus=self.bus,
            topics=self.topics,
            gate=AuditedGate(self.auditor, seen=self.ledger, clock=clock, identify=True),
            desk=self.desk,
            duty=self.duty,
            roster=self.roster,
            fleet=self.fleet,
            outside=outside,
            setup=lambda: self.service.setup,
            metrics=self.metrics,
            clock=clock,
            version="0",
            delivered=self.delivery.call,
        )
        parts = Parts(
            bus=self.bus,
            watchers=self.fleet,
            books=self.books,
            desk=self.desk,
            duty=self.duty,
            roster=self.roster,
            herald=herald,
            crier=self.crier,
            keeper=Keeper(
                books=self.books, store=self.ledger, clock=clock, health=self.health, boot="boot", aside=_at_once
            ),
            diary=self.diary,
            orders=orders,
            outside=outside,
            delivery=self.delivery,
            figures=self.ledger,
            bases=Bases(notes=self.ledger, clock=clock),
            auditor=self.auditor,
            attestor=Attestor(
                auditor=self.auditor,
                scribe=self.scribe,
                publish=lambda message: self.bus.publish(message),  # noqa: PLW0108
                topic=self.topics.audit,
                clock=clock,
                health=self.health,
                node="edge-1",
                boot_id="boot",
            ),
            rights=Rights(
                prove=self._prove,
                complaints=lambda: self.complaints,
                topics=self.topics,
                health=self.health,
                clock=clock,
            ),
            metrics=self.metrics,
            health=self.health,
            clock=clock,
            watchers_at_work=lambda: self.fleet.at_work,
            broker_trouble=lambda: "Not authorized",
            regrant=self._regrant,
            commands_dropped=lambda: 0,
        )
        self.granted: list[Grant] = []
        self.complaints: dict[str, str] = {}
        self.proved: list[str] = []
        self.rights_missing: dict[str, str] = {}
        self.proof_ends_connection = False
        self.service = DaemonService(parts, setup)

    def _heard(self, event: AlertEvent) -> None:
        self.delivery.call()
        self.auditor.alert(event)

    async def _prove(self, *topics: str) -> dict[str, str]:
        self.proved.extend(topics)
        if self.proof_ends_connection:
            self.broker.stop()
            self.broker.start()
            raise BusUnavailable("the connection broke")
        return {topic: why for topic, why in self.rights_missing.items() if topic in topics}

    async def _regrant(self, wanted: Grant) -> None:
        self.granted.append(wanted)

    # --- what watchers would say ---

    async def level(self, name: str, *, live: bool = True, ended: bool = False, reason: Reason | None = None) -> None:
        await self.reception.on_message(
            0, StreamLevel(epoch=1, stream=name, session="s1", live=live, ended=ended, reason=reason)
        )

    async def sample(self, name: str, *, gap_s: float | None = None, corrupt: bool = False,
                     blind: bool = False, ago: float = 0.0) -> None:  # fmt: skip
        line = ScoreLine(detector="cards", values=(("test_card", 0.1),), infer_s=0.001)
        now = self.clock.monotonic()
        await self.reception.on_message(
            0,
            Sampled(
                epoch=1, stream=name, session="s1", at=self.clock.now(), arrival=now - ago, media_s=now, gap_s=gap_s,
                key=True, corrupt=corrupt, blind=blind, decode_s=0.01, scores=(line,),
            ),
        )  # fmt: skip

    async def decided(self, name: str, level: Level, *, rule_name: str = "card", score: float = 0.95) -> None:
        now = self.clock.monotonic()
        hits = tuple(
            HitSeen(at=self.clock.now() - timedelta(seconds=ago), arrival=now - ago, media_s=now - ago, score=score)
            for ago in (0.5, 0.0)
        )
        await self.reception.on_message(
            0,
            RuleLevel(
                epoch=1, stream=name, session="s1", rule=rule_name, level=level, suspicion=0.5, score=score,
                hits=hits, first_seen=hits[0], last_seen=hits[1],
            ),
        )  # fmt: skip

    async def covered(self, name: str) -> None:
        await self.level(name)
        await self.sample(name)
        await self.pass_time(0.5)

    # --- what the world sees ---

    async def pass_time(self, seconds: float) -> None:
        await self.clock.run(seconds)
        await settle()

    def said(self, leaf: str) -> list[dict[str, Any]]:
        """Documents published on `ROOT/leaf`, oldest first."""
        return [json.loads(m.payload) for m in self.broker.published if m.topic == f"{ROOT}/{leaf}" and m.payload]

    def kept(self, leaf: str) -> dict[str, Any] | None:
        """The retained document on `ROOT/leaf`."""
        message = self.broker.retained.get(f"{ROOT}/{leaf}")
        return json.loads(message.payload) if message else None

    async def command(
        self, topic: str, *, retain: bool = False, raw: bytes | None = None, **body: Any
    ) -> dict[str, Any]:
        """Send a command as a moderator's tool would, and return the newest reply."""
        verb = topic.partition("/")[0]
        before = len(self.said(f"replies/{verb}"))
        payload = {"request_id": f"r{self.clock.monotonic()}", "at": rfc3339(self.clock.now()), **body}
        data = raw if raw is not None else json.dumps(payload).encode()
        self.broker.take(Outgoing(f"{ROOT}/commands/{topic}", data, retain=False))
        await self.pass_time(0.3)
        replies = self.said(f"replies/{verb}")
        return replies[-1] if len(replies) > before else {}


async def _now(call: Callable[[], None]) -> None:
    call()


async def _at_once(call: Callable[[BooksRecord], None], record: BooksRecord) -> None:
    call(record)


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    """The stage with its daemon at work; stopped in order at the end."""
    task = asyncio.create_task(stage.service.run(), name="daemon")
    await stage.pass_time(1.0)
    try:
        yield stage
    finally:
        stage.service.stop()
        for _ in range(50):
            if task.done():
                break
            await stage.pass_time(0.5)
        await asyncio.wait_for(task, 5)
