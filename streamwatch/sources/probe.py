"""What a stream is like, measured from its packets: the work of `probe` and of cost estimates."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import StreamError
from streamwatch.domain.media import CodecConfig, MediaInfo, Packet
from streamwatch.domain.streams import Reason
from streamwatch.domain.urls import printable
from streamwatch.link.messages import Found
from streamwatch.sources.base import EVERYTHING, Appetite, DecoderFactory, Reader

_REMEMBERED_KEYS = 64
_TIMED_KEYS = 5
_NAME, _DETAIL = 40, 300
TENTH_MS = 1e-4
"""Prices are told so exactly, rounded up: nothing is free."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What was found; None where too little arrived to say it."""

    transport: str
    codec: str
    width: int
    height: int
    fps: float | None
    """Pictures a second as counted; as announced where too few came."""
    key_interval_s: float | None
    """Mean seconds of media between key pictures."""
    key_bytes: int
    """Mean size of a key picture; 0 where none came."""
    bitrate: float
    """Bits a second of media."""
    renditions: tuple[tuple[int, int], ...]
    packets: int


class ProbeStats:
    """Counts the packets of one stream: a `PacketSink` that keeps no payload but the newest key picture's. Pure."""

    def __init__(self) -> None:
        self._info: MediaInfo | None = None
        self._config = CodecConfig("")
        self._packets = 0
        self._bytes = 0
        self._first: float | None = None
        self._last = 0.0
        self.newest_key: Packet | None = None
        """What a decoder can be timed with."""
        self._keys: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED_KEYS)

    @property
    def packets(self) -> int:
        """Packets counted so far."""
        return self._packets

    @property
    def keys(self) -> int:
        """Key pictures counted, at most 64."""
        return len(self._keys)

    def opened(self, info: MediaInfo) -> None:
        """Take what the reader learnt."""
        self._info = info
        self._config = info.config

    def appetite(self) -> Appetite:
        """Every packet: its size and time are wanted."""
        return EVERYTHING

    def put(self, packet: Packet) -> None:
        """Count one packet."""
        self._config = packet.config
        self._packets += 1
        self._bytes += packet.size
        stamp = packet.time
        at = stamp.seconds if stamp is not None else self._last
        if self._first is None or at < self._last - 1.0:  # a jump back: measure the new timeline alone
            self._first, self._bytes, self._packets = at, packet.size, 1
            self._keys.clear()
        self._last = max(at, self._last) if at >= self._last - 1.0 else at
        if packet.key:
            self._keys.append((at, packet.size))
            self.newest_key = packet

    def skipped(self, size: int) -> None:
        """Count a packet that passed by unread."""
        self._packets += 1
        self._bytes += size

    def report(self) -> ProbeReport:
        """What is known now."""
        span = self._last - self._first if self._first is not None else 0.0
        announced = self._info.fps if self._info else None
        fps = (self._packets - 1) / span if span > 0 and self._packets > 1 else announced
        # The span runs from the first packet's time to the last one's, so the last one's own bytes lie outside it.
        bitrate = self._bytes * 8 * (self._packets - 1) / self._packets / span if span > 0 else 0.0
        keys = list(self._keys)
        interval = (keys[-1][0] - keys[0][0]) / (len(keys) - 1) if len(keys) > 1 else None
        return ProbeReport(
            transport=self._info.transport if self._info else "",
            codec=self._config.codec,
            width=self._config.width,
            height=self._config.height,
            fps=fps,
            key_interval_s=interval,
            key_bytes=sum(size for _, size in keys) // len(keys) if keys else 0,
            bitrate=bitrate,
            renditions=self._info.renditions if self._info else (),
            packets=self._packets,
        )


async def probe(reader: Reader, factory: DecoderFactory, *, seconds: float, clock: Clock) -> Found:
    """Read for `seconds`, time the decoding of the newest key picture, and say what is there. Never raises StreamError.

    The reader's cancellation may take as long as its read time-out.
    """
    stats = ProbeStats()
    reason: Reason | None = None
    detail = ""
    reading = asyncio.create_task(reader.run(stats), name="probe: read")
    limit = asyncio.create_task(clock.sleep(seconds), name="probe: limit")
    try:
        await asyncio.wait({reading, limit}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        reading.cancel()
        limit.cancel()
        (failure, _) = await asyncio.gather(reading, limit, return_exceptions=True)
    if isinstance(failure, StreamError):
        reason, detail = failure.reason, str(failure)
    elif isinstance(failure, Exception):
        raise failure
    elif not stats.packets:
        reason, detail = Reason.CONNECTING, f"nothing arrived within {seconds:.0f} s"
    decode_s: float | None = None
    try:
        decode_s = await asyncio.to_thread(decode_seconds, factory, stats.newest_key)
    except StreamError as e:
        reason, detail = e.reason, str(e)
    found = stats.report()
    return Found(
        transport=found.transport or "unknown",
        codec=found.codec[:_NAME],
        width=found.width,
        height=found.height,
        fps=found.fps,
        key_interval_s=found.key_interval_s,
        key_bytes=found.key_bytes,
        bitrate=found.bitrate,
        decode_key_s=None if decode_s is None else math.ceil(decode_s / TENTH_MS) * TENTH_MS,
        renditions=found.renditions,
        reason=reason,
        detail=printable(detail, _DETAIL),
    )


def decode_seconds(factory: DecoderFactory, key: Packet | None) -> float | None:
    """Processor seconds to decode this key picture: the best of a few. Raises DecodeFailed, CodecUnsupported."""
    if key is None:
        return None
    decoder = factory(key.config)
    best: float | None = None
    for _ in range(_TIMED_KEYS):
        begun = time.thread_time()
        if decoder.key(key) is None:
            return None
        spent = time.thread_time() - begun
        best = spent if best is None else min(best, spent)
    return best
