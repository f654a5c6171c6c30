"""What changed rules would have made of scores that were kept: the real policies, over frames of before. Pure.

Frames were chosen by the rules of then: a rule that suspects sooner would also have looked more often, and nobody knows
what it would have seen. Verdicts and mutes of people are not repeated, and signs of evasion are not kept as scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streamwatch.alerts.quiet import QuietSpells
from streamwatch.domain.decisions import Decision, Level, RuleSpec, Severity
from streamwatch.domain.media import Aim, FrameRef, Sample, Scores
from streamwatch.domain.streams import StreamId
from streamwatch.evidence.kofn import KOfN
from streamwatch.ledger.samples import Scored
from streamwatch.runtime.policies import Policies
from streamwatch.runtime.timeline import BACKWARDS_S, FORWARDS_S

REBOOT_S = 120.0
"""A monotonic clock that went back further than any look-back reaches is another one: the machine was restarted."""
SLACK_S = 10.0
"""So far apart an alert and what would have opened may lie and still be of one scene."""


@dataclass(slots=True)
class Opening:
    """One alert that would have opened. Wall seconds."""

    rule: str
    stream: StreamId
    first: float
    last: float
    score: float
    hits: int
    """Frames that confirmed it."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One alert that did open. Wall seconds."""

    alert_id: str
    rule: str
    stream: str
    first: float
    last: float
    fate: str


@dataclass(slots=True)
class Replayed:
    """What came of it."""

    openings: list[Opening] = field(default_factory=list)
    frames: int = 0
    unreadable: int = 0
    spans: dict[StreamId, tuple[float, float]] = field(default_factory=dict)
    """By stream: wall seconds of the first and the last frame."""
    seen: set[tuple[str, str]] = field(default_factory=set)
    """Detectors and labels of the rules that had any score."""


@dataclass(frozen=True, slots=True)
class Would:
    """An opening, held against the ledger. `did`: None where the ledger does not reach back so far."""

    opening: Opening
    alerts: tuple[str, ...]
    did: bool | None


@dataclass(frozen=True, slots=True)
class Did:
    """An alert of the ledger, held against the replay. `would`: None where no scores of its time are kept."""

    alert: Happened
    would: bool | None


def replay(frames: Iterable[Scored | None], rules: Sequence[RuleSpec]) -> Replayed:
    """Let the rules judge the frames, in the order in which they came in."""
    courses: dict[StreamId, _Course] = {}
    result = Replayed()
    for frame in frames:
        if frame is None:
            result.unreadable += 1
            continue
        result.frames += 1
        first, last = result.spans.get(frame.stream, (frame.at, frame.at))
        result.spans[frame.stream] = (min(first, frame.at), max(last, frame.at))
        course = courses.get(frame.stream)
        if course is None:
            course = courses[frame.stream] = _Course(frame.stream, rules, result)
        course.take(frame)
    result.openings.sort(key=lambda one: one.first)
    return result


def compare(
    replayed: Replayed, happened: Sequence[Happened], rules: Mapping[str, RuleSpec], *, known_since: float
) -> tuple[list[Would], list[Did]]:
    """Hold both against each other. `known_since`: from then on the ledger holds every alert (wall seconds)."""
    woulds = []
    for opening in replayed.openings:
        slack = max(rules[opening.rule].open.within_s, SLACK_S)
        same = tuple(one.alert_id for one in happened if _same(opening, one, slack))
        woulds.append(Would(opening, same, did=True if same else None if opening.first < known_since else False))
    matched = {name for would in woulds for name in would.alerts}
    dids = []
    for one in happened:
        span = replayed.spans.get(StreamId(one.stream))
        stored = span is not None and span[0] - SLACK_S <= one.first <= span[1] + SLACK_S
        dids.append(Did(one, would=one.alert_id in matched if stored else None))
    return woulds, dids


def _same(opening: Opening, alert: Happened, slack: float) -> bool:
    return (
        (opening.rule, opening.stream) == (alert.rule, alert.stream)
        and opening.first - slack <= alert.last
        and alert.first <= opening.last + slack
    )


class _NoNotes:
    """A replay remembers nothing."""

    def remember(self, key: str, value: str | None) -> None:
        """Nothing is kept."""

    def recall(self, key: str) -> str | None:
        """Nothing was kept."""
        del key
        return None


class _Course:
    """One stream's frames, and what stands there."""

    def __init__(self, stream: StreamId, rules: Sequence[RuleSpec], result: Replayed) -> None:
        self._stream = stream
        self._rules = {rule.name: rule for rule in rules}
        self._policies = Policies([KOfN(rule) for rule in rules])
        self._quiet = QuietSpells(_NoNotes())
        self._result = result
        self._open: dict[str, Opening] = {}
        self._known: dict[str, float] = {}
        """Arrival of the newest frame that an opening rests on."""
        self._before: Scored | None = None
        self._offset = 0.0
        self._timeline = 0
        self._newest = 0.0

    def take(self, frame: Scored) -> None:
        """Judge one frame."""
        before = self._before
        if before is not None:
            if frame.session != before.session:
                self._end()
            elif frame.look is not Aim.BACK and not -BACKWARDS_S <= frame.media_s - self._newest <= FORWARDS_S:
                self._timeline += 1
            if frame.arrival < before.arrival - REBOOT_S:
                self._offset += before.arrival + max(frame.at - before.at, 0.0) - frame.arrival
        if frame.look is not Aim.BACK:
            self._newest = frame.media_s
        self._before = frame
        sample = self._sample(frame)
        self._policies.judge(sample, lambda decision: self._decided(decision, sample.frame))

    def _sample(self, frame: Scored) -> Sample:
        reference = FrameRef(
            stream=self._stream,
            session=frame.session,
            timeline=self._timeline,
            media_s=frame.media_s,
            arrival=frame.arrival + self._offset,
            at=datetime.fromtimestamp(frame.at, UTC),
            key=frame.look is Aim.KEY,
            width=0,
            height=0,
            corrupt=frame.corrupt,
            blind=frame.blind,
            aim=frame.look,
        )
        found = tuple(map(self._all, frame.scores)) if frame.trimmed else frame.scores
        for scores in found:
            self._result.seen.update((scores.detector, label) for label, _ in scores.values)
        return Sample(reference, found, gap_s=None, decode_s=0.0, infer_s=0.0)

    def _all(self, scores: Scores) -> Scores:
        """With the labels that were left out, since their scores were low."""
        asked = {rule.label: 0.0 for rule in self._rules.values() if rule.detector == scores.detector}
        return Scores(scores.detector, tuple((asked | dict(scores.values)).items()))

    def _decided(self, decision: Decision, frame: FrameRef) -> None:
        standing = self._open.get(decision.rule)
        match decision.level:
            case Level.ALARM if standing is None:
                self._consider(decision, frame)
            case Level.ALARM if standing is not None:
                standing.score = max(standing.score, decision.score)
                if decision.last_seen is not None:
                    standing.last = max(standing.last, decision.last_seen.at.timestamp())
                    self._known[decision.rule] = decision.last_seen.arrival
            case Level.CALM if standing is not None:
                rule = self._rules[decision.rule]
                urgent = rule.severity is Severity.URGENT
                self._close(decision.rule, frame, cooldown_s=0.0 if urgent else rule.cooldown_s)
            case _:
                pass

    def _consider(self, decision: Decision, frame: FrameRef) -> None:
        key = (self._stream, decision.rule)
        if self._quiet.holds(key, decision, now=frame.arrival, mutable=False) is not None:
            return
        first = decision.first_seen.at if decision.first_seen else frame.at
        last = decision.last_seen.at if decision.last_seen else frame.at
        opening = Opening(
            decision.rule, self._stream, first.timestamp(), last.timestamp(), decision.score, len(decision.hits)
        )
        self._open[decision.rule] = opening
        self._known[decision.rule] = decision.last_seen.arrival if decision.last_seen else frame.arrival
        self._result.openings.append(opening)
        self._quiet.forget(key)

    def _close(self, rule: str, frame: FrameRef, *, cooldown_s: float) -> None:
        del self._open[rule]
        self._quiet.closed(
            (self._stream, rule),
            known=self._known.pop(rule, None),
            now=frame.arrival,
            cooldown_s=cooldown_s,
        )

    def _end(self) -> None:
        """Another publication: what was open has ended, and nothing stands."""
        self._open.clear()
        self._quiet.lift_cooldowns(self._stream, but=())
        self._policies.reset()
        self._timeline = 0
