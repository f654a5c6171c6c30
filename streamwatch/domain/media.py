"""Media time, compressed packets and the record of a frame. No value here can hold a picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from streamwatch.domain.streams import StreamId


class MediaTime(NamedTuple):
    """A presentation time with its unit inside; exact. Equal times are equal whatever their units.

    A named tuple because every packet makes two, by the ten thousand a second.
    """

    ticks: int
    time_base: Fraction
    """Seconds a tick."""

    @classmethod
    def of(cls, ticks: int, time_base: Fraction) -> MediaTime:
        """Time of `ticks` units of `time_base` seconds."""
        return cls(ticks, time_base)

    @property
    def seconds_exact(self) -> Fraction:
        """In seconds, exactly."""
        return self.ticks * self.time_base

    @property
    def seconds(self) -> float:
        """As a float, for arithmetic that ends in a comparison."""
        return self.ticks * self.time_base.numerator / self.time_base.denominator

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MediaTime):
            return NotImplemented
        return self.seconds_exact == other.seconds_exact

    def __hash__(self) -> int:
        return hash(self.seconds_exact)

    def __lt__(self, other: tuple[object, ...]) -> bool:
        return self.seconds_exact < _exact(other)

    def __le__(self, other: tuple[object, ...]) -> bool:
        return self.seconds_exact <= _exact(other)

    def __gt__(self, other: tuple[object, ...]) -> bool:
        return self.seconds_exact > _exact(other)

    def __ge__(self, other: tuple[object, ...]) -> bool:
        return self.seconds_exact >= _exact(other)


def _exact(other: tuple[object, ...]) -> Fraction:
    if not isinstance(other, MediaTime):
        raise TypeError("a media time compares with media times only")
    return other.seconds_exact


@dataclass(frozen=True)
class CodecConfig:
    """What a decoder needs before the first packet. Two streams with equal configurations can share a decoder."""

    codec: str
    """FFmpeg's name: h264, hevc, av1, vp9, mpeg4 …"""
    extradata: bytes = field(default=b"", repr=False)
    width: int = 0
    height: int = 0

    @cached_property
    def digest(self) -> str:
        """Identity for decoder caches and for noticing a change inside a session."""
        head = f"{self.codec}:{self.width}x{self.height}:".encode()
        return hashlib.sha256(head + self.extradata).hexdigest()[:16]


class Packet(NamedTuple):
    """One compressed access unit of the video track, as received. A named tuple for the reason `MediaTime` is one."""

    config: CodecConfig
    data: bytes
    pts: MediaTime | None
    dts: MediaTime | None
    key: bool
    arrival: float
    """Monotonic seconds at which its last byte was received. Files read fast count media time instead."""

    @property
    def size(self) -> int:
        """Bytes of payload; the price of decoding a key picture follows it."""
        return len(self.data)

    @property
    def time(self) -> MediaTime | None:
        """Its place in decoding order on the stream's own scale; the presentation time where no other is known."""
        return self.pts if self.dts is None else self.dts

    def __repr__(self) -> str:
        return f"Packet({self.config.codec}, {self.size} bytes, pts={self.pts}, key={self.key})"


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a reader learnt when it opened a stream."""

    config: CodecConfig
    transport: str
    """rtmp, hls, rtsp, srt or file; a metric label, so a closed set."""
    fps: float | None = None
    burst_s: float = 0.0
    """Media arrives in bursts of so many seconds (an HLS target duration); a stall is judged on top of it."""
    renditions: tuple[tuple[int, int], ...] = ()
    """Sizes on offer, for `probe`."""
    on_demand: bool = False
    """Keys come when the sink asks for them, so their interval says nothing about the stream."""


class Aim(StrEnum):
    """What a look was at; stands in alerts, so a closed list."""

    KEY = "key"
    """A key picture alone."""
    BETWEEN = "between"
    """A picture between keys, while all are decoded because keys alone cannot keep the gap."""
    INNER = "inner"
    """A picture between keys that nobody can foresee, decoded with all since its key."""
    BACK = "back"
    """Pictures around a suspicious one, from what was already received."""


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Which frame was looked at, in facts: what may travel once the pixels are gone."""

    stream: StreamId
    session: str
    timeline: int
    """Counts the jumps of media time inside a session; media times compare only within one timeline."""
    media_s: float
    arrival: float
    """Monotonic seconds of the packet's arrival."""
    at: datetime
    """The same instant on the wall clock."""
    key: bool
    width: int
    height: int
    corrupt: bool = False
    blind: bool = False
    """There is nothing to see in it: black, of one colour, too small. Its stream is no better known than before."""
    aim: Aim | None = Aim.KEY
    """How it came to be looked at; None where no picture was: scores of what is known of the stream otherwise."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One detector's answer for one frame."""

    detector: str
    values: tuple[tuple[str, float], ...]
    """(label, score between 0 and 1), in the order of the manifest."""

    def get(self, label: str) -> float | None:
        """The score of `label`, None where this detector does not know it."""
        return next((score for name, score in self.values if name == label), None)


@dataclass(frozen=True, slots=True)
class Sample:
    """The record of a look that scored a frame."""

    frame: FrameRef
    scores: tuple[Scores, ...]
    gap_s: float | None
    """Seconds between the arrivals of this and the previous scored frame; None for the first of a session."""
    decode_s: float
    infer_s: float
