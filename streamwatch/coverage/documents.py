"""What is published about streams and coverage: `P/streams/{sid}/state`, `P/coverage`, `P/status`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from streamwatch.coverage.summary import Summary
from streamwatch.domain.streams import Reason, State
from streamwatch.domain.urls import printable

UNCOVERED_LISTED = 20
"""Fewer where they would not fit; counts are complete, the list is the oldest."""
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
    gap_s: float | None
    session: Annotated[str, _cut(32), Field(max_length=32)]
    detail: Text = ""


class UncoveredEntry(Document):
    """One live stream that is not covered."""

    sid: Sid
    reason: Reason
    since: At


class CoverageDocument(Document):
    """The node at a glance, every ten seconds. Older than 30 s means that the daemon is gone."""

    schema_: Literal["streamwatch.coverage/1"] = Field("streamwatch.coverage/1", alias="schema")
    at: At
    streams_live: int
    streams_connecting: int = 0
    """Streams that shall be watched and were never live: a mistyped address looks like this."""
    streams_covered: int
    coverage_1m: Annotated[float, Field(ge=0, le=1)]
    worst_gap_s: float
    uncovered: Annotated[tuple[UncoveredEntry, ...], Field(max_length=UNCOVERED_LISTED)]
    uncovered_total: int
    """How many there are; the list above is bounded."""

    def payload(self) -> bytes:
        """Compact JSON, UTF-8, at most 4 KiB: the newest of the listed are left out where they do not fit."""
        fitting = self
        while len(encoded := super(CoverageDocument, fitting).payload()) > MAX_BYTES:
            fitting = fitting.model_copy(update={"uncovered": fitting.uncovered[:-1]})
        return encoded


class LayerEntry(Document):
    """One layer of the watchers' sandbox."""

    name: Annotated[str, _cut(128), Field(max_length=128)]
    in_force: bool
    detail: Text = ""


class StatusDocument(Document):
    """Whether this node works. `offline` is also the Last Will."""

    schema_: Literal["streamwatch.status/1"] = Field("streamwatch.status/1", alias="schema")
    state: Literal["online", "degraded", "offline"]
    boot_id: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=64)]
    since: At
    reasons: Annotated[tuple[Text, ...], _cut(MAX_REASONS), Field(max_length=MAX_REASONS)]
    sandbox: Annotated[tuple[LayerEntry, ...], _cut(MAX_LAYERS), Field(max_length=MAX_LAYERS)] = ()

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
        coverage_1m=round(summary.ratio_1m, 4),
        worst_gap_s=round(summary.worst_gap_s, 3),
        uncovered=tuple(
            UncoveredEntry(sid=sid[entry.stream], reason=entry.reason, since=since[entry.stream])
            for entry in oldest[:UNCOVERED_LISTED]
        ),
        uncovered_total=len(summary.uncovered),
    )


def schema(model: type[Document]) -> dict[str, Any]:
    """JSON Schema of a document, for integrators."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
