"""MPEG-TS to access units of its first video track. Pure and incremental: bytes in, units out, bounded in between."""

from __future__ import annotations

from fractions import Fraction

from streamwatch.domain.media import CodecConfig, MediaTime
from streamwatch.sources.hls.units import MAX_UNIT, NotMedia, NoVideo, Unit, begins_unit, in_band_config, is_key, split

PACKET = 188
_SYNC = 0x47
_CODECS = {0x01: "mpeg2video", 0x02: "mpeg2video", 0x1B: "h264", 0x24: "hevc"}
_ENCRYPTED = frozenset({0xDB})
_TICK = Fraction(1, 90_000)
_WRAP = 1 << 33
_MAX_SECTION = 1024
_PAT_TABLE, _PMT_TABLE = 0, 2
_PES_HEAD = 9
_HAS_PTS, _HAS_BOTH = 0x80, 0xC0
_MAX_LOST = 64 * PACKET
"""Bytes without a packet in them before it is no MPEG-TS."""


class TsClock:
    """Undoes the wrapping of 33-bit times, for all segments of one stream."""

    def __init__(self) -> None:
        self._last: int | None = None

    def time(self, ticks: int) -> MediaTime:
        """These ticks of 90 kHz, on the turn of the counter that is nearest to the one before."""
        if self._last is not None:
            ticks = self._last + (ticks - self._last + _WRAP // 2) % _WRAP - _WRAP // 2
        self._last = ticks
        return MediaTime.of(ticks, _TICK)


class TsDemuxer:
    """Reads one segment, or the head of one. `feed` any number of times, then `finish` where the bytes end.

    A new one may go on with the tables and the configuration of the one `before`: not every part of a segment repeats
    them.
    """

    def __init__(self, clock: TsClock, before: TsDemuxer | None = None) -> None:
        self._clock = clock
        self.codec: str = before.codec if before else ""
        self.config: CodecConfig | None = before.config if before else None
        self._pmt_pid, self._video_pid = before.pids if before else (-1, -1)
        self.complete_at = 0
        """Bytes that had to be fed before the first key picture was complete, where `until_key` was asked for."""
        self._fed = 0
        self._rest = b""
        self._lost = 0
        self._section: bytearray | None = None
        self._tables = b""
        self._parts: list[bytes] = []
        self._times: tuple[MediaTime | None, MediaTime | None] = (None, None)
        self._delimited = False

    @property
    def pids(self) -> tuple[int, int]:
        """Where the table of tracks and the video are found; -1 where that is not known."""
        return self._pmt_pid, self._video_pid

    def feed(self, data: bytes, *, until_key: bool = False) -> list[Unit]:  # noqa: C901 - one loop, no calls: the cost
        """Take the next bytes and return the access units that are now complete.

        `until_key`: what follows the first key picture is not read, and nothing may be fed after it.

        Raises:
            NotMedia: it is no MPEG-TS.
            NoVideo: it has no video, or one that nobody decodes here.

        """
        base = self._fed - len(self._rest)
        self._fed += len(data)
        if self._rest:
            data = self._rest + data
        units: list[Unit] = []
        at, end, video = 0, len(data) - PACKET, self._video_pid
        while at <= end:
            if data[at] != _SYNC:
                at = self._resync(data, at)
                continue
            pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
            if pid == video:
                flags = data[at + 3]
                if flags & 0x10:
                    begin = at + 5 + data[at + 4] if flags & 0x20 else at + 4
                    payload = data[begin : at + PACKET] if begin < at + PACKET else b""
                    if data[at + 1] & 0x40:
                        if complete := self._begin(payload):
                            units += complete
                            if until_key and any(unit.key for unit in complete):
                                self.complete_at = base + at + PACKET
                                return units
                    elif self._parts:
                        self._parts.append(payload)
            elif pid in (0, self._pmt_pid):
                self._table(pid, data[at : at + PACKET])
                video = self._video_pid
            at += PACKET
        self._rest = data[at:]
        return units

    def finish(self) -> list[Unit]:
        """The bytes end here, and with them the last access unit. Raises as `feed`."""
        units = self._complete()
        if self._video_pid < 0:
            raise NotMedia("no tables in these bytes")
        return units

    def _resync(self, data: bytes, at: int) -> int:
        found = data.find(b"\x47", at + 1)
        while 0 <= found < len(data) - PACKET and data[found + PACKET] != _SYNC:
            found = data.find(b"\x47", found + 1)
        found = found if found >= 0 else len(data)
        self._lost += found - at
        if self._lost > _MAX_LOST:
            raise NotMedia("no MPEG-TS packets in these bytes")
        return found

    # --- tables ----------------------------------------------------------------------------------------------------

    def _table(self, pid: int, packet: bytes) -> None:
        """Collect a section; the same one comes again and again, and is read once."""
        if not packet[3] & 0x10:
            return
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40:
            section = payload[1 + payload[0] :] if payload else b""
            if pid == 0:
                self._programs(section)
                return
            self._section = bytearray(section)
        elif pid and self._section is not None:
            self._section += payload
        if pid and self._section is not None and len(self._section) >= 3:  # noqa: PLR2004
            length = 3 + ((self._section[1] & 0x0F) << 8 | self._section[2])
            if len(self._section) >= length or length > _MAX_SECTION:
                section, self._section = bytes(self._section[:length]), None
                if section != self._tables and length <= _MAX_SECTION:
                    self._tables = section
                    self._tracks(section)

    def _programs(self, section: bytes) -> None:
        if len(section) < 8 or section[0] != _PAT_TABLE:  # noqa: PLR2004
            return
        end = min(3 + ((section[1] & 0x0F) << 8 | section[2]) - 4, len(section))
        for at in range(8, end - 3, 4):
            if section[at] or section[at + 1]:  # program 0 is the network's own
                self._pmt_pid = (section[at + 2] & 0x1F) << 8 | section[at + 3]
                return

    def _tracks(self, section: bytes) -> None:
        if len(section) < 12 or section[0] != _PMT_TABLE:  # noqa: PLR2004
            return
        at = 12 + ((section[10] & 0x0F) << 8 | section[11])
        kinds: list[int] = []
        while at + 5 <= len(section) - 4:
            kind, pid = section[at], (section[at + 1] & 0x1F) << 8 | section[at + 2]
            if kind in _CODECS:
                if pid != self._video_pid or _CODECS[kind] != self.codec:
                    self._video_pid, self.codec, self._parts = pid, _CODECS[kind], []
                return
            kinds.append(kind)
            at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
        if _ENCRYPTED.intersection(kinds):
            raise NoVideo("the segments are encrypted for a rights manager")
        raise NoVideo("no video in this stream that is decoded here")

    # --- pictures --------------------------------------------------------------------------------------------------

    def _begin(self, payload: bytes) -> list[Unit]:
        """A new packet of the elementary stream: what was collected is complete, unless this goes on with it."""
        if len(payload) < _PES_HEAD or payload[:3] != b"\x00\x00\x01":
            self._parts = []
            return []
        body = payload[_PES_HEAD + payload[8] :]
        marked = begins_unit(self.codec, body)
        if self._delimited and not marked and self._parts and body:
            self._parts.append(body)
            return []
        units = self._complete()
        self._times = self._read_times(payload)
        self._parts = [body]
        self._delimited = self._delimited or marked
        return units

    def _read_times(self, payload: bytes) -> tuple[MediaTime | None, MediaTime | None]:
        marks = payload[7] & _HAS_BOTH
        if not marks & _HAS_PTS or len(payload) < 14:  # noqa: PLR2004
            return None, None
        if marks == _HAS_BOTH and len(payload) >= 19:  # noqa: PLR2004
            dts = self._clock.time(_stamp(payload, 14))
            return self._clock.time(_stamp(payload, 9)), dts
        pts = self._clock.time(_stamp(payload, 9))
        return pts, pts

    def _complete(self) -> list[Unit]:
        parts, self._parts = self._parts, []
        if not parts:
            return []
        data = b"".join(parts)
        pts, dts = self._times
        units: list[Unit] = []
        for one in split(self.codec, data):
            if len(one) > MAX_UNIT or not one:
                continue
            key = is_key(self.codec, one, self.config.extradata if self.config else b"")
            if key:
                self.config = in_band_config(self.codec, one, self.config)
            if self.config is not None:
                units.append(Unit(self.config, one, pts, dts, key))
            pts = dts = None
        return units


def _stamp(payload: bytes, at: int) -> int:
    b = payload[at : at + 5]
    return (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1
