"""An unbroken stretch of packets on its way through a decoder of its own, for looks between key pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from streamwatch.domain.media import Packet
from streamwatch.runtime.workers import DecoderCache
from streamwatch.sources.base import Decoder

FEED_S = 1.0
"""Packets go to the decoder at least this often, so that little waits."""

MAX_PACKETS = 2048
MAX_BYTES = 8 * 1024 * 1024
"""Of one stream, while its decoder is busy: some seconds of any stream worth the name."""

HELD_BACK = 64
"""A decoder gives pictures out some packets late: 16 at most in H.264, and feeds hold a second."""


class Stretch:
    """Begins at a key picture. A break (missed packets, another mode, a new timeline) is a new stretch."""

    def __init__(self, packets: Iterable[Packet]) -> None:
        self._unfed = list(packets)
        self._codec = self._unfed[0].config.codec
        self._bytes = sum(packet.size for packet in self._unfed)
        self._recent: deque[Packet] = deque(maxlen=HELD_BACK)
        self._fed_at = 0.0
        self._decoder: Decoder | None = None

    def add(self, packet: Packet) -> bool:
        """Append a packet; False when so much waits that the stretch must be given up."""
        self._unfed.append(packet)
        self._bytes += packet.size
        return len(self._unfed) <= MAX_PACKETS and self._bytes <= MAX_BYTES

    def ready(self, now: float) -> bool:
        """Whether so much waits that the decoder should have it, look or no look."""
        return now - self._fed_at >= FEED_S

    @property
    def codec(self) -> str:
        """Of its pictures."""
        return self._codec

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def take(self) -> tuple[Packet, ...]:
        """Take what waits, for the decoder; at least one packet."""
        packets = tuple(self._unfed)
        self._recent.extend(packet._replace(data=b"") for packet in packets)  # their times matter, not their bytes
        self._unfed.clear()
        self._bytes = 0
        self._fed_at = packets[-1].arrival
        return packets

    def recent(self) -> tuple[Packet, ...]:
        """The packets whose pictures the decoder may give out now, oldest first."""
        return tuple(self._recent)

    def decoder(self, cache: DecoderCache, first: Packet) -> Decoder:
        """The stretch's decoder, made at its first packet. In a worker's thread; one look of a stream at a time."""
        if self._decoder is None:
            self._decoder = cache.fresh(first.config)
        return self._decoder
