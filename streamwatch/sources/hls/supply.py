"""Segments to access units: what was fetched is demuxed, and segments that cannot be read are counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from streamwatch.domain.errors import CodecUnsupported, Dropped
from streamwatch.sources.hls.demux import Demuxer
from streamwatch.sources.hls.http import Fetcher
from streamwatch.sources.hls.listed import Segment
from streamwatch.sources.hls.segments import Missing, Segments
from streamwatch.sources.hls.units import NotMedia, NoVideo, Unit

LOST_SEGMENTS = 3
"""So many listed segments in a row that cannot be read: the stream does not deliver."""


class Supply:
    """One stream's segments. Raises StreamError alone: as `Fetcher.get`, CodecUnsupported, Dropped."""

    def __init__(self, fetcher: Fetcher, *, patience_s: float) -> None:
        """`patience_s`: limit of one request, longer where segments are long."""
        self._segments = Segments(fetcher)
        self._demuxer = Demuxer()
        self._patience_s = patience_s
        self._delivered = False
        self._lost = 0
        self.keyless = 0
        """Segments in a row in which no key picture was found near the beginning."""

    @property
    def fetched(self) -> int:
        """Bytes of segments received so far."""
        return self._segments.fetched

    async def units(self, segment: Segment, *, target_s: float) -> AsyncIterator[list[Unit]]:
        """Fetch it whole; its access units, some at a time. Nothing, where it cannot be read."""
        if not segment.uri:
            return
        total_s = max(self._patience_s, 2 * target_s)
        try:
            track = await self._segments.track(segment, total_s=total_s)
            data = await self._segments.whole(segment, total_s=total_s)
            for units in self._demuxer.units(data, track):
                self._delivered = self._delivered or bool(units)
                yield units
                await asyncio.sleep(0)  # others have a turn
        except (Missing, NotMedia, NoVideo) as e:
            self._lose(e)
        else:
            self._lost = 0

    async def key(self, segment: Segment, *, target_s: float, exact: bool = False) -> Unit | None:
        """Fetch as much of it as its first key picture takes, and return that; None where there is none.

        `exact`: the segment is nothing but a key picture.
        """
        total_s = max(self._patience_s, 2 * target_s)
        try:
            track = await self._segments.track(segment, total_s=total_s)
            head = await self._segments.head(segment, total_s=total_s)
            size = segment.span[1] if exact and segment.span else 0
            key = await self._demuxer.key(head, track, size=size)
        except (Missing, NotMedia, NoVideo) as e:
            self._lose(e)
            return None
        self._lost = 0
        self._delivered = self._delivered or key is not None
        self.keyless = 0 if key else self.keyless + 1
        return key

    def over(self) -> None:
        """The stream ended. Raises CodecUnsupported where not one of its segments could be read."""
        if self._lost and not self._delivered:
            raise CodecUnsupported("no segment of this stream could be read")

    def _lose(self, why: Exception) -> None:
        """One segment is no reason to give up the stream; several are."""
        if isinstance(why, NoVideo) and not self._delivered:
            raise CodecUnsupported(str(why)) from why
        self._lost += 1
        if self._lost >= LOST_SEGMENTS:
            raise Dropped(f"segments that are listed and cannot be read ({why})") from why
