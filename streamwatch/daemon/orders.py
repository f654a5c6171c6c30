"""Commands from people, and signals from other systems: judged at the gate, executed once, always answered."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.commands import (
    COMMANDS,
    NEEDS_IDENTITY,
    SIGNAL,
    BoostCommand,
    LookCommand,
    MuteCommand,
    OnDutyCommand,
    PingCommand,
    PreserveAckCommand,
    Reply,
    ResyncCommand,
    SignalCommand,
    VerdictCommand,
)
from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.duty import Duty
from streamwatch.alerts.gate import Accepted, Answered, CommandGate
from streamwatch.bus.base import Bus, Incoming, Outgoing
from streamwatch.bus.topics import CommandTopic, SignalTopic, Topics
from streamwatch.daemon.outside import GOOD, NO_STREAM, Demanding, Facts, Outside
from streamwatch.daemon.roster import Roster
from streamwatch.daemon.setup import Setup
from streamwatch.domain.alerts import Verdict
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import BusRefused, BusUnavailable, LedgerError
from streamwatch.domain.streams import StreamId
from streamwatch.domain.urls import printable
from streamwatch.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)

LOOK_SUSPICION = 1.0
"""A look asked for now: the highest demand, which the next packets fulfil and ten seconds halve."""


RESYNC_EVERY_S = 5.0
"""Every open alert is said again no more often, whoever asks."""

REPLY_EXPIRY_S = 600
"""Who asked and did not hear the answer for so long asks again; the broker is no place to keep it."""

COMPLAIN_EVERY_S = 60.0

MAX_VIEWED_S = 1e6
"""Of all spans that a verdict names together: more than any shift."""

_CONFIRMING = frozenset({Verdict.CONFIRM, Verdict.ESCALATE})


def lanes(topics: Topics) -> Callable[[str], str]:
    """The lane of an incoming topic: each verb its own, each source of signals, and for people's words each person."""

    def lane(topic: str) -> str:
        match topics.parse(topic):
            case CommandTopic(verb, who) if verb in NEEDS_IDENTITY:
                return f"{verb}/" if who is None else f"/{who}"
            case CommandTopic(verb, _) if verb in COMMANDS:
                return verb
            case SignalTopic(source):
                return f"signals/{source}"
            case _:
                return ""

    return lane


class Orders:
    """Takes what comes in over the bus. Event loop only, one message at a time."""

    def __init__(
        self,
        *,
        bus: Bus,
        topics: Topics,
        gate: CommandGate,
        desk: AlertDesk,
        duty: Duty,
        roster: Roster,
        fleet: Demanding,
        outside: Outside,
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
        self._duty = duty
        self._roster = roster
        self._fleet = fleet
        self._setup = setup
        self._metrics = metrics
        self._clock = clock
        self._version = version
        self._delivered = delivered
        self._outside = outside
        self._sids: dict[str, StreamId] = {}
        self._sids_of: tuple[Setup, int] | None = None
        self._resynced_at = float("-inf")
        self._complained_at = float("-inf")

    async def run(self) -> None:
        """Serve until cancelled."""
        async for message in self._bus.incoming():
            if not message.payload:  # MQTT's way of clearing what is retained: said to the broker, and not to us
                continue
            match self._topics.parse(message.topic):
                case CommandTopic(verb, who):
                    await self._command(message, verb, who)
                case SignalTopic(source):
                    await self._signal(message, source)
                case _:
                    pass

    async def _signal(self, message: Incoming, source: str) -> None:
        try:
            judged = self._gate.judge_signal(source=source, payload=message.payload, retained=message.retain)
            match judged:
                case Accepted(command=SignalCommand() as signal):
                    heeded = self._outside.heed(signal, self._find(signal.stream), source)
                    reply = self._gate.answer(judged, Reply.to(signal, SIGNAL, heeded.answer, **heeded.facts))
                    result = heeded.result
                case Answered():
                    reply, result = judged.reply, judged.refusal.value if judged.refusal else "repeated"
        except LedgerError:  # not answered either: it may be sent again
            reply, result = b"", "ledger"
        self._metrics.signals.labels(result).inc()
        if result not in GOOD:
            self._complain(source, result)
        if reply:
            await self._reply(message, SIGNAL, reply)

    def _complain(self, source: str, result: str) -> None:
        """Say that signals are refused: one example a minute, since a flood of them must not become a flood of ours."""
        now = self._clock.monotonic()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            log.warning("signals are refused; streamwatch_signals_total counts them", source=source, why=result)

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
        facts: Facts = {}
        match command:
            case VerdictCommand():
                answer = self._verdict(command, accepted.who)
            case PreserveAckCommand():
                answer = self._desk.preserve_ack(alert_id=command.alert_id, kept=command.kept)
                log.info(
                    "preservation answered", alert_id=command.alert_id, kept=command.kept, by=printable(accepted.who)
                )
            case OnDutyCommand():
                answer = self._duty.set(accepted.who, command.for_s)
                facts["on_duty"] = len(self._duty.people)
            case MuteCommand() | BoostCommand() | LookCommand():
                answer = self._on_stream(command, accepted, facts)
            case ResyncCommand():
                answer = self._resync(facts)
            case PingCommand():
                answer = Answer(Result.DONE)
                facts["version"] = self._version
            case _:
                answer = Answer(Result.REFUSED, "this version does not act on this verb")
        return Reply.to(command, accepted.verb, answer, **facts)

    def _verdict(self, command: VerdictCommand, who: str) -> Answer:
        """A person's word on an alert; what they confirm is looked at harder at once."""
        viewed = sum((span.to - span.from_).total_seconds() for span in command.viewed)
        answer = self._desk.verdict(
            alert_id=command.alert_id,
            verdict=command.verdict,
            moderator=who,
            note=command.note,
            viewed_s=min(round(viewed, 3), MAX_VIEWED_S) if command.viewed else None,
        )
        if answer.result is Result.DONE:
            if answer.rule:
                self._metrics.verdicts.labels(self._rule(answer.rule), command.verdict.value).inc()
            if command.verdict in _CONFIRMING and answer.stream is not None and answer.stream in self._roster:
                self._outside.confirmed(answer.stream)
        return answer

    def _rule(self, name: str) -> str:
        """A rule's name as a label: only those of the configuration, or it would have no bound."""
        return name if any(rule.spec.name == name for rule in self._setup().desk_rules) else "gone"

    def _resync(self, facts: Facts) -> Answer:
        now = self._clock.monotonic()
        if now - self._resynced_at < RESYNC_EVERY_S:
            return Answer(Result.REFUSED, f"all was said again less than {RESYNC_EVERY_S:g} s ago")
        facts["alerts"] = self._desk.resync()
        self._resynced_at = now
        return Answer(Result.DONE)

    def _on_stream(
        self,
        command: MuteCommand | BoostCommand | LookCommand,
        accepted: Accepted,
        facts: Facts,
    ) -> Answer:
        stream, who = self._find(command.stream), accepted.who
        if stream is None:
            return NO_STREAM
        if isinstance(command, MuteCommand):
            return self._desk.mute(stream=stream, rule=command.rule, for_s=command.for_s, moderator=who)
        if isinstance(command, BoostCommand):
            heeded = self._outside.boost(command, stream, who)
            facts.update(heeded.facts)
            if heeded.facts.get("until"):
                log.info("stream boosted", stream=self._setup().shown(stream), by=printable(who), seconds=command.for_s)
            return heeded.answer
        self._fleet.demand(stream, LOOK_SUSPICION)
        return Answer(Result.DONE)

    def _find(self, named: str) -> StreamId | None:
        """A stream by its id or by the id it has in topics."""
        setup, changes = self._setup(), self._roster.changes
        for stream in (StreamId(named), setup.id_of(named)):
            if stream in self._roster:
                return stream
        if self._sids_of != (setup, changes):  # a flood of unknown names must not hash every stream for each
            self._sids_of = (setup, changes)
            self._sids = {setup.sid(spec.id): spec.id for spec in self._roster}
        return self._sids.get(named)

    async def _reply(self, message: Incoming, verb: str, reply: bytes) -> None:
        wished = message.response_topic
        topic = wished if wished and self._topics.may_answer(wished) else self._topics.reply(verb)
        try:
            await self._bus.publish(Outgoing(topic, reply, expiry_s=REPLY_EXPIRY_S, correlation=message.correlation))
        except (BusUnavailable, BusRefused) as error:
            log.warning("a command's answer was not taken by the broker", verb=verb, error=str(error))
