"""The alert document, `streamwatch.alert/1`: what people receive. At most 4 KiB, neutral words, no picture.

The document says what was measured, when, and by which rule and model; it says nothing about who is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from streamwatch.alerts import ulid
from streamwatch.alerts.base import DeskRule, RiskSignal, StreamFacts
from streamwatch.alerts.fitting import MAX_TEXT, compact, fitted
from streamwatch.alerts.parts import (
    MAX_EVIDENCE,
    MAX_EXAMPLES,
    MAX_LATENCY_MS,
    MAX_SIGNALS,
    MAX_URL,
    DetectorPart,
    DiscoveryHold,
    EvidenceLine,
    Human,
    Moment,
    Part,
    Preserve,
    Raised,
    Score,
    SignalPart,
    Stamp,
    StreamPart,
    Summary,
    Text,
    Trace,
)
from streamwatch.domain.alerts import CloseReason, Event
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.decisions import Decision, Hit, Kind, Severity
from streamwatch.domain.media import Aim
from streamwatch.domain.streams import NODE
from streamwatch.domain.urls import printable

PRE_ROLL = timedelta(seconds=30)
"""What led up to the first triggering frame is kept by whoever records: it shows how the scene began."""
POST_ROLL = timedelta(seconds=10)
"""The last hit is not the end of the scene, only of what we saw of it."""
_ABSENT = ("close_reason", "escalated", "raised", "discovery_hold", "summary")
_ABSENT_OF_TRACE = ("informational", "confirmed_by", "signals")


class AlertDocument(Part):
    """One message about one alert; `(alert_id, seq)` identifies it."""

    schema_: Literal["streamwatch.alert/1"] = Field(alias="schema")
    alert_id: Annotated[str, Field(pattern=ulid.PATTERN)]
    event: Event
    seq: Annotated[int, Field(ge=1, le=10**9)]
    boot_id: Text
    node: Text
    severity: Severity
    rule: Text
    label: Text
    kind: Kind
    stream: StreamPart
    still_live: bool
    first_seen: Moment
    last_seen: Moment
    score: Score
    evidence: Annotated[tuple[EvidenceLine, ...], Field(max_length=MAX_EVIDENCE)]
    trace: Trace
    detector: DetectorPart
    preserve: Preserve
    latency_ms: Annotated[int, Field(ge=0, le=MAX_LATENCY_MS)] | None
    """From the arrival of the first triggering frame's packet to the hand-over to the broker; null on later events."""
    human: Human | None
    close_reason: CloseReason | None = None
    """Present once the alert is closed."""
    escalated: Stamp | None = None
    """Since when it is said on `P/escalations` too: nobody acknowledged it in time, or a person escalated it."""
    raised: Raised | None = None
    """The newest change of `severity`; absent where there was none."""
    discovery_hold: DiscoveryHold | None = None
    summary: Summary | None = None
    """Present where the alert speaks of many streams; `stream` then names none of them."""

    def encode(self) -> str:
        """The JSON text, at most `MAX_BYTES - LATENCY_RESERVE`: evidence, then texts are shortened until it fits."""
        data = self.model_dump(mode="json", by_alias=True)
        for part, names in ((data, _ABSENT), (data["trace"], _ABSENT_OF_TRACE)):
            for name in names:
                if not part[name]:
                    del part[name]
        for part in (data["preserve"], *data["evidence"], data["human"] or {}):
            for name in [name for name, value in part.items() if value is None]:
                del part[name]
        return fitted(data)

    @classmethod
    def decode(cls, body: str) -> Self:
        """Read a document back. Raises ValueError where it is not one."""
        return cls.model_validate_json(body)

    def revised(self, **changes: Any) -> AlertDocument:
        """A copy with changes, checked as a new document is."""
        return AlertDocument.model_validate({**dict(self), **changes}, by_name=True)

    @property
    def last_seen_at(self) -> datetime:
        """Instant of the newest hit, UTC."""
        return datetime.fromisoformat(self.last_seen.at)


def opened(
    *,
    alert_id: str,
    node: str,
    boot_id: str,
    rule: DeskRule,
    facts: StreamFacts,
    decision: Decision,
    at: datetime,
    severity: Severity | None = None,
    preserve_within_s: float = 300.0,
) -> AlertDocument:
    """The first document of an alert. `at` stands in where the decision names no frame (a restored watcher)."""
    test = rule.spec.severity is Severity.TEST
    spec = rule.spec
    first = decision.first_seen or (decision.hits[0] if decision.hits else None)
    first_seen = _moment(first) if first else Moment(at=rfc3339(at), media_s=0.0)
    last = decision.last_seen or (decision.hits[-1] if decision.hits else None)
    last_seen = _moment(last) if last else first_seen
    return AlertDocument(
        schema="streamwatch.alert/1",
        alert_id=alert_id,
        event=Event.OPENED,
        seq=1,
        boot_id=printable(boot_id, MAX_TEXT),
        node=printable(node, MAX_TEXT),
        severity=severity or spec.severity,
        rule=printable(spec.name, MAX_TEXT),
        label=printable(spec.label, MAX_TEXT),
        kind=spec.kind,
        stream=stream_part(facts),
        still_live=facts.still_live,
        first_seen=first_seen,
        last_seen=last_seen,
        score=rounded(decision.score),
        evidence=tuple(_line(hit) for hit in decision.hits[:MAX_EVIDENCE]),
        trace=Trace(
            open_score=rounded(spec.open.score),
            hits=spec.open.hits,
            within_s=spec.open.within_s,
            confirmed_by=_confirmed_by(decision.hits),
            signals=merged((), facts.signals),
            informational=True if spec.severity is Severity.TEST and not facts.tests else None,
        ),
        detector=detector_part(rule),
        preserve=preserve(first_seen, last_seen, deadline=None if test else at + timedelta(seconds=preserve_within_s)),
        latency_ms=None,
        human=None,
    )


def stream_part(facts: StreamFacts) -> StreamPart:
    """A stream's facts, bounded. An address too long to be shown whole is not shown: half a link leads nowhere."""
    url = facts.watch_url
    usable = bool(url) and len(url.encode("utf-8", "replace")) <= MAX_URL and printable(url, MAX_URL) == url
    return StreamPart(
        id=printable(facts.shown or facts.id, MAX_TEXT),
        name=printable(facts.name, MAX_TEXT),
        origin=printable(facts.origin, MAX_TEXT),
        session=printable(facts.session, MAX_TEXT),
        watch_url=url if usable else None,
    )


def detector_part(rule: DeskRule) -> DetectorPart:
    """Which model judges a rule, bounded."""
    return DetectorPart(
        name=printable(rule.detector.name, MAX_TEXT),
        version=printable(rule.detector.version, MAX_TEXT),
        sha256=printable(rule.detector.sha256, 64),
    )


def seen_again(document: AlertDocument, decision: Decision, *, after: float | None = None) -> dict[str, Any]:
    """What changes in a document when its rule goes on hitting: newest moment, highest score, span to keep.

    `after`: arrival of the newest frame that it knows; without it the wall clock tells, which may have been set.
    """
    hit = decision.last_seen
    newer = hit and (at_millis(hit.at) > document.last_seen_at if after is None else hit.arrival > after)
    newest = _moment(hit) if hit and newer else document.last_seen
    return {
        "last_seen": newest,
        "score": max(document.score, rounded(decision.score)),
        "preserve": preserve(document.first_seen, newest, told=document.preserve),
    }


def merged(told: tuple[SignalPart, ...], standing: Iterable[RiskSignal]) -> tuple[SignalPart, ...]:
    """Signals that a trace names: those it told already, and those that stand now in their newest form.

    What stood when the alert opened stays: that it was withdrawn or expired since does not undo why we looked.
    """
    parts = {part.source: part for part in told}
    for signal in standing:
        source = printable(signal.source, 64)
        parts[source] = SignalPart(
            source=source,
            strength=rounded(signal.strength),
            because=printable(signal.because, MAX_TEXT),
            at=rfc3339(signal.at),
        )
    return tuple(sorted(parts.values(), key=lambda part: (-part.strength, part.source))[:MAX_SIGNALS])


def preserve(
    first: Moment, last: Moment, *, deadline: datetime | None = None, told: Preserve | None = None
) -> Preserve:
    """The span to keep, around what was seen. `told`: what was asked for before, and answered.

    Media time is left out where it went back in between: a new session began, and counts anew.
    """
    start = datetime.fromisoformat(first.at) - PRE_ROLL
    end = datetime.fromisoformat(last.at) + POST_ROLL
    evenly = last.media_s >= first.media_s
    roll = PRE_ROLL.total_seconds()
    before = max(first.media_s - roll, min(first.media_s, 0.0))
    return Preserve(
        **{"from": rfc3339(start)},
        to=rfc3339(end),
        from_media_s=round(before, 3) if evenly else None,
        to_media_s=round(last.media_s + POST_ROLL.total_seconds(), 3) if evenly else None,
        pre_roll_s=roll,
        deadline=told.deadline if told else rfc3339(deadline) if deadline else None,
        state=told.state if told else "asked" if deadline else None,
    )


def summary(
    *, alert_id: str, node: str, boot_id: str, rule: DeskRule, shown: Sequence[str], streams: int, since: datetime
) -> AlertDocument:
    """The first document of an alert about many streams. `shown`: some of their ids as documents show them."""
    spec = rule.spec
    moment = Moment(at=rfc3339(since), media_s=0.0)
    return AlertDocument(
        schema="streamwatch.alert/1",
        alert_id=alert_id,
        event=Event.OPENED,
        seq=1,
        boot_id=printable(boot_id, MAX_TEXT),
        node=printable(node, MAX_TEXT),
        severity=spec.severity,
        rule=printable(spec.name, MAX_TEXT),
        label=printable(spec.label, MAX_TEXT),
        kind=spec.kind,
        stream=StreamPart(id=NODE, name="", origin="", session="", watch_url=None),
        still_live=True,
        first_seen=moment,
        last_seen=moment,
        score=rounded(spec.open.score),
        evidence=(),
        trace=Trace(open_score=rounded(spec.open.score), hits=spec.open.hits, within_s=spec.open.within_s),
        detector=detector_part(rule),
        preserve=preserve(moment, moment),
        latency_ms=None,
        human=None,
        summary=summary_part(rule, shown, streams, since),
    )


def summary_part(rule: DeskRule, shown: Sequence[str], streams: int, since: datetime) -> Summary:
    """How many streams, since when, and the question that people must answer."""
    name = printable(rule.spec.name, 100)
    says = f"{streams} streams opened rule {name} since {since:%H:%M} UTC: model or configuration fault?"
    examples = tuple(printable(one, MAX_TEXT) for one in shown[-MAX_EXAMPLES:])
    return Summary(streams=streams, since=rfc3339(since), examples=examples, says=says)


def at_millis(at: datetime) -> datetime:
    """An instant as documents hold it: UTC, milliseconds."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def rounded(score: float) -> float:
    """A score as documents hold it: four digits, inside 0 … 1 whatever arithmetic did to its last bit."""
    return round(min(max(score, 0.0), 1.0), 4)


def with_latency(body: str, latency_ms: int) -> str:
    """The document with its latency, set once: a body that already has one is returned as it is."""
    data = json.loads(body)
    if data["latency_ms"] is not None:
        return body
    data["latency_ms"] = min(max(latency_ms, 0), MAX_LATENCY_MS)
    return compact(data)


def schema() -> dict[str, Any]:
    """JSON Schema of the document as we send it."""
    return AlertDocument.model_json_schema(by_alias=True, mode="serialization")


def _moment(hit: Hit) -> Moment:
    return Moment(at=rfc3339(hit.at), media_s=round(hit.media_s, 3))


def _line(hit: Hit) -> EvidenceLine:
    return EvidenceLine(at=rfc3339(hit.at), media_s=round(hit.media_s, 3), score=rounded(hit.score), look=hit.look)


def _confirmed_by(hits: Sequence[Hit]) -> Literal["looks", "look-back"] | None:
    """None where a restored watcher names no frame, and where no picture was looked at."""
    if all(hit.look is None for hit in hits):
        return None
    return "look-back" if any(hit.look is Aim.BACK for hit in hits) else "looks"
