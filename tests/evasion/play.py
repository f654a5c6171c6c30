"""A stream's story: what happens at which second, and which built-in rules it makes change their minds, and when."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from streamwatch.domain.decisions import Level, RuleSpec, Severity
from streamwatch.domain.evasion import Glance
from streamwatch.domain.streams import Reason, StreamId
from streamwatch.evasion.base import Facts, Shown
from streamwatch.evasion.rules import builtin
from streamwatch.evasion.signs import StreamSigns
from streamwatch.evidence.kofn import KOfN
from streamwatch.runtime.wariness import Wariness, sample_of

EPOCH = datetime(2026, 11, 21, tzinfo=UTC)
ALL = (1 << 256) - 1
BLACK = Glance(luma=0.0, spread=0.0, plain=1.0)
NEARLY_BLACK = Glance(luma=9.0, spread=2.0, plain=0.985)
BLUE = Glance(luma=29.0, spread=0.0, plain=1.0)
DARK_SCENE = Glance(luma=9.0, spread=5.0, plain=0.6, hash=3, sure=0xFF)

Told = list[tuple[float, str, Level]]


def scene(number: int) -> Glance:
    """A picture with something in it, another for every number."""
    bits = random.Random(number).getrandbits(256)
    return Glance(luma=100.0 + number % 20, spread=50.0, plain=0.1, hash=bits, sure=ALL)


class Play:
    """Signs, rules and time. Facts are weighed every second, as the pipeline does."""

    def __init__(self, *, rules: Iterable[RuleSpec] | None = None, window_s: float = 20.0) -> None:
        self.signs = StreamSigns(window_s=window_s)
        rules = builtin(Severity.LOW) if rules is None else rules
        self.wariness = Wariness(self.signs, [KOfN(rule) for rule in rules])
        self.told: Told = []
        self.judged = 0
        self.now = 0.0
        self.live = True
        self.reason: Reason | None = None
        self.flows = True
        self.rate = 100_000.0
        self.steady = True
        self.size = (640, 360)
        self._media_at = 0.0
        self._received = 0.0
        self._levels: dict[str, Level] = {}
        self.wariness.begins(0.0)

    def look(self, glance: Glance, *, size: tuple[int, int] | None = None) -> str:
        self.size = size or self.size
        return self.signs.shown(Shown(self.now, glance, *self.size))

    def run(self, seconds: float) -> None:
        """Time goes by."""
        until = self.now + seconds
        while self.now < until:
            self.now += 1.0
            if self.flows and self.live:
                self._media_at = self.now
                self._received += self.rate
            self._weigh()

    def looks(self, glances: Iterable[Glance], *, every: float = 10.0) -> None:
        """A look, then time goes by, again and again."""
        for glance in glances:
            self.look(glance)
            self.run(every)

    def begins(self) -> None:
        """Another session; what stood is forgotten, as the pipeline does."""
        self.live = True
        self.wariness.begins(self.now)
        self.wariness.reset()
        self._levels.clear()

    def _weigh(self) -> None:
        facts = Facts(
            now=self.now,
            live=self.live,
            reason=self.reason,
            media_at=self._media_at,
            received=int(self._received),
            steady=self.steady,
            width=self.size[0],
            height=self.size[1],
        )
        scores = self.wariness.weigh(facts) if self.wariness.due(self.now) else None
        if scores is None:
            return
        self.judged += 1
        at = EPOCH + timedelta(seconds=self.now)
        made = sample_of(scores, facts, stream=StreamId("lobby"), session="s", timeline=0, at=at, media_s=self.now)
        self.wariness.judge(made, lambda _decision: None)
        for decision in self.wariness.decisions():
            if self._levels.get(decision.rule, Level.CALM) is not decision.level:
                self._levels[decision.rule] = decision.level
                self.told.append((self.now, decision.rule, decision.level))


def opened(play: Play) -> list[tuple[float, str]]:
    """The alarms alone."""
    return [(second, rule.removeprefix("evasion-")) for second, rule, level in play.told if level is Level.ALARM]
