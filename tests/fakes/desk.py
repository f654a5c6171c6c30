"""A desk with a fake clock and ledger, and stories: what is seen at which second, and what people hear."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from streamwatch.alerts.base import Answer, DeskRule, DetectorFacts, StreamFacts
from streamwatch.alerts.desk import AlertDesk
from streamwatch.alerts.document import AlertDocument
from streamwatch.alerts.policy import LifePolicy
from streamwatch.domain.alerts import Verdict
from streamwatch.domain.decisions import CloseWhen, Decision, Hit, Kind, Level, OpenWhen, RaiseWhen, RuleSpec, Severity
from streamwatch.domain.streams import StreamId
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger

LOBBY = StreamId("lobby")
FACTS = StreamFacts(
    id=LOBBY, name="Lobby", origin="static", session="s1", watch_url="https://v/lobby", tests=True, still_live=True
)


def rule(
    name: str = "nudity",
    severity: Severity = Severity.HIGH,
    kind: Kind = Kind.CLASSIFIER,
    *,
    cooldown_s: float = 60.0,
    raise_: RaiseWhen | None = None,
) -> DeskRule:
    spec = RuleSpec(
        name=name,
        detector="det",
        label="nsfw",
        severity=severity,
        kind=kind,
        open=OpenWhen(score=0.8, hits=2, within_s=10.0, spacing_s=0.4),
        close=CloseWhen(score=0.5, for_s=30.0),
        cooldown_s=cooldown_s,
        raise_=raise_,
    )
    return DeskRule(spec, DetectorFacts("det", "1.2", "ab" * 32))


RULES = (
    rule(),
    rule("urgent", Severity.URGENT),
    rule("low", Severity.LOW),
    rule("card", Severity.TEST, Kind.TEST),
    rule("known", Severity.HIGH, Kind.KNOWN_CONTENT),
)


class Story:
    """One daemon's desk, told second by second. `restart` begins another on the same ledger."""

    def __init__(self, *rules: DeskRule, policy: LifePolicy | None = None) -> None:
        self.policy = policy or LifePolicy()
        self.clock = FakeClock()
        self.start = self.clock.monotonic()
        self.ledger = FakeLedger(self.clock)
        self.rules = rules or RULES
        self._alarm_since: dict[tuple[str, str], Hit] = {}
        self._boots = 0
        self.desk = self._new_desk()

    def _new_desk(self) -> AlertDesk:
        self._boots += 1
        desk = AlertDesk(
            store=self.ledger, notes=self.ledger, clock=self.clock, node="edge-1", boot_id=f"boot-{self._boots}"
        )
        desk.configure(self.rules, self.policy)
        return desk

    # --- telling ---------------------------------------------------------------------------------------------------

    def at(self, second: float) -> Story:
        """Time passes until then, with a tick every second."""
        while self.second + 1 < second:
            self.clock.advance(1.0)
            self.desk.tick()
        self.clock.advance(second - self.second)
        self.desk.tick()
        return self

    @property
    def second(self) -> float:
        return self.clock.monotonic() - self.start

    def alarm(self, name: str = "nudity", *, score: float = 0.9, facts: StreamFacts = FACTS) -> Story:
        """The rule is at alarm, and this very second hit again."""
        key = (facts.id, name)
        now = self.hit(score)
        first = self._alarm_since.setdefault(key, now)
        decision = Decision(name, Level.ALARM, 0.5, score, hits=(first, now), first_seen=first, last_seen=now)
        self.desk.observe(facts, decision)
        return self

    def still(self, name: str = "nudity", *, facts: StreamFacts = FACTS, ago: float = 1.0) -> Story:
        """The level alarm is repeated with nothing new seen."""
        first = self._alarm_since.get((facts.id, name)) or self.hit(0.9, ago=ago)
        decision = Decision(name, Level.ALARM, 0.5, first.score, hits=(first,), first_seen=first, last_seen=first)
        self.desk.observe(facts, decision)
        return self

    def calm(self, name: str = "nudity", *, facts: StreamFacts = FACTS) -> Story:
        self._alarm_since.pop((facts.id, name), None)
        self.desk.observe(facts, Decision(name, Level.CALM, 0.0, 0.1))
        return self

    def suspected(self, name: str = "nudity") -> Story:
        self.desk.observe(FACTS, Decision(name, Level.SUSPECTED, 1.0, 0.9, hits=(self.hit(0.9),)))
        return self

    def says(
        self, verdict: str, who: str = "ann", alert_id: str | None = None, note: str = "", viewed_s: float | None = None
    ) -> Answer:
        alert_id = alert_id or self.last["alert_id"]
        return self.desk.verdict(
            alert_id=alert_id, verdict=Verdict(verdict), moderator=who, note=note, viewed_s=viewed_s
        )

    def restart(self, known: set[StreamId] | None = frozenset({LOBBY})) -> Story:
        """The daemon dies and comes back; watchers begin anew."""
        self._alarm_since.clear()
        self.desk = self._new_desk()
        self.desk.restore(known)
        return self

    def fresh(self, name: str = "nudity", *, facts: StreamFacts = FACTS) -> Story:
        """The watcher was told where the rule stands and gathers new hits from here."""
        self._alarm_since.pop((facts.id, name), None)
        return self

    def hit(self, score: float, *, ago: float = 0.0) -> Hit:
        at, arrival = self.clock.now() - timedelta(seconds=ago), self.clock.monotonic() - ago
        return Hit(at=at, arrival=arrival, media_s=self.second - ago, score=score)

    # --- hearing ---------------------------------------------------------------------------------------------------

    @property
    def heard(self) -> list[str]:
        """Events in order, each with what tells it apart: `opened`, `closed:quiet`, `updated:confirm`."""
        out = []
        for event in self.ledger.events:
            document = AlertDocument.decode(event.body)
            more = document.close_reason if document.event == "closed" else None
            out.append(f"{document.event}:{more}" if more else str(document.event))
        return out

    @property
    def documents(self) -> list[dict]:
        return [json.loads(event.body) for event in self.ledger.events]

    @property
    def last(self) -> dict:
        return self.documents[-1]


def other(**changes: object) -> StreamFacts:
    """The lobby with some facts changed."""
    return replace(FACTS, **changes)
