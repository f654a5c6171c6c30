"""Checkpoints: what others are told of the log's newest line, so that nobody can shorten or rewrite it unnoticed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamwatch.audit.chain import Tip, Unreadable
from streamwatch.audit.verification import Damage, Verified, What
from streamwatch.domain.urls import printable

MAX_BYTES = 4096


class Checkpoint(BaseModel):
    """The newest line of a node's audit log, as it was at a moment. Never retained: whoever shall vouch keeps them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, strict=True)

    schema_: Literal["streamwatch.audit/1"] = Field("streamwatch.audit/1", alias="schema")
    node: Annotated[str, Field(max_length=64)]
    boot_id: Annotated[str, Field(max_length=64)]
    """Of the daemon's run, as in `P/status`."""
    at: Annotated[str, Field(max_length=32, description="UTC, RFC 3339")]
    n: Annotated[int, Field(ge=0, le=10**15, description="number of the newest line; 0: none was written yet")]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="its SHA-256, as the line says it")]
    lines: Annotated[int, Field(ge=0, le=10**15, description="written since the last checkpoint that was taken")]

    def payload(self) -> bytes:
        """Compact JSON, UTF-8."""
        return self.model_dump_json(by_alias=True).encode()


DAY_S = 86400.0
"""Where nobody says how long lines are kept, none that was deleted for its age was younger."""


def checkpoint(tip: Tip, *, node: str, boot_id: str, at: str, lines: int) -> Checkpoint:
    """What is said of a log that ends at `tip`."""
    return Checkpoint(node=node, boot_id=boot_id, at=at, n=tip.n, hash=tip.hash, lines=lines)


def read(data: bytes) -> Checkpoint:
    """Read one as it was received, behind its topic or alone. Raises Unreadable."""
    start = data.find(b"{")
    if start < 0 or len(data) - start > MAX_BYTES:
        raise Unreadable("it is no checkpoint")
    try:
        one = Checkpoint.model_validate_json(data[start:])
        _instant(one.at)
    except (ValidationError, ValueError, OverflowError) as error:
        raise Unreadable("it is no checkpoint") from error
    return one


def compare(found: Verified, told: Iterable[Checkpoint], *, kept_s: float = DAY_S) -> list[Damage]:
    """What the checkpoints of this log's node say against it. `found.seen` holds the lines that they tell of.

    `kept_s`: for how long lines are kept at least. Checkpoints of lines that were deleted for their age say nothing any
    more; but that a line was too old is what the log says itself, and the newest checkpoint knows better.
    """
    fits: Checkpoint | None = None
    ordered = sorted(told, key=lambda one: one.n)
    newest = max((_instant(one.at) for one in ordered), default=0.0)
    for one in ordered:
        if one.n < max(found.first, 1):
            if one.n and newest - _instant(one.at) < kept_s:
                young = f"n={one.n}, of which the checkpoint of {printable(one.at, 32)} tells, is gone, and was not old"
                return [Damage(1, What.DELETION, f"{young} enough: everything before n={found.first} is missing")]
            continue
        known = found.seen.get(one.n)
        if known is not None and known[1] == one.hash:
            fits = one
            continue
        at = printable(one.at, 32)
        since = f"; the one of {printable(fits.at, 32)}, n={fits.n}, fits" if fits is not None else ""
        if one.n > found.tip.n:
            gone = f"the log ends with n={found.tip.n}, and the checkpoint of {at} tells of n={one.n}"
            return [Damage(max(found.lines, 1), What.TRUNCATION, gone + since)]
        if known is not None:
            other = f"n={one.n} is not the line that the checkpoint of {at} tells of"
            return [Damage(known[0], What.CHANGE, f"{other}: written anew from here, or from before{since}")]
    return []


def _instant(at: str) -> float:
    """Wall seconds of a checkpoint. Raises ValueError, OverflowError; those that were read have one."""
    return datetime.fromisoformat(at).timestamp()


def schema() -> dict[str, Any]:
    """JSON Schema of a checkpoint."""
    return Checkpoint.model_json_schema(by_alias=True)


def wanted(told: Sequence[Checkpoint]) -> frozenset[int]:
    """The numbers of lines that they tell of."""
    return frozenset(one.n for one in told)
