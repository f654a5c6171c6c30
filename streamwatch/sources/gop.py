"""The last seconds of a stream, compressed and in memory only: what makes an instant second look possible."""

from __future__ import annotations

import threading
from collections import deque

from streamwatch.domain.media import Packet


class GopBuffer:
    """The newest groups of pictures: whole ones within `max_seconds`, at least the newest key and what follows it.

    Put from a reader's thread, read from anywhere. A group that outgrows a bound is emptied, not cut: what is left
    without its key could not be decoded; the buffer then stays empty until the next key. Bounds hold at every moment.
    """

    def __init__(
        self, *, max_seconds: float, max_bytes: int, max_packets: int = 2048, group_seconds: float = 0.0
    ) -> None:
        """`max_seconds` of arrival or media time, whichever is more, since HLS comes in bursts; bytes of payload.

        The newest group alone may reach `group_seconds`, if that is more: a look between keys needs its beginning.
        """
        self._group_seconds = max(group_seconds, max_seconds)
        self._max_seconds = max_seconds
        self._max_bytes = max_bytes
        self._max_packets = max_packets
        self._lock = threading.Lock()
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._keys = 0
        self._dropped = 0
        self._oldest_arrival = 0.0
        self._oldest: float | None = None
        """Decoding time of the oldest packet in seconds."""

    @property
    def limit(self) -> int:
        """Packets it holds at most."""
        return self._max_packets

    @property
    def dropped(self) -> int:
        """Packets that were not kept because a bound was reached or their key was missing; grows from the start."""
        with self._lock:
            return self._dropped

    @property
    def size(self) -> int:
        """Bytes held now."""
        with self._lock:
            return self._bytes

    def put(self, packet: Packet) -> None:
        """Take the next packet in decoding order."""
        with self._lock:
            packets = self._packets
            if not packets:
                if not packet.key:
                    self._dropped += 1  # its key is gone: nobody could decode it
                    return
                self._begin(packet)
            packets.append(packet)
            self._bytes += len(packet.data)
            self._keys += packet.key
            while packets:
                span = packet.arrival - self._oldest_arrival
                if self._oldest is not None and packet.dts is not None:
                    span = max(span, packet.dts.seconds - self._oldest)
                fits = self._bytes <= self._max_bytes and len(packets) <= self._max_packets
                if fits and span <= self._max_seconds:
                    return
                if self._keys > 1:
                    self._drop_oldest_group()
                    continue
                if not fits or span > self._group_seconds:
                    self._empty()
                return

    def tail(self) -> tuple[Packet, ...]:
        """The newest key packet and everything after it; empty where no complete beginning of a group is held."""
        found = self.held()
        for index in range(len(found) - 1, -1, -1):
            if found[index].key:
                return found[index:]
        return ()

    def held(self) -> tuple[Packet, ...]:
        """Everything, beginning at a key; more than one group where several fit."""
        with self._lock:
            return tuple(self._packets)

    def clear(self) -> None:
        """Forget everything: a new session, or a new configuration."""
        with self._lock:
            self._packets.clear()
            self._bytes = self._keys = 0

    def _begin(self, oldest: Packet) -> None:
        """Note where the buffer begins, once, since every packet is measured from there."""
        self._oldest_arrival = oldest.arrival
        self._oldest = None if oldest.dts is None else oldest.dts.seconds

    def _drop_oldest_group(self) -> None:
        """Let the oldest group go by age: what the buffer is for, so it is no loss to be counted."""
        first = True
        while self._packets and (first or not self._packets[0].key):
            gone = self._packets.popleft()
            self._bytes -= len(gone.data)
            self._keys -= gone.key
            first = False
        if self._packets:
            self._begin(self._packets[0])

    def _empty(self) -> None:
        self._dropped += len(self._packets)
        self._packets.clear()
        self._bytes = self._keys = 0
