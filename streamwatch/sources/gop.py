"""The last seconds of a stream, compressed and in memory only: what makes an instant second look possible."""

from __future__ import annotations

import itertools
import threading
from collections import deque

from streamwatch.domain.media import Packet


class _Group:
    """A key picture and what follows it up to the next one."""

    __slots__ = ("arrival", "bytes", "packets", "seconds")

    def __init__(self, key: Packet) -> None:
        self.packets = [key]
        self.bytes = len(key.data)
        self.arrival = key.arrival
        self.seconds = None if key.dts is None else key.dts.seconds


class GopBuffer:
    """The newest groups of pictures: whole ones within `max_seconds`, at least the newest key and what follows it.

    Put from a reader's thread, read from anywhere. A group that outgrows a bound is emptied, not cut: what is left
    without its key could not be decoded; the buffer then stays empty until the next key. Bounds hold at every moment.
    """

    def __init__(
        self,
        *,
        max_seconds: float,
        max_bytes: int,
        max_packets: int = 2048,
        group_seconds: float = 0.0,
        bursts: bool = False,
    ) -> None:
        """`max_seconds` of arrival; where media comes in `bursts`, or of media time, if that is more. Bytes of payload.

        Elsewhere media times do not count: the broadcaster writes them, and could empty the buffer with a leap.

        The newest group alone may reach `group_seconds`, if that is more: a look between keys needs its beginning.
        """
        self._group_seconds = max(group_seconds, max_seconds)
        self._max_seconds = max_seconds
        self._bursts = bursts
        self._max_bytes = max_bytes
        self._max_packets = max_packets
        self._lock = threading.Lock()
        self._groups: deque[_Group] = deque()
        self._bytes = 0
        self._count = 0
        self._dropped = 0

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
            groups, size = self._groups, len(packet.data)
            if packet.key:
                groups.append(_Group(packet))
            elif groups:
                group = groups[-1]
                group.packets.append(packet)
                group.bytes += size
            else:
                self._dropped += 1  # its key is gone: nobody could decode it
                return
            self._bytes += size
            self._count += 1
            seconds = packet.dts.seconds if self._bursts and packet.dts is not None else None
            while groups:
                oldest = groups[0]
                span = packet.arrival - oldest.arrival
                if seconds is not None and oldest.seconds is not None:
                    span = max(span, seconds - oldest.seconds)
                fits = self._bytes <= self._max_bytes and self._count <= self._max_packets
                if fits and span <= self._max_seconds:
                    return
                if len(groups) == 1:
                    if not fits or span > self._group_seconds:
                        self._dropped += self._count
                        self._clear()
                    return
                groups.popleft()  # by age: what the buffer is for, so it is no loss to be counted
                self._bytes -= oldest.bytes
                self._count -= len(oldest.packets)

    def tail(self) -> tuple[Packet, ...]:
        """The newest key packet and everything after it; empty where no complete beginning of a group is held."""
        with self._lock:
            return tuple(self._groups[-1].packets) if self._groups else ()

    def held(self) -> tuple[Packet, ...]:
        """Everything, beginning at a key; more than one group where several fit."""
        with self._lock:
            return tuple(itertools.chain.from_iterable(group.packets for group in self._groups))

    def clear(self) -> None:
        """Forget everything: a new session, or a new configuration."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._groups.clear()
        self._bytes = self._count = 0
