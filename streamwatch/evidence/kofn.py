"""k hits within a window open, quiet for a while closes: the policy every rule starts with.

Enter and leave thresholds differ (hysteresis), so that a score that wavers about one value is one incident, not twenty.
The k hits must be spaced: two neighbours in a group of pictures are one observation, not two.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from streamwatch.domain.decisions import Decision, Hit, Level, RuleSpec, Standing
from streamwatch.domain.media import FrameRef, Sample

ALARM_SUSPICION = 0.5
"""While an alert is open the question is only whether it goes on: a middling rate of looks answers it."""

_REMEMBERED_HITS = 100


@dataclass(frozen=True, slots=True)
class _Counted:
    hit: Hit
    timeline: int


class KOfN:
    """Policy of one rule on one stream."""

    def __init__(self, rule: RuleSpec) -> None:
        self._rule = rule
        self._hits: deque[_Counted] = deque(maxlen=_REMEMBERED_HITS)
        self._quiet_since: float | None = None
        self._decision = Decision(rule=rule.name, level=Level.CALM, suspicion=0.0, score=0.0)

    @property
    def decision(self) -> Decision:
        """The standing decision."""
        return self._decision

    def restore(self, standing: Standing) -> None:
        """An open alert begins at alarm, a closed one at calm; what was seen since is forgotten."""
        if standing.open != (self._decision.level is Level.ALARM):
            self._begin(open_=standing.open)

    def reset(self) -> None:
        """Nothing stands, and nothing was seen."""
        self._begin(open_=False)

    def _begin(self, *, open_: bool) -> None:
        self._hits.clear()
        self._quiet_since = None
        level, suspicion = (Level.ALARM, ALARM_SUSPICION) if open_ else (Level.CALM, 0.0)
        self._decision = Decision(rule=self._rule.name, level=level, suspicion=suspicion, score=0.0)

    def observe(self, sample: Sample) -> Decision:
        """Take one sample; a corrupt frame and a detector that is not this rule's change nothing."""
        score = self._score(sample)
        if score is None or sample.frame.corrupt:
            return self._decision
        if self._decision.level is Level.ALARM:
            self._decision = self._in_alarm(score, sample.frame)
        else:
            self._decision = self._waiting(score, sample.frame)
        return self._decision

    def _score(self, sample: Sample) -> float | None:
        for scores in sample.scores:
            if scores.detector == self._rule.detector:
                return scores.get(self._rule.label)
        return None

    def _waiting(self, score: float, frame: FrameRef) -> Decision:
        rule = self._rule
        if score >= rule.open.score:
            self._hits.append(_Counted(_hit(score, frame), frame.timeline))
        newest = max((counted.hit.arrival for counted in self._hits), default=frame.arrival)
        newest = max(newest, frame.arrival)  # a look-back's frames come after newer ones
        recent = [counted for counted in self._hits if newest - counted.hit.arrival <= rule.open.within_s]
        if len(recent) < len(self._hits):
            self._hits = deque(recent, maxlen=_REMEMBERED_HITS)
        spaced = self._spaced()
        if len(spaced) >= rule.open.hits:
            self._quiet_since = None
            return Decision(
                rule=rule.name,
                level=Level.ALARM,
                suspicion=ALARM_SUSPICION,
                score=max(counted.hit.score for counted in self._hits),
                hits=spaced[: rule.open.hits],
                first_seen=self._earliest(),
                last_seen=self._latest(),
            )
        if self._hits:
            return Decision(
                rule=rule.name,
                level=Level.SUSPECTED,
                suspicion=1.0,
                score=max(counted.hit.score for counted in self._hits),
                hits=spaced,
                first_seen=self._earliest(),
                last_seen=self._latest(),
                missing=rule.open.hits - len(spaced),
                spacing_s=rule.open.spacing_s,
            )
        return Decision(rule=rule.name, level=Level.CALM, suspicion=self._near_miss(score), score=score)

    def _in_alarm(self, score: float, frame: FrameRef) -> Decision:
        rule, before = self._rule, self._decision
        last = before.last_seen
        if score < rule.close.score:
            if frame.blind:  # there was nothing to see: no hit, and no quiet either
                self._quiet_since = None
                return before
            if self._quiet_since is None:
                self._quiet_since = frame.arrival if last is None else max(frame.arrival, last.arrival)
            if frame.arrival - self._quiet_since >= rule.close.for_s:
                self._hits.clear()
                self._quiet_since = None
                return Decision(rule=rule.name, level=Level.CALM, suspicion=0.0, score=score)
            return before
        self._quiet_since = None
        seen = _hit(score, frame)
        return Decision(
            rule=rule.name,
            level=Level.ALARM,
            suspicion=ALARM_SUSPICION,
            score=max(before.score, score),
            hits=before.hits,
            first_seen=before.first_seen or seen,
            last_seen=seen if last is None else max(last, seen, key=_moment),  # a look-back may be at what is older
        )

    def _spaced(self) -> tuple[Hit, ...]:
        """Hits that are far enough apart to be observations of their own, in the order in which they were observed.

        A look-back observes what is older than the frame that gave rise to it, so each is held against all before it.
        """
        chosen: list[_Counted] = []
        for counted in self._hits:
            if all(_distance(other, counted) >= self._rule.open.spacing_s for other in chosen):
                chosen.append(counted)
                if len(chosen) == self._rule.open.hits:
                    break
        return tuple(counted.hit for counted in chosen)

    def _earliest(self) -> Hit:
        return min((counted.hit for counted in self._hits), key=_moment)

    def _latest(self) -> Hit:
        return max((counted.hit for counted in self._hits), key=_moment)

    def _near_miss(self, score: float) -> float:
        """Half the demand for a score that nearly counts: between the leave and the enter threshold it rises to 0.5."""
        low, high = self._rule.close.score, self._rule.open.score
        if score <= low or high <= low:
            return 0.0
        return 0.5 * min((score - low) / (high - low), 1.0)


def _hit(score: float, frame: FrameRef) -> Hit:
    return Hit(at=frame.at, arrival=frame.arrival, media_s=frame.media_s, score=score, look=frame.aim)


def _moment(hit: Hit) -> tuple[float, float]:
    """When it was shown: what came in one burst is told apart by media time."""
    return hit.arrival, hit.media_s


def _distance(first: _Counted, second: _Counted) -> float:
    """Seconds between two hits: of media time or of arrival, whichever is more.

    Segmented streams arrive in bursts, where only media time tells pictures apart; but the broadcaster writes media
    times, and one whose clock crawls must not pass for a single moment.
    """
    arrival = abs(second.hit.arrival - first.hit.arrival)
    if first.timeline != second.timeline:
        return arrival
    return max(arrival, abs(second.hit.media_s - first.hit.media_s))
