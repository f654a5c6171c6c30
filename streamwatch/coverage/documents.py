"""What is published: `P/streams/{sid}/state`, `P/streams/{sid}/breaches`, `P/coverage`, `P/status`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, computed_field

from streamwatch.coverage.breaches import BreachEvent
from streamwatch.coverage.rings import HOUR
from streamwatch.coverage.summary import Summary, fullest_last
from streamwatch.domain.streams import Reason, State
from streamwatch.domain.urls import printable

UNCOVERED_LISTED = 20
"""Fewer where they would not fit; counts are complete, the list is the oldest."""
UNCOVERED_KEPT = 8
"""Where origins do not fit beside them, so many stay."""
ORIGINS_LISTED = 10
"""Those with the lowest coverage."""
MAX_BYTES = 4096
"""Of a document; a longer one is published with less in it."""
MAX_LAYERS = 32
MAX_REASONS = 10

_SHORTER = ((200, 10, 32), (100, 10, 32), (50, 10, 16), (25, 10, 16), (25, 5, 8))
"""Steps by which a status is made to fit: characters of a text, reasons, layers. The last one always fits."""


def _cut(limit: int) -> BeforeValidator:
    """What is too long for its field loses its end: a document that cannot be said says nothing of what is wrong."""
    return BeforeValidator(lambda value: value[:limit])


Sid = Annotated[str, Field(max_length=128)]
Text = Annotated[str, _cut(200), Field(max_length=200)]
At = Annotated[str, Field(max_length=32, description="UTC, RFC 3339")]
Ratio = Annotated[
    float, Field(ge=0, le=1, description="covered share of live stream-seconds; 1 where nothing was live")
]
KnownRatio = Annotated[
    Annotated[float, Field(ge=0, le=1)] | None,
    Field(description="covered share of live stream-seconds; null where nothing was live"),
]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class Document(BaseModel):
    """A published document: nothing beside its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def payload(self) -> bytes:
        """Compact JSON, UTF-8."""
        return self.model_dump_json(by_alias=True).encode()


class StateDocument(Document):
    """How one stream stands."""

    schema_: Literal["streamwatch.state/1"] = Field("streamwatch.state/1", alias="schema")
    stream: Text
    state: State
    reason: Reason | None
    since: At
    gap_s: Seconds | None
    session: Annotated[str, _cut(32), Field(max_length=32)]
    detail: Text = ""


class UncoveredEntry(Document):
    """One live stream that is not covered."""

    sid: Sid
    reason: Reason
    since: At


class OriginEntry(Document):
    """The streams of one origin; `static`: those of the configuration."""

    name: Annotated[str, _cut(64), Field(max_length=64)]
    live: Count
    covered: Count
    coverage_1h: KnownRatio


class CoverageDocument(Document):
    """The node at a glance, every ten seconds. Older than 30 s means that the daemon is gone."""

    schema_: Literal["streamwatch.coverage/1"] = Field("streamwatch.coverage/1", alias="schema")
    at: At
    streams_live: Count
    streams_connecting: Count = 0
    """Streams that shall be watched and were never live: a mistyped address looks like this."""
    streams_covered: Count
    coverage_1m: Ratio
    """Always a number: who wants to tell "all was watched" from "nothing was live" looks at the other two."""
    coverage_1h: KnownRatio = None
    coverage_24h: KnownRatio = None
    """Over restarts too: the time of a restart is uncovered."""
    worst_gap_s: Seconds
    breaches_1h: Count = 0
    """Promises broken in the last hour, also those that were too short to be told."""
    uncovered: Annotated[tuple[UncoveredEntry, ...], Field(max_length=UNCOVERED_LISTED)]
    uncovered_total: Count
    """How many there are; the list above is bounded."""
    origins: Annotated[tuple[OriginEntry, ...], Field(max_length=ORIGINS_LISTED)] = ()
    origins_total: Count = 0

    def payload(self) -> bytes:
        """Compact JSON, UTF-8, at most 4 KiB: where not all fit, the newest uncovered and the best origins go first."""
        fitting = self
        while len(encoded := super(CoverageDocument, fitting).payload()) > MAX_BYTES:
            if fitting.origins and len(fitting.uncovered) <= UNCOVERED_KEPT:
                fitting = fitting.model_copy(update={"origins": fitting.origins[:-1]})
            else:
                fitting = fitting.model_copy(update={"uncovered": fitting.uncovered[:-1]})
        return encoded


class BreachDocument(Document):
    """A live stream went longer than its promise without an examined frame: once when it begins, once when it ends.

    Under a second it is counted and not told. The two of one breach have `stream`, `session` and `from` in common,
    whatever is learnt between them: `uncovered_s` and `worst_gap_s` say it as it is known when it is told.
    """

    schema_: Literal["streamwatch.breach/1"] = Field("streamwatch.breach/1", alias="schema")
    event: Literal["begun", "ended"]
    stream: Text
    session: Annotated[str, _cut(32), Field(max_length=32)]
    reason: Reason
    """Of its first seconds; the last word on it is in `ended`."""
    from_: At = Field(alias="from", description="UTC, RFC 3339: when the promise broke, as it was told first")
    to: At | None
    """Arrival of the frame that ended it, or the stream's end; null while it lasts. Not before `from`."""
    ended_by: Literal["frame", "end", "promise"] | None
    """A frame was examined; the stream ended, unseen; another promise holds. Null while it lasts."""
    uncovered_s: Seconds
    """So far, or in the end; 0 where a frame that was reported late shows that the promise was kept."""
    max_gap_s: Seconds
    worst_gap_s: Seconds
    """From the newest frame before it (or the stream's beginning) to its end, or to now while it lasts."""


Process = Literal["watcher", "daemon"]


class LayerEntry(Document):
    """One layer of the sandbox."""

    name: Annotated[str, _cut(128), Field(max_length=128)]
    of: Process = "watcher"
    """Which kind of process gave it up."""
    in_force: bool
    """The same as `state`, for those who read it before there were words."""
    detail: Text = ""

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation says
    @property
    def state(self) -> Literal["enforced", "unavailable"]:
        """How it stands, in a word."""
        return "enforced" if self.in_force else "unavailable"


class StatusDocument(Document):
    """Whether this node works. `offline` is also the Last Will."""

    schema_: Literal["streamwatch.status/1"] = Field("streamwatch.status/1", alias="schema")
    state: Literal["online", "degraded", "offline"]
    boot_id: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=64)]
    since: At
    reasons: Annotated[tuple[Text, ...], Field(max_length=MAX_REASONS), _cut(MAX_REASONS)]
    sandbox: Annotated[tuple[LayerEntry, ...], Field(max_length=MAX_LAYERS), _cut(MAX_LAYERS)] = ()

    def payload(self) -> bytes:
        """Compact JSON, UTF-8, at most 4 KiB: words are shortened where they do not fit, then layers left out.

        Layers that are not in force are left out last.
        """
        encoded = super().payload()
        for chars, reasons, layers in _SHORTER:
            if len(encoded) <= MAX_BYTES:
                break
            kept = sorted(self.sandbox, key=lambda layer: layer.in_force)[:layers]
            short = self.model_copy(
                update={
                    "reasons": tuple(printable(reason, chars) for reason in self.reasons[:reasons]),
                    "sandbox": tuple(
                        LayerEntry(
                            name=printable(layer.name, min(chars, 128)),
                            of=layer.of,
                            in_force=layer.in_force,
                            detail="" if layer.in_force else printable(layer.detail, chars),
                        )
                        for layer in kept
                    ),
                }
            )
            encoded = super(StatusDocument, short).payload()
        return encoded


def coverage_document(
    summary: Summary,
    *,
    at: str,
    sid: dict[str, str],
    since: dict[str, str],
) -> CoverageDocument:
    """Build the coverage document; `sid` and `since` map stream ids to what is published for them."""
    oldest = sorted(summary.uncovered, key=lambda entry: entry.since)
    return CoverageDocument(
        at=at,
        streams_live=summary.live,
        streams_connecting=summary.connecting,
        streams_covered=summary.covered,
        coverage_1m=1.0 if summary.ratio_1m is None else round(summary.ratio_1m, 4),
        worst_gap_s=round(summary.worst_gap_s, 3),
        uncovered=tuple(
            UncoveredEntry(sid=sid[entry.stream], reason=entry.reason, since=since[entry.stream])
            for entry in oldest[:UNCOVERED_LISTED]
        ),
        uncovered_total=len(summary.uncovered),
        coverage_1h=_rounded(summary.ratio_1h),
        coverage_24h=_rounded(summary.ratio_24h),
        breaches_1h=summary.breaches_1h,
        origins=tuple(
            OriginEntry(
                name=origin.name, live=origin.live, covered=origin.covered, coverage_1h=_rounded(origin.ratios[HOUR])
            )
            for origin in sorted(summary.origins, key=lambda origin: fullest_last(origin.ratios[HOUR]))[:ORIGINS_LISTED]
        ),
        origins_total=len(summary.origins),
    )


def _rounded(ratio: float | None) -> float | None:
    return None if ratio is None else round(ratio, 4)


def breach_document(event: BreachEvent, *, stream: str, started: str, ended: str | None) -> BreachDocument:
    """Build the document of a breach; `started` and `ended` are wall times as they are published."""
    return BreachDocument(
        event=event.event,
        stream=stream,
        session=event.session,
        reason=event.reason,
        from_=started,
        to=ended,
        ended_by=event.ended_by,
        uncovered_s=round(event.uncovered_s, 3),
        max_gap_s=event.max_gap_s,
        worst_gap_s=round(event.worst_gap_s, 3),
    )


def schema(model: type[Document]) -> dict[str, Any]:
    """JSON Schema of a document, for integrators."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
