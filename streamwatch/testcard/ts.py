"""Cuts a growing MPEG-TS into segments that begin at a key picture; pure.

It knows the streams of our own muxer: tables before every picture, video on PID 256.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

PACKET: Final = 188
_VIDEO_PID: Final = 256
_PAT_PID: Final = 0
_TICKS: Final = 90_000
_PTS_WRAP: Final = 1 << 33


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a stream that can be decoded on its own."""

    data: bytes = field(repr=False)
    duration_s: float


class TsSegmenter:
    """Collects packets; a segment is complete when the first key picture after `target_s` begins."""

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self._rest = bytearray()
        self._tables = 0
        """Where in `_open` the latest tables begin that no picture followed yet."""
        self._open = bytearray()
        self._began: int | None = None

    def feed(self, data: bytes) -> list[Segment]:
        """Take the next bytes; return the segments that are now complete."""
        self._rest += data
        segments: list[Segment] = []
        whole = len(self._rest) // PACKET * PACKET
        for at in range(0, whole, PACKET):
            packet = bytes(self._rest[at : at + PACKET])
            pid = int.from_bytes(packet[1:3]) & 0x1FFF
            if pid == _PAT_PID:
                self._tables = len(self._open)
            elif pid == _VIDEO_PID and (pts := _key_pts(packet)) is not None:
                segments += self._cut(pts)
            self._open += packet
        del self._rest[:whole]
        return segments

    def _cut(self, pts: int) -> list[Segment]:
        if self._began is None:
            self._start(pts)  # what came before the first key picture cannot be decoded
            return []
        duration_s = (pts - self._began) % _PTS_WRAP / _TICKS
        if duration_s < self._target_s - 0.01:
            return []
        segment = Segment(bytes(self._open[: self._tables]), duration_s)
        self._start(pts)
        return [segment]

    def _start(self, pts: int) -> None:
        del self._open[: self._tables]
        self._tables = 0
        self._began = pts


def _key_pts(packet: bytes) -> int | None:
    """The presentation time (90 kHz) of the key picture that begins in this packet, if one does."""
    starts = packet[1] & 0x40
    if not starts or not packet[3] & 0x20 or packet[4] == 0 or not packet[5] & 0x40:
        return None  # no start of a picture, or no adaptation field that marks it as an entry point
    pes = packet[5 + packet[4] :]
    if pes[:3] != b"\x00\x00\x01" or not pes[7] & 0x80:
        return None
    b = pes[9:14]
    return (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1
