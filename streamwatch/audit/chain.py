"""The lines of the audit log: each holds the hash of the one before it. Pure.

A line is ASCII and has one form only, `{"n":…,"at":…,"kind":…,"facts":{…},"prev":…,"hash":…}` with the facts sorted by
name. Its hash is the SHA-256 of the line without `,"hash":"…"`, so that it can be checked without reading any JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from streamwatch.domain.urls import printable

GENESIS = "0" * 64
"""`prev` of the first line ever."""
MAX_LINE = 8192
"""Bytes of a line, its end included."""
MAX_TEXT = 200
MAX_DEPTH = 4

_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_KIND = re.compile(r"[a-z]{1,32}(?:\.[a-z_]{1,32})?")
_HASH = re.compile(r"[0-9a-f]{64}")
_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n\Z')
_TAIL_BYTES = len(',"hash":""}\n') + 64
_MEMBERS = ["n", "at", "kind", "facts", "prev"]
_MAX_N = 10**15


class Unreadable(Exception):
    """Bytes that are no line of ours, or one that was changed; says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it was read: in its one form, with the hash that it should have."""

    n: int
    """From 1, without holes."""
    at: str
    """RFC 3339, UTC, milliseconds."""
    kind: str
    facts: Mapping[str, Any]
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a log ends, and the next line begins."""

    n: int = 0
    hash: str = GENESIS


def line(tip: Tip, *, at: str, kind: str, facts: Mapping[str, Any]) -> tuple[bytes, Tip]:
    """The line that follows `tip`, and where the log ends then. Facts that are too long for a line are left out."""
    kept = tidy(facts)
    body = _body(tip.n + 1, at, kind, kept, tip.hash)
    if len(body) + _TAIL_BYTES > MAX_LINE:
        said = _json(kept)
        left_out = {"left_out_bytes": len(said), "left_out_sha256": hashlib.sha256(said).hexdigest()}
        body = _body(tip.n + 1, at, kind, left_out, tip.hash)
    digest = hashlib.sha256(body).hexdigest()
    return body[:-1] + f',"hash":"{digest}"}}\n'.encode("ascii"), Tip(tip.n + 1, digest)


def read(data: bytes) -> Entry:
    """Read one line, its end included. Raises Unreadable where it is not exactly what `line` writes."""
    if not data.endswith(b"\n"):
        raise Unreadable("it has no end")
    tail = _TAIL.search(data) if len(data) <= MAX_LINE else None
    if tail is None:
        raise Unreadable("it is no line of an audit log")
    body, claimed = data[: tail.start()] + b"}", tail[1].decode("ascii")
    if hashlib.sha256(body).hexdigest() != claimed:
        raise Unreadable("its hash is not that of what stands there")
    try:
        raw = from_json(body, allow_inf_nan=False)
        if not _is_entry(raw) or _body(raw["n"], raw["at"], raw["kind"], raw["facts"], raw["prev"]) != body:
            raise Unreadable("it is no line of an audit log")
    except ValueError as error:
        raise Unreadable("it is no line of an audit log") from error
    return Entry(n=raw["n"], at=raw["at"], kind=raw["kind"], facts=raw["facts"], prev=raw["prev"], hash=claimed)


def tidy(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as a line may hold them: text that is safe to show and bounded, numbers that are numbers."""
    return {printable(str(name), 64): _tidy(value, MAX_DEPTH) for name, value in facts.items()}


def _tidy(value: Any, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case int() | float():
            return value if math.isfinite(value) and abs(value) <= _MAX_N else None
        case Mapping() if depth:
            return {printable(str(name), 64): _tidy(inner, depth - 1) for name, inner in value.items()}
        case list() | tuple() if depth:
            return [_tidy(inner, depth - 1) for inner in value]
        case _:
            return printable(str(value), MAX_TEXT)


def _is_entry(raw: Any) -> bool:
    return (
        isinstance(raw, dict)
        and list(raw) == _MEMBERS
        and type(raw["n"]) is int
        and 0 < raw["n"] <= _MAX_N
        and isinstance(raw["at"], str)
        and _AT.fullmatch(raw["at"]) is not None
        and isinstance(raw["kind"], str)
        and _KIND.fullmatch(raw["kind"]) is not None
        and isinstance(raw["facts"], dict)
        and isinstance(raw["prev"], str)
        and _HASH.fullmatch(raw["prev"]) is not None
    )


def _body(n: int, at: str, kind: str, facts: Mapping[str, Any], prev: str) -> bytes:
    start = f'{{"n":{n},"at":"{at}","kind":"{kind}","facts":'.encode("ascii")
    return start + _json(facts) + f',"prev":"{prev}"}}'.encode("ascii")


def _json(facts: Mapping[str, Any]) -> bytes:
    said = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return said.encode("ascii")
