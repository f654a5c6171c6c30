"""What a stream says to the daemon: levels, when they change and again every few seconds; samples, each once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Decision, Hit, Level
from streamwatch.domain.media import Sample
from streamwatch.domain.streams import Reason, StreamId
from streamwatch.domain.urls import printable
from streamwatch.link.messages import MAX_SCORES, HitSeen, RuleLevel, Sampled, ScoreLine, StreamLevel

REPEAT_S = 5.0
"""A level is repeated this often: a message lost with a process or a full queue heals by itself."""

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
        self._decided: dict[str, tuple[Decision, float]] = {}

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
                decode_s=sample.decode_s,
                scores=lines,
            ),
        )

    def decided(self, decision: Decision) -> None:
        """Report where a rule stands, if it changed, or still is not calm and was not said for a while."""
        before = self._decided.get(decision.rule)
        now = self._clock.monotonic()
        if before is not None and before[0] == decision:
            if decision.level is Level.CALM or now - before[1] < REPEAT_S:
                return
        elif decision.level is Level.CALM and (before is None or before[0].level is Level.CALM):
            return  # calm scores wander; nobody acts on them
        self._decided[decision.rule] = (decision, now)
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

    def level(self, report: Report) -> None:
        """Report how the stream stands, if that changed or is due again."""
        now = self._clock.monotonic()
        if report.same_as(self._last) and now - self._said_at < REPEAT_S:
            return
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


def _highest(values: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    """As many scores as a message may carry; policies judged all of them."""
    if len(values) <= MAX_SCORES:
        return values
    return tuple(sorted(values, key=lambda value: value[1], reverse=True)[:MAX_SCORES])


def _hit(hit: Hit) -> HitSeen:
    return HitSeen(at=hit.at, arrival=hit.arrival, media_s=hit.media_s, score=hit.score)
