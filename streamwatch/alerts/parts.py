"""The parts of the alert document, each with its bounds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from streamwatch.alerts.fitting import MAX_TEXT
from streamwatch.domain.decisions import Severity
from streamwatch.domain.media import Aim

MAX_EVIDENCE = 8
MAX_SIGNALS = 4
"""Risk signals in a trace, the strongest first: who wants to know more asks the systems that sent them."""
MAX_MODERATOR = 128
MAX_NOTE = 500
MAX_LATENCY_MS = 10**12
MAX_URL = 600
MAX_EXAMPLES = 8
"""Streams that a summary names."""


def _is_instant(text: str) -> str:
    """The text; raises ValueError for a month 13: what a damaged ledger says must not come up when it is used."""
    datetime.fromisoformat(text)
    return text


Stamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"), AfterValidator(_is_instant)]
Score = Annotated[float, Field(ge=0, le=1)]
MediaSeconds = Annotated[float, Field(ge=-1e10, le=1e10)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
HumanVerdict = Literal["acknowledge", "confirm", "escalate", "proposed_dismissal", "dismiss", "reopen"]


class Part(BaseModel):
    """What all parts have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Moment(Part):
    """An instant on the wall clock (UTC) and in the stream's media time (seconds)."""

    at: Stamp
    media_s: MediaSeconds


class EvidenceLine(Moment):
    """One frame that counted."""

    score: Score
    look: Aim | None = None
    """How it was seen: `key`, `inner`, `between`, or `back` from what was received before; absent where not known."""


class StreamPart(Part):
    """Which stream."""

    id: Text
    name: Text
    origin: Text
    session: Text
    watch_url: Annotated[str, Field(max_length=MAX_URL)] | None


class SignalPart(Part):
    """What another system had said about the stream: why it was looked at more often, and no evidence."""

    source: Annotated[str, Field(max_length=64)]
    strength: Score
    because: Text
    at: Stamp


class Trace(Part):
    """What the rule asked for before it opened, how that was met, and what others had said."""

    open_score: Score
    hits: Annotated[int, Field(ge=0, le=1000)]
    within_s: Annotated[float, Field(ge=0, le=1e6)]
    confirmed_by: Literal["looks", "look-back"] | None = None
    """`look-back`: at least one hit came from what was already received; `looks`: none. Absent where not known."""
    signals: Annotated[tuple[SignalPart, ...], Field(max_length=MAX_SIGNALS)] = ()
    """Risk signals that stood when it opened, or came since; the strongest first. Absent where there were none."""
    informational: Literal[True] | None = None
    """Present where a test rule fired on a stream on which tests do not count."""


class DetectorPart(Part):
    """Which model judged."""

    name: Text
    version: Text
    sha256: Annotated[str, Field(max_length=64)]


class Preserve(Part):
    """The span that whoever records the stream is asked to keep, in UTC and in the stream's media time (seconds).

    The monitor itself keeps nothing. What is optional is absent where it is not known, and for self-tests.
    """

    from_: Annotated[Stamp, Field(alias="from")]
    to: Stamp
    from_media_s: MediaSeconds | None = None
    to_media_s: MediaSeconds | None = None
    pre_roll_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    """How much of the span lies before the first triggering frame."""
    deadline: Stamp | None = None
    """Until when whoever records shall say `preserve_ack`."""
    state: Literal["asked", "kept", "failed", "overdue"] | None = None
    """`kept` and `failed`: what was answered; `overdue`: nothing was, until the deadline."""


class Human(Part):
    """The newest word of a person."""

    verdict: HumanVerdict
    moderator: Annotated[str, Field(max_length=MAX_MODERATOR)]
    at: Stamp
    note: Annotated[str, Field(max_length=MAX_NOTE)]
    viewed_s: Annotated[float, Field(ge=0, le=1e7)] | None = None
    """Seconds of the stream that the moderator looked at before; absent where none were named."""


class Raised(Part):
    """Why an alert became graver while it was open."""

    from_: Annotated[Severity, Field(alias="from")]
    at: Stamp
    because: Literal["score", "duration"]


class DiscoveryHold(Part):
    """A hint for directories and recommenders: do not promote the stream until then. Withdrawn where it is absent."""

    until: Stamp


class Summary(Part):
    """One word about many streams, in place of an alert of each: a model or a setting may be at fault."""

    streams: Annotated[int, Field(ge=1, le=10**6)]
    since: Stamp
    examples: Annotated[tuple[Text, ...], Field(max_length=MAX_EXAMPLES)]
    """Ids of some of them, the newest last."""
    says: Text
