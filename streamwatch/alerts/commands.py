"""The words of commands: what people and other systems may send, and what we answer. Values only.

Fields we do not know are ignored, so that newer tools can talk to us; fields we know are checked strictly.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from streamwatch.alerts import ulid
from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.parts import MAX_MODERATOR, MAX_NOTE
from streamwatch.alerts.quiet import MUTE_LIMIT_S
from streamwatch.domain.alerts import Verdict
from streamwatch.domain.streams import AgeBand
from streamwatch.domain.urls import printable, without_addresses

MAX_BYTES = 4096
"""Of a command and of a reply."""
BOOST_LIMIT_S = 600.0
"""A person who wants a stream looked at harder for longer asks again: looks cost other streams theirs."""
DUTY_LIMIT_S = 12 * 3600.0
SIGNAL_LIMIT_S = 24 * 3600.0
"""What a system still knows of a stream after a day it says again."""
MAX_BECAUSE = 200

RequestId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
Moderator = Annotated[str, Field(max_length=MAX_MODERATOR)]
Note = Annotated[str, Field(max_length=MAX_NOTE)]
StreamRef = Annotated[str, Field(min_length=1, max_length=2000)]
"""`stream.id` of the alert document, or the `sid` of topics."""
AlertId = Annotated[str, Field(pattern=ulid.PATTERN)]


class Command(BaseModel):
    """What every command carries."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, strict=True)

    request_id: RequestId
    at: Annotated[AwareDatetime, Field(json_schema_extra={"maxLength": 64})]
    """When it was sent; with time zone."""


class Viewed(BaseModel):
    """A span of the stream that the moderator looked at before deciding."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    from_: Annotated[AwareDatetime, Field(alias="from", json_schema_extra={"maxLength": 64})]
    to: Annotated[AwareDatetime, Field(json_schema_extra={"maxLength": 64})]

    @model_validator(mode="after")
    def _ordered(self) -> Viewed:
        if self.to < self.from_:
            raise ValueError("`to` lies before `from`")
        return self


class VerdictCommand(Command):
    """A moderator's word on an alert."""

    alert_id: AlertId
    verdict: Verdict
    moderator: Moderator = ""
    note: Note = ""
    viewed: Annotated[tuple[Viewed, ...], Field(max_length=20)] = ()


class BoostCommand(Command):
    """Look harder at a stream for a while."""

    stream: StreamRef
    suspicion: Annotated[float, Field(ge=0, le=1)] = 1.0
    for_s: Annotated[float, Field(gt=0, le=BOOST_LIMIT_S)] = 60.0


class LookCommand(Command):
    """Look at a stream now."""

    stream: StreamRef


class MuteCommand(Command):
    """Open no new alert of a rule (none named: of all that may be muted) on a stream for a while."""

    stream: StreamRef
    rule: Annotated[str, Field(max_length=128)] | None = None
    for_s: Annotated[float, Field(gt=0, le=MUTE_LIMIT_S)]
    moderator: Moderator = ""
    note: Note = ""


class ResyncCommand(Command):
    """Say every open alert again."""


class PingCommand(Command):
    """Asks whether we are there, and which version."""


class PreserveAckCommand(Command):
    """Whoever records has kept (or could not keep) the span that an alert asked for."""

    alert_id: AlertId
    kept: bool = True
    reference: Note = ""


class OnDutyCommand(Command):
    """A moderator is there to see alerts for so long; 0: leaves."""

    moderator: Moderator = ""
    for_s: Annotated[float, Field(ge=0, le=DUTY_LIMIT_S)]


class SignalCommand(Command):
    """What another system knows of a stream, on `P/signals/{source}`: a reason to look harder, never an alert.

    Fields that we do not know are refused: what somebody meant to say about a risk must not be lost in silence.
    """

    model_config = ConfigDict(extra="forbid")

    stream: StreamRef
    strength: Annotated[float, Field(ge=0, le=1)]
    """0 withdraws what this source said of the stream."""
    for_s: Annotated[float, Field(gt=0, le=SIGNAL_LIMIT_S)] = 600.0
    because: Annotated[str, Field(min_length=1, max_length=MAX_BECAUSE)]
    """For people, who read it in alerts. Addresses are left out of it."""
    age_band: AgeBand | None = None
    """Only ever raises the rate of looks, and is not repeated anywhere."""

    @field_validator("because")
    @classmethod
    def _says_something(cls, text: str) -> str:
        clean = without_addresses(text, MAX_BECAUSE).strip()
        if not clean:
            raise ValueError("say why, in words")
        return clean


SIGNAL = "signal"
"""The verb under which signals are answered and remembered; no verb of commands."""

COMMANDS: dict[str, type[Command]] = {
    "verdict": VerdictCommand,
    "boost": BoostCommand,
    "look": LookCommand,
    "mute": MuteCommand,
    "resync": ResyncCommand,
    "ping": PingCommand,
    "preserve_ack": PreserveAckCommand,
    "on_duty": OnDutyCommand,
}
"""Verbs, as they stand in topics."""
NEEDS_IDENTITY = frozenset({"verdict", "mute", "on_duty"})
"""Accepted only where the broker vouches for the sender, under `mqtt.identify: topic`."""


class Reply(BaseModel):
    """The answer to a command."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    request_id: Annotated[str, Field(max_length=128)] | None
    """None where the command could not be read so far."""
    verb: Annotated[str, Field(max_length=64)]
    result: Result
    why: Annotated[str, Field(max_length=300)] | None = None
    alert_id: AlertId | None = None
    seq: Annotated[int, Field(ge=0, le=10**9)] | None = None
    detail: dict[str, str | int | float | bool | None] = {}
    """What the verb answers beyond its result, e.g. `version` of a ping; left out where it would not fit."""

    @classmethod
    def to(cls, command: Command, verb: str, answer: Answer, **detail: str | float | bool | None) -> Reply:
        """The reply that carries the desk's (or any) answer."""
        return cls(
            request_id=command.request_id,
            verb=verb,
            result=answer.result,
            why=printable(answer.why, 300) or None,
            alert_id=answer.alert_id or None,
            seq=answer.seq,
            detail=detail,
        )

    def encode(self) -> bytes:
        """JSON, at most 4 KiB; members that say nothing are left out."""
        data = self.model_dump(mode="json", exclude_none=True)
        data.setdefault("request_id", None)
        if not data["detail"] or len(_compact(data)) > MAX_BYTES:
            del data["detail"]
        return _compact(data)


def schema(kind: type[Command] = VerdictCommand) -> dict[str, Any]:
    """JSON Schema of a command, for those who write tools; without one named, of a verdict."""
    return kind.model_json_schema(by_alias=True, mode="validation")


def _compact(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
