"""Commands from people and their tools: judged at the gate, executed once, always answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.commands import (
    COMMANDS,
    NEEDS_IDENTITY,
    BoostCommand,
    LookCommand,
    MuteCommand,
    PingCommand,
    Reply,
    ResyncCommand,
    VerdictCommand,
)
from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.gate import Accepted, CommandGate
from streamwatch.bus.base import Bus, Incoming, Outgoing
from streamwatch.bus.topics import CommandTopic, SignalTopic, Topics
from streamwatch.daemon.roster import Roster
from streamwatch.daemon.setup import Setup
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import BusRefused, BusUnavailable, LedgerError
from streamwatch.domain.streams import StreamId
from streamwatch.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

LOOK_SUSPICION = 1.0
"""A look asked for now: the highest demand, which the next packets fulfil and ten seconds halve."""


RESYNC_EVERY_S = 5.0
"""Every open alert is said again no more often, whoever asks."""


def lanes(topics: Topics) -> Callable[[str], str]:
    """The lane of an incoming topic: each verb its own, and for what people say, each person."""

    def lane(topic: str) -> str:
        match topics.parse(topic):
            case CommandTopic(verb, who) if verb in NEEDS_IDENTITY:
                return f"{verb}/" if who is None else f"/{who}"
            case CommandTopic(verb, _) if verb in COMMANDS:
                return verb
            case SignalTopic():
                return "signals"
            case _:
                return ""

    return lane


class Demanding(Protocol):
    """What commands need of the fleet."""

    def demand(self, stream: StreamId, suspicion: float, for_s: float = 0.0) -> None:
        """Look harder at a stream for so long, in the place of what was demanded before; 0: just now."""
        ...


class Orders:
    """Takes what comes in over the bus. Event loop only, one message at a time."""

    def __init__(
        self,
        *,
        bus: Bus,
        topics: Topics,
        gate: CommandGate,
        desk: AlertDesk,
        roster: Roster,
        fleet: Demanding,
        setup: Callable[[], Setup],
        metrics: Metrics,
        clock: Clock,
        version: str,
        delivered: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._topics = topics
        self._gate = gate
        self._desk = desk
        self._roster = roster
        self._fleet = fleet
        self._setup = setup
        self._metrics = metrics
        self._clock = clock
        self._version = version
        self._delivered = delivered
        self._boosts: dict[StreamId, tuple[float, float]] = {}
        self._resynced_at = float("-inf")

    async def run(self) -> None:
        """Serve until cancelled."""
        async for message in self._bus.incoming():
            match self._topics.parse(message.topic):
                case CommandTopic(verb, who):
                    await self._command(message, verb, who)
                case SignalTopic():
                    self._metrics.commands.labels("signal", "refused").inc()
                case _:
                    pass

    def tick(self) -> None:
        """Renew the boosts that stand."""
        now = self._clock.monotonic()
        for stream, (suspicion, until) in list(self._boosts.items()):
            if now >= until:
                del self._boosts[stream]
            else:
                self._fleet.demand(stream, suspicion)

    async def _command(self, message: Incoming, verb: str, who: str | None) -> None:
        try:
            judged = self._gate.judge(verb=verb, who=who, payload=message.payload, retained=message.retain)
            if isinstance(judged, Accepted):
                reply = self._gate.answer(judged, self._execute(judged))
                self._delivered()
                result = "done"
            else:
                reply = judged.reply
                result = judged.refusal.value if judged.refusal else "repeated"
        except LedgerError as error:
            log.error("command not executed, the ledger refuses", verb=verb, error=str(error))
            return
        known = verb if isinstance(judged, Accepted) or judged.refusal is None else "refused"
        self._metrics.commands.labels(known, result).inc()
        if not reply:
            return
        await self._reply(message, verb, reply)

    def _execute(self, accepted: Accepted) -> Reply:
        command = accepted.command
        facts: dict[str, str | float | bool | None] = {}
        match command:
            case VerdictCommand():
                answer = self._desk.verdict(
                    alert_id=command.alert_id,
                    verdict=command.verdict,
                    moderator=accepted.who,
                    note=command.note,
                )
            case MuteCommand() | BoostCommand() | LookCommand():
                answer = self._on_stream(command, accepted.who)
            case ResyncCommand():
                answer = self._resync(facts)
            case PingCommand():
                answer = Answer(Result.DONE)
                facts["version"] = self._version
            case _:
                answer = Answer(Result.REFUSED, "this version does not act on this verb yet")
        return Reply.to(command, accepted.verb, answer, **facts)

    def _resync(self, facts: dict[str, str | float | bool | None]) -> Answer:
        now = self._clock.monotonic()
        if now - self._resynced_at < RESYNC_EVERY_S:
            return Answer(Result.REFUSED, f"all was said again less than {RESYNC_EVERY_S:g} s ago")
        facts["alerts"] = self._desk.resync()
        self._resynced_at = now
        return Answer(Result.DONE)

    def _on_stream(self, command: MuteCommand | BoostCommand | LookCommand, who: str) -> Answer:
        stream = self._find(command.stream)
        if stream is None:
            return Answer(Result.REFUSED, "no such stream is watched here")
        if isinstance(command, MuteCommand):
            return self._desk.mute(stream=stream, rule=command.rule, for_s=command.for_s, moderator=who)
        if isinstance(command, BoostCommand):
            self._boosts[stream] = (command.suspicion, self._clock.monotonic() + command.for_s)
            self._fleet.demand(stream, command.suspicion)
        else:
            self._fleet.demand(stream, LOOK_SUSPICION)
        return Answer(Result.DONE)

    def _find(self, named: str) -> StreamId | None:
        """A stream by its id or by the id it has in topics."""
        if StreamId(named) in self._roster:
            return StreamId(named)
        setup = self._setup()
        return next((spec.id for spec in self._roster if setup.sid(spec.id) == named), None)

    async def _reply(self, message: Incoming, verb: str, reply: bytes) -> None:
        wished = message.response_topic
        topic = wished if wished and self._topics.may_answer(wished) else self._topics.reply(verb)
        try:
            await self._bus.publish(Outgoing(topic=topic, payload=reply, correlation=message.correlation))
        except (BusUnavailable, BusRefused) as error:
            log.warning("a command's answer was not taken by the broker", verb=verb, error=str(error))
