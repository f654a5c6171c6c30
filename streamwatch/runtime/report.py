"""What a stream says to the daemon: levels, when they change and again every few seconds; samples, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Decision, Hit, Level
from streamwatch.domain.media import Aim, Sample
from streamwatch.domain.streams import Reason, StreamId
from streamwatch.domain.urls import printable
from streamwatch.link.messages import MAX_SCORES, HitSeen, RuleLevel, Sampled, ScoreLine, StreamLevel

REPEAT_S = 5.0
"""A rule's level is repeated this often while it matters: a message lost with a process or a full queue heals."""

REPEAT_STREAM_S = 15.0
"""The same for how a stream stands; its samples say more often that it is well."""

STRESS_S = 300.0
"""For so long after a rule was not calm, its calm is repeated."""

_DETAIL = 300

Emit = Callable[[StreamLevel | Sampled | RuleLevel], None]


@dataclass(frozen=True, slots=True)
class Report:
    """How a stream stands."""

    session: str
    live: bool
    ended: bool
    reason: Reason | None
    detail: str
    codec: str
    width: int
    height: int
    gap_aim_s: float

    def same_as(self, other: Report | None) -> bool:
        """Whether people would see no difference."""
        return other is not None and (self.session, self.live, self.ended, self.reason, self.width, self.height) == (
            other.session,
            other.live,
            other.ended,
            other.reason,
            other.width,
            other.height,
        )


@dataclass(frozen=True, slots=True)
class _Said:
    """What was last said of a rule."""

    until: float
    """Until then calm is worth repeating."""
    decision: Decision | None = None
    at: float = 0.0


class Reporter:
    """Turns what the pipeline knows into messages. Event loop only."""

    def __init__(self, *, stream: StreamId, epoch: int, emit: Emit, clock: Clock) -> None:
        self._stream = stream
        self._epoch = epoch
        self._emit = emit
        self._clock = clock
        self._session = ""
        self._last: Report | None = None
        self._said_at = 0.0
        self._said: dict[str, _Said] = {}

    def take_over(self, before: Reporter) -> None:
        """Go on where another reporter of this stream stops: what it owed is owed by this one."""
        self._session = before._session
        self._said = dict(before._said)

    def expect(self, rules: Iterable[str]) -> None:
        """An alert of these rules is open at the daemon: it waits for the word that they are calm."""
        for rule in rules:
            self._said.setdefault(rule, _Said(until=self._clock.monotonic() + STRESS_S))

    def new_session(self, session: str) -> None:
        """Later reports belong to this session."""
        self._session = session

    def sampled(self, sample: Sample, infer_s: tuple[float, ...]) -> None:
        """Report one scored frame."""
        frame = sample.frame
        lines = tuple(
            ScoreLine(detector=scores.detector, values=_highest(scores.values), infer_s=spent)
            for scores, spent in zip(sample.scores, infer_s, strict=True)
        )
        self._emit(
            Sampled(
                epoch=self._epoch,
                stream=self._stream,
                session=frame.session,
                at=frame.at,
                arrival=frame.arrival,
                media_s=frame.media_s,
                gap_s=sample.gap_s,
                key=frame.key,
                corrupt=frame.corrupt,
                blind=frame.blind,
                look=frame.aim or Aim.KEY,
                decode_s=sample.decode_s,
                scores=lines,
            ),
        )

    def decided(self, decision: Decision) -> None:
        """Report where a rule stands: when that changes, and again and again while it matters.

        Calm matters for a while too: should the word that ends an alert be lost, it is said again.
        """
        now = self._clock.monotonic()
        before = self._said.get(decision.rule)
        calm = decision.level is Level.CALM
        if calm and (before is None or now > before.until):
            return  # calm scores wander; nobody acts on them
        same = (
            before is not None
            and before.decision is not None
            and (before.decision.level is Level.CALM if calm else before.decision == decision)
        )
        if same and before is not None and now - before.at < REPEAT_S:
            return
        until = before.until if calm and before is not None else now + STRESS_S
        self._said[decision.rule] = _Said(decision=decision, at=now, until=until)
        self._emit(
            RuleLevel(
                epoch=self._epoch,
                stream=self._stream,
                session=self._session,
                rule=decision.rule,
                level=decision.level,
                suspicion=decision.suspicion,
                score=decision.score,
                hits=tuple(_hit(hit) for hit in decision.hits),
                first_seen=_hit(decision.first_seen) if decision.first_seen else None,
                last_seen=_hit(decision.last_seen) if decision.last_seen else None,
            ),
        )

    def level(self, report: Report) -> float:
        """Report how the stream stands, if that changed or is due again. Returns when the same is due again."""
        now = self._clock.monotonic()
        if report.same_as(self._last) and now - self._said_at < REPEAT_STREAM_S:
            return self._said_at + REPEAT_STREAM_S
        self._last, self._said_at = report, now
        self._emit(
            StreamLevel(
                epoch=self._epoch,
                stream=self._stream,
                session=report.session,
                live=report.live,
                ended=report.ended,
                reason=report.reason,
                detail=printable(report.detail, _DETAIL),
                width=report.width,
                height=report.height,
                codec=report.codec[:40],
                gap_aim_s=report.gap_aim_s,
            ),
        )
        return now + REPEAT_STREAM_S


def _highest(values: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    """As many scores as a message may carry; policies judged all of them."""
    if len(values) <= MAX_SCORES:
        return values
    return tuple(sorted(values, key=lambda value: value[1], reverse=True)[:MAX_SCORES])


def _hit(hit: Hit) -> HitSeen:
    return HitSeen(at=hit.at, arrival=hit.arrival, media_s=hit.media_s, score=hit.score, look=hit.look)
