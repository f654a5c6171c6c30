"""Segments of either kind to access units: which container it is, and what stays known from one segment to the next."""

from __future__ import annotations

from collections.abc import Iterator

from streamwatch.sources.hls import fmp4
from streamwatch.sources.hls.fmp4 import Need, Track
from streamwatch.sources.hls.segments import Head
from streamwatch.sources.hls.ts import TsClock, TsDemuxer
from streamwatch.sources.hls.units import NotMedia, NoVideo, Unit

_SLICE = 1024 * 188
"""Bytes of MPEG-TS that are read at once: about two milliseconds."""
_MAX_HEAD = 8 << 20
"""Bytes of a segment in which its first key picture must be complete."""
_FIRST_GUESS = 64 << 10
_STEP = 16 << 10
_MAX_UNITS = 20_000
"""In one segment; each costs as much as a packet of a live stream."""
_GENEROUS = 1.15
"""A key picture is rarely so much larger than the ones before it; asking a second time costs more than these bytes."""
_FRESH = 0.3
_BOXES = frozenset({b"ftyp", b"styp", b"moof", b"sidx", b"moov", b"emsg", b"prft"})


def is_mp4(head: bytes) -> bool:
    """Whether a segment that begins so is fragmented MP4 rather than MPEG-TS.

    Raises NoVideo where it is neither.
    """
    if head[:1] == b"\x47":
        return False
    if head[4:8] in _BOXES:
        return True
    raise NoVideo("HLS segments that are neither MPEG-TS nor fragmented MP4")


class Demuxer:
    """Reads the segments of one playlist, one after the other or only their heads."""

    def __init__(self) -> None:
        self._clock = TsClock()
        self._before: TsDemuxer | None = None
        self._track: Track | None = None
        self._guess = 0.0

    def units(self, data: bytes, track: Track | None) -> Iterator[list[Unit]]:
        """The access units of a whole segment, some at a time, so that others may have a turn in between.

        Raises NotMedia, NoVideo.
        """
        if not is_mp4(data):
            demuxer = TsDemuxer(self._clock, self._before)
            count = 0
            for at in range(0, len(data), _SLICE):
                units = demuxer.feed(data[at : at + _SLICE])
                yield units
                count += len(units)
                if count > _MAX_UNITS:
                    raise NotMedia("more pictures than anybody could mean")
            yield demuxer.finish()
            self._before = demuxer
            return
        known = track or fmp4.read_track(data) or self._track
        if known is None:
            raise NotMedia("fragments without an initialisation segment")
        self._track = known
        for unit in fmp4.units(data, known):
            yield [unit]

    async def key(self, head: Head, track: Track | None, *, size: int = 0) -> Unit | None:
        """Fetch as much of a segment as its first key picture takes, and return that; None where it has none.

        `size`: bytes to begin with, where they are known.

        Raises: as `Head.more`, NoVideo.
        """
        data = await head.more(size or round(self._guess * _GENEROUS) or _FIRST_GUESS)
        return await (self._mp4_key(head, data, track) if is_mp4(data) else self._ts_key(head, data))

    async def _ts_key(self, head: Head, data: bytes) -> Unit | None:
        demuxer = TsDemuxer(self._clock, self._before)
        got = 0
        while True:
            got += len(data)
            found = demuxer.feed(data, until_key=True)
            if head.over and not demuxer.complete_at:
                found += demuxer.finish()
            key = next((unit for unit in found if unit.key), None)
            if key is not None:
                self._learn(demuxer.complete_at or got)
            if key is not None or head.over or got > _MAX_HEAD:
                self._before = demuxer if demuxer.config else self._before
                return key
            data = await head.more(max(_STEP, got // 4))

    async def _mp4_key(self, head: Head, data: bytes, track: Track | None) -> Unit | None:
        known = track or fmp4.read_track(data) or self._track
        if known is None:
            raise NotMedia("fragments without an initialisation segment")
        self._track = known
        while len(data) <= _MAX_HEAD:
            found = fmp4.first_key(data, known)
            end = found.offset + (found.size or _STEP if isinstance(found, Need) else found.size)
            if not isinstance(found, Need) and end <= len(data):
                self._learn(end)
                return fmp4.unit(known, found, data[found.offset : end])
            if head.over or end > _MAX_HEAD:
                return None
            data += await head.more(max(end - len(data), 1))
        return None

    def _learn(self, size: int) -> None:
        self._guess = size if not self._guess else self._guess + _FRESH * (size - self._guess)
