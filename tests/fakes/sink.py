"""A sink that keeps everything and lets a test wait for it."""

from __future__ import annotations

import asyncio
import threading

from streamwatch.domain.media import MediaInfo, Packet
from streamwatch.sources.base import EVERYTHING, Appetite


class CollectingSink:
    """Thread-safe, as the contract of sinks asks for."""

    def __init__(self, *, wants: bool = True) -> None:
        self._changed = threading.Condition()
        self._wants = wants
        self.infos: list[MediaInfo] = []
        self.packets: list[Packet] = []
        self.skipped_bytes = 0
        self.threads: set[str] = set()

    def opened(self, info: MediaInfo) -> None:
        with self._changed:
            self.infos.append(info)
            self._changed.notify_all()

    def appetite(self) -> Appetite:
        return EVERYTHING if self._wants else EVERYTHING._replace(everything=False)

    def put(self, packet: Packet) -> None:
        with self._changed:
            self.packets.append(packet)
            self.threads.add(threading.current_thread().name)
            self._changed.notify_all()

    def skipped(self, size: int) -> None:
        with self._changed:
            self.skipped_bytes += size
            self._changed.notify_all()

    @property
    def keys(self) -> list[Packet]:
        with self._changed:
            return [packet for packet in self.packets if packet.key]

    async def reached(self, packets: int, within_s: float = 15.0) -> None:
        """Wait until so many packets have come."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: len(self.packets) >= packets, timeout=within_s)

        assert await asyncio.to_thread(wait), f"{len(self.packets)} of {packets} packets came"
