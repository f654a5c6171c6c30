"""What a stream is, what can be said about it, and the closed lists of words for that."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType
from urllib.parse import quote

from streamwatch.domain.urls import SafeUrl

StreamId = NewType("StreamId", str)
"""A stream's name as the operator or the origin wrote it: any Unicode, never used in a topic or label as it is."""

NODE = StreamId("~node")
"""Stands where a stream would, in alerts about the whole node. No stream may be called so."""

_SID_LIMIT = 128


def topic_sid(stream: str, key: bytes | None = None) -> str:
    """A stream's id as it stands in topics: interface version 1, table of topics.

    UTF-8 with RFC 3986 unreserved characters kept and every other byte as `%XX`; over 128 bytes `~` and 32 hex digits
    of its SHA-256; with `key` (privacy.stream_ids: keyed) 32 hex digits of its HMAC-SHA256.
    """
    raw = stream.encode("utf-8", "surrogatepass")
    if key is not None:
        return hmac.new(key, raw, hashlib.sha256).hexdigest()[:32]
    sid = quote(raw, safe="")
    return sid if len(sid) <= _SID_LIMIT else "~" + hashlib.sha256(raw).hexdigest()[:32]


class Reason(StrEnum):
    """Why a stream is not covered. A closed list of the public interface."""

    CONNECTING = "connecting"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    POLICY = "policy"
    STALLED = "stalled"
    DECODE = "decode"
    CODEC = "codec"
    NO_KEYS = "no_keys"
    BLIND = "blind"
    OVERLOAD = "overload"
    QUARANTINED = "quarantined"
    WATCHER = "watcher"
    RESTART = "restart"
    SILENT = "silent"


class State(StrEnum):
    """What `P/streams/{sid}/state` says."""

    CONNECTING = "connecting"
    COVERED = "covered"
    UNCOVERED = "uncovered"
    ENDED = "ended"


class Audience(StrEnum):
    """Who may see the stream: private ones are watched only with a recorded legal basis."""

    BROADCAST = "broadcast"
    PRIVATE = "private"


class AgeBand(StrEnum):
    """Who is on a stream, as coarse as its platform knows it. It comes in, raises the rate of looks, and goes nowhere.

    `unknown` and `adult` change nothing: what somebody claims about age must never buy fewer looks.
    """

    UNKNOWN = "unknown"
    ADULT = "adult"
    MIXED = "mixed"
    MINOR = "minor"


@dataclass(frozen=True, slots=True)
class SamplingSpec:
    """When to look, in seconds and shares. Defaults live in the config room alone."""

    max_gap_s: float
    """The promise: no live stream goes longer without an examined frame."""
    min_gap_s: float
    """The gap aimed at under the highest suspicion."""
    lookback_s: float
    novelty: bool
    jitter: float
    """Share of the gap by which a look may come earlier, drawn anew each time."""
    inner: float
    """Share of looks taken inside the group of pictures."""
    young_s: float = 0.0
    """For so long after it began a stream is looked at more often; 0: not at all."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream that shall be watched, as discovery or the configuration names it."""

    id: StreamId
    url: SafeUrl
    sampling: SamplingSpec
    name: str
    origin: str = "static"
    watch_url: str = ""
    weight: float = 1.0
    """Over 1: so many times the looks of others while there is room; and the last to give way where there is none."""
    fallback: bool = False
    end_after_s: float | None = None
    """A static stream silent for so long is ended; None for streams of an origin, which knows better."""
    tests: bool = True
    """Whether the test card counts here."""
    audience: Audience = Audience.BROADCAST
    fast: bool = field(default=False)
    """A file is read as fast as it can be scored instead of in real time (`watch --fast`)."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """What is known of a stream at a moment; times are monotonic seconds, `gap_s` as the interface defines it."""

    state: State
    reason: Reason | None
    since: float
    session: str = ""
    gap_s: float | None = None
