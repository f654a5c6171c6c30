"""What people and other systems want looked at harder: let stand, told to the watchers, answered."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.commands import BOOST_LIMIT_S, BoostCommand, SignalCommand
from streamwatch.daemon.demand import Demand, DemandKind
from streamwatch.daemon.demands import Demands, Placed
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import AgeBand, StreamId

GOOD = frozenset({"taken", "withdrawn", "repeated"})
"""Results of signals that are no refusals."""
CONFIRMED = "verdict"
"""The source of boosts that follow from what people confirmed."""
NO_STREAM = Answer(Result.REFUSED, "no such stream is watched here")
_NO_ROOM = {
    Placed.STREAM_FULL: "stronger demands of others take all the room that this stream has",
    Placed.SOURCE_FULL: "too many of yours stand already: take some back, or let them expire",
    Placed.FULL: "there is no room for more demands",
}

Facts = dict[str, str | float | bool | None]
"""What an answer says beyond its result."""


class Demanding(Protocol):
    """What demands need of the fleet."""

    def demand(self, stream: StreamId, suspicion: float, for_s: float = 0.0) -> None:
        """Look harder at a stream for so long, in the place of what was demanded before; 0: just now."""
        ...


@dataclass(frozen=True, slots=True)
class Heeded:
    """What became of a demand."""

    answer: Answer
    result: str
    """As metrics call it; a closed list."""
    facts: Facts = field(default_factory=dict)
    """What of it holds now. Nothing of others' demands, nor of an age band."""


class Outside:
    """Event loop only. Every call that changes something raises LedgerError, and then nothing has changed."""

    def __init__(self, *, demands: Demands, fleet: Demanding, clock: Clock) -> None:
        self._demands = demands
        self._fleet = fleet
        self._clock = clock

    def restore(self) -> None:
        """Take up the demands that stood when the daemon ended."""
        self._demands.restore()

    def tick(self) -> None:
        """Tell watchers what is demanded of their streams. Call it about once a second."""
        self._tell()
        with suppress(LedgerError):  # tried again; whoever writes next says that the ledger refuses
            self._demands.tidy()

    def boost(self, command: BoostCommand, stream: StreamId, who: str) -> Heeded:
        """Let a person's boost stand; of the same person's, the newest. 0 takes it back."""
        if command.suspicion == 0:
            return self._withdraw(stream, DemandKind.BOOST, who, named="suspicion")
        demand = Demand(
            stream=stream,
            kind=DemandKind.BOOST,
            source=who,
            strength=command.suspicion,
            at=command.at,
            until=self._clock.monotonic() + command.for_s,
        )
        return self._place(demand, named="suspicion")

    def confirmed(self, stream: StreamId) -> None:
        """A person confirmed an alert of the stream: look as hard as allowed for as long as a boost may last."""
        demand = Demand(
            stream=stream,
            kind=DemandKind.BOOST,
            source=CONFIRMED,
            strength=1.0,
            at=self._clock.now(),
            until=self._clock.monotonic() + BOOST_LIMIT_S,
        )
        with suppress(LedgerError):  # the verdict stands; only its boost does not outlive this process
            self._place(demand, named="suspicion")

    def heed(self, signal: SignalCommand, stream: StreamId | None, source: str) -> Heeded:
        """Let a signal stand in the place of what this source said of the stream before; strength 0 takes it back."""
        if stream is None:
            return Heeded(NO_STREAM, "unknown_stream")
        if signal.strength == 0:
            return self._withdraw(stream, DemandKind.SIGNAL, source, named="strength")
        demand = Demand(
            stream=stream,
            kind=DemandKind.SIGNAL,
            source=source,
            strength=signal.strength,
            at=signal.at,
            until=self._clock.monotonic() + signal.for_s,
            because=signal.because,
            band=signal.age_band or AgeBand.UNKNOWN,
        )
        return self._place(demand, named="strength")

    def _place(self, demand: Demand, *, named: str) -> Heeded:
        placed = self._demands.place(demand)
        if placed is not Placed.TAKEN:
            return Heeded(Answer(Result.REFUSED, _NO_ROOM[placed]), placed.value)
        self._tell(demand.stream)
        until = self._clock.now() + timedelta(seconds=demand.until - self._clock.monotonic())
        return Heeded(Answer(Result.DONE), placed.value, {named: demand.strength, "until": rfc3339(until)})

    def _withdraw(self, stream: StreamId, kind: DemandKind, source: str, *, named: str) -> Heeded:
        self._demands.withdraw(stream, kind, source)
        self._tell(stream)
        return Heeded(Answer(Result.DONE), "withdrawn", {named: 0.0})

    def _tell(self, *streams: StreamId) -> None:
        for stream, suspicion, for_s in self._demands.due(streams or None):
            self._fleet.demand(stream, suspicion, for_s)
