"""What the books of coverage leave behind when their process ends: a value that a ledger can keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streamwatch.domain.streams import StreamId

PageKind = Literal["node", "origin", "stream"]


@dataclass(frozen=True, slots=True)
class Bucket:
    """Live time within one span of book time, `number * width_s` to `(number + 1) * width_s`."""

    width_s: int
    number: int
    live_s: float
    uncovered_s: float
    breaches: int


@dataclass(frozen=True, slots=True)
class Page:
    """One account: of the node, of an origin, or of a stream."""

    kind: PageKind
    name: str
    """The stream's id or the origin's name; empty for the node."""
    facts: str
    """JSON that the books write and read; at most 16 KiB."""
    buckets: tuple[Bucket, ...] = ()
    """Where it is saved: those that changed since the record before. Where it is loaded: all that are kept."""


@dataclass(frozen=True, slots=True)
class BooksRecord:
    """The books at one moment.

    Book time runs evenly like the monotonic clock and goes on over restarts; it began as seconds since the epoch.
    """

    at: float
    """Book time of the record."""
    wall: float
    """Seconds since the epoch at the same moment, as the machine's clock said."""
    monotonic: float
    """The monotonic clock at the same moment: comparable while the machine runs, told by `boot`."""
    boot: str
    """Which run of the machine; empty where it is not known."""
    pages: tuple[Page, ...]
    gone: tuple[StreamId, ...] = ()
    """Streams whose pages shall be forgotten."""
    oldest: tuple[tuple[int, int], ...] = ()
    """Per width of buckets the lowest number that still counts; what is below may be forgotten."""
