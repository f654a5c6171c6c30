"""The HLS reader: the heads of segments where one look a segment is enough, the whole lowest rendition where it is not.

Everything runs on the event loop; nothing here decodes. Which of the two ways is taken is asked anew at each step,
because suspicion rises and falls. On the way from heads to whole segments the very segment whose head was shown is
fetched first, so that what was suspected can be looked at again at once.
"""

from __future__ import annotations

import asyncio
from enum import Enum

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import CodecUnsupported, Dropped, Stalled, Unreachable
from streamwatch.domain.streams import StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.base import Appetite, PacketSink
from streamwatch.sources.hls.demux import Demuxer
from streamwatch.sources.hls.follow import Follower
from streamwatch.sources.hls.http import Fetcher
from streamwatch.sources.hls.outlet import Outlet
from streamwatch.sources.hls.pace import Pace
from streamwatch.sources.hls.playlist import WORTH_LOOKING_AT, Part, Playlist, Segment
from streamwatch.sources.hls.segments import Missing, Segments
from streamwatch.sources.hls.units import NotMedia, NoVideo, Unit

OPEN_LIMIT_S = 40.0
"""Seconds until the first picture must have come."""
_LOST_SEGMENTS = 3
"""So many listed segments in a row that cannot be read: the stream does not deliver."""
_KEYLESS_HEADS = 2
"""Segments in a row without a key picture: heads show nothing here."""
_IDLE_TARGETS, _IDLE_S = 3, 10.0
"""The playlist is asked for at least so often, so that an end or a loss is noticed while no look is due."""
_GLANCE_S, _SOON_S = 2.0, 0.5
"""How often the appetite is asked for while waiting: a look that was just begun may change it soon."""
_FIRST_LEAD_S, _MIN_LEAD_S, _MAX_LEAD_S = 0.3, 0.1, 2.0
_LEAD = 1.5
_FRESH = 0.3


class _Step(Enum):
    ON = 0
    OVER = 1


class HlsReader:
    """Reads one stream once. `run` may be called once."""

    def __init__(
        self,
        spec: StreamSpec,
        *,
        policy: AddressPolicy,
        clock: Clock,
        rw_timeout_s: float = 5.0,
        open_limit_s: float = OPEN_LIMIT_S,
        min_height: int = WORTH_LOOKING_AT,
    ) -> None:
        """`rw_timeout_s` ends each wait for the network; `min_height`: lines under which a rendition is too small."""
        self._spec = spec
        self._clock = clock
        self._patience_s = 2 * rw_timeout_s
        self._open_limit_s = open_limit_s
        self._min_height = min_height
        self._fetcher = Fetcher(policy=policy, timeout_s=rw_timeout_s)
        self._segments = Segments(self._fetcher)
        self._demuxer = Demuxer()
        self._began = clock.monotonic()
        self._follower = self._follow(spec.url, child=False)
        self._whole = False
        self._lost = 0
        self._keyless = 0
        self._lead_s = _FIRST_LEAD_S
        self._seen = (-1, -1)
        """Number of the segment, and place in it, of the newest key picture that was shown."""

    async def run(self, sink: PacketSink) -> None:
        """See `Reader.run`. Cancelled: ends at once."""
        self._began = self._clock.monotonic()
        outlet = Outlet(sink)
        try:
            async with self._fetcher:
                await self._read(outlet)
        except Unreachable as e:
            if not outlet.media:
                raise
            raise Dropped(str(e)) from e  # a server that cannot be reached any more, after it delivered, broke off

    def _follow(self, url: SafeUrl, *, child: bool) -> Follower:
        return Follower(
            url=url,
            fetcher=self._fetcher,
            clock=self._clock,
            patience_s=self._patience_s,
            min_height=self._min_height,
            from_start=self._spec.fast,
            child=child,
        )

    async def _read(self, outlet: Outlet) -> None:
        follower = self._follower
        await follower.open()
        outlet.renditions = follower.renditions
        if follower.recorded:
            await self._play(outlet)
            return
        if follower.playlist.ended:
            return
        step = _Step.ON
        while step is _Step.ON:
            step = await (self._flow(outlet) if self._wants_whole(outlet) else self._look(outlet))
            if not outlet.media and self._clock.monotonic() - self._began > self._open_limit_s:
                raise Stalled(f"no media within {self._open_limit_s:.0f} s")

    # --- which way -------------------------------------------------------------------------------------------------

    def _wants_whole(self, outlet: Outlet) -> bool:
        wanted = self._keyless >= _KEYLESS_HEADS or self._needs_whole(outlet.sink.appetite(), outlet.key_at)
        if wanted and not self._whole:
            outlet.resume()
        elif self._whole and not wanted:
            self._seen = max(self._seen, (self._follower.next - 1, 1 << 30))
        self._whole = wanted
        return wanted

    def _needs_whole(self, appetite: Appetite, key_at: float) -> bool:
        if appetite.everything:
            return True
        target_s = self._follower.target_s
        if self._whole:
            return appetite.look_at <= self._clock.monotonic() + target_s
        return key_at < appetite.look_at < key_at + target_s

    # --- whole segments --------------------------------------------------------------------------------------------

    async def _flow(self, outlet: Outlet) -> _Step:
        """Read the next segment, or wait until one is listed."""
        follower = self._follower
        segment = follower.listed()
        if segment is None:
            if follower.playlist.ended:
                return self._over(outlet)
            await self._rest(follower.reload_at)
            await follower.reload()
            return _Step.ON
        follower.next = segment.number + 1
        await self._read_whole(segment, outlet, None)
        return _Step.ON

    async def _read_whole(self, segment: Segment, outlet: Outlet, pace: Pace | None) -> None:
        if not segment.uri:
            return
        try:
            track = await self._segments.track(segment, total_s=self._segment_s)
            data = await self._segments.whole(segment, total_s=self._segment_s)
            arrival, everything = self._clock.monotonic(), outlet.sink.appetite().everything
            for units in self._demuxer.units(data, track):
                for unit in units:
                    if pace is not None:
                        await self._play_unit(unit, outlet, pace)
                    else:
                        outlet.flow(unit, arrival, burst_s=self._follower.target_s, everything=everything)
                await asyncio.sleep(0)
        except (Missing, NotMedia, NoVideo) as e:
            self._lose(e, outlet)
        else:
            self._lost = 0
        outlet.settle()

    # --- heads -----------------------------------------------------------------------------------------------------

    async def _look(self, outlet: Outlet) -> _Step:
        """Wait until a look is due or the playlist was not asked for a while; then show the newest key picture."""
        follower = self._follower
        appetite = outlet.sink.appetite()
        now = self._clock.monotonic()
        idle_at = follower.loaded_at + max(_IDLE_TARGETS * follower.target_s, _IDLE_S)
        due_at = appetite.look_at - self._lead_s
        newest = _newest(follower.playlist, self._seen)
        fresh = newest is not None and now < follower.reload_at
        wake_at = due_at if fresh else max(follower.reload_at, min(due_at, idle_at))
        if newest is None and follower.playlist.ended:
            return self._over(outlet)
        if wake_at > now:
            await self._rest(min(wake_at, now + (_SOON_S if now - outlet.key_at < 1 else _GLANCE_S)))
            return _Step.ON
        began = now
        if not fresh:
            grew = await follower.reload()
            if grew and outlet.media:
                outlet.sink.skipped(0)  # nothing of it was fetched, but the stream is alive
            newest = _newest(follower.playlist, self._seen)
        if newest is not None and (due_at <= now or follower.playlist.ended):
            self._seen = newest.segment.number, newest.place
            follower.next = max(follower.next, newest.segment.number)
            await self._show(newest.segment, outlet)
            spent = self._clock.monotonic() - began
            self._lead_s += _FRESH * (min(max(_LEAD * spent, _MIN_LEAD_S), _MAX_LEAD_S) - self._lead_s)
        return _Step.ON

    async def _show(self, segment: Segment, outlet: Outlet) -> None:
        before = self._segments.fetched
        try:
            track = await self._segments.track(segment, total_s=self._segment_s)
            head = await self._segments.head(segment, total_s=self._segment_s)
            key = await self._demuxer.key(head, track)
        except (Missing, NotMedia, NoVideo) as e:
            self._lose(e, outlet)
            return
        self._lost = 0
        self._keyless = 0 if key else self._keyless + 1
        outlet.passed += self._segments.fetched - before - (len(key.data) if key else 0)
        if key is not None:
            target_s = self._follower.target_s
            outlet.alone(key, self._clock.monotonic(), burst_s=max(_IDLE_TARGETS * target_s, _IDLE_S) + target_s)
        outlet.settle()

    # --- recordings ------------------------------------------------------------------------------------------------

    async def _play(self, outlet: Outlet) -> None:
        follower = self._follower
        pace = Pace(clock=self._clock, fast=self._spec.fast)
        while (segment := follower.listed()) is not None:
            follower.next = segment.number + 1
            await self._read_whole(segment, outlet, pace)
        self._over(outlet)

    async def _play_unit(self, unit: Unit, outlet: Outlet, pace: Pace) -> None:
        time = unit.dts or unit.pts
        arrival = await pace.arrival(None if time is None else time.seconds)
        everything = outlet.sink.appetite().everything
        burst_s = self._follower.target_s
        if self._spec.fast:  # there the sink may wait until its look is done, which this loop must notice
            await asyncio.to_thread(outlet.flow, unit, arrival, burst_s=burst_s, everything=everything)
        else:
            outlet.flow(unit, arrival, burst_s=burst_s, everything=everything)

    # --- common ----------------------------------------------------------------------------------------------------

    @property
    def _segment_s(self) -> float:
        return max(self._patience_s, 2 * self._follower.target_s)

    async def _rest(self, until: float) -> None:
        await self._clock.sleep(max(0.0, until - self._clock.monotonic()))

    def _lose(self, why: Exception, outlet: Outlet) -> None:
        """One segment is no reason to give up the stream; several are."""
        if isinstance(why, NoVideo) and not outlet.media:
            raise CodecUnsupported(str(why)) from why
        self._lost += 1
        if self._lost >= _LOST_SEGMENTS:
            raise Dropped(f"segments that are listed and cannot be read ({why})") from why

    def _over(self, outlet: Outlet) -> _Step:
        if self._lost and not outlet.media:
            raise CodecUnsupported("no segment of this stream could be read")
        return _Step.OVER


def _newest(playlist: Playlist, seen: tuple[int, int]) -> Part | None:
    """The newest place where a key picture is to be found, if it is newer than what was `seen`."""
    last = next((Part(segment, 0) for segment in reversed(playlist.segments) if segment.uri), None)
    part = playlist.part
    found = [p for p in (last, part) if p is not None and (p.segment.number, p.place) > seen]
    return max(found, key=lambda p: (p.segment.number, p.place)) if found else None
