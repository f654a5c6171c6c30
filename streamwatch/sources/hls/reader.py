"""The HLS reader: the heads of segments where one look a segment is enough, the whole lowest rendition where it is not.

Everything runs on the event loop; nothing here decodes. Which of the two ways is taken is asked anew at each step,
because suspicion rises and falls. On the way from heads to whole segments the very segment whose head was shown is
fetched first, so that what was suspected can be looked at again at once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import Dropped, Stalled, Unreachable
from streamwatch.domain.streams import StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.base import Appetite, PacketSink
from streamwatch.sources.hls.follow import Follower
from streamwatch.sources.hls.heads import Heads
from streamwatch.sources.hls.http import Fetcher
from streamwatch.sources.hls.outlet import Outlet
from streamwatch.sources.hls.pace import Pace
from streamwatch.sources.hls.playlist import WORTH_LOOKING_AT
from streamwatch.sources.hls.supply import Supply

OPEN_LIMIT_S = 40.0
"""Seconds until the first picture must have come."""
_KEYLESS_HEADS = 2
"""Segments in a row that do not begin with a key picture: heads show nothing here."""


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
        """`rw_timeout_s`: limit of a connect, and half of that of a request; `min_height`: lines that show enough."""
        self._spec = spec
        self._clock = clock
        self._patience_s = 2 * rw_timeout_s
        self._open_limit_s = open_limit_s
        self._min_height = min_height
        self._fetcher = Fetcher(policy=policy, timeout_s=rw_timeout_s)
        self._supply = Supply(self._fetcher, patience_s=self._patience_s)
        self._follower = self._follow(spec.url, child=False)
        self._pictures: Follower | None = None
        self._heads = Heads(self._follower, self._supply, clock)
        self._whole: bool | None = None
        """Which way is taken; None before the first step."""

    async def run(self, sink: PacketSink) -> None:
        """See `Reader.run`. Cancelled: ends at once."""
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
        began = self._clock.monotonic()
        follower = self._follower
        await follower.open()
        outlet.renditions = follower.renditions
        if follower.recorded:
            await self._play(outlet)
            return
        if follower.playlist.ended:
            return
        if follower.pictures is not None:
            with suppress(ValueError):  # an address that cannot be read: the segments have key pictures too
                self._pictures = self._follow(SafeUrl(follower.pictures.url), child=True)
        on = True
        while on:
            appetite = outlet.sink.appetite()
            on = await (
                self._flow(outlet) if await self._goes_whole(outlet, appetite) else self._heads.step(outlet, appetite)
            )
            if not outlet.media and self._clock.monotonic() - began > self._open_limit_s:
                raise Stalled(f"no media within {self._open_limit_s:.0f} s")

    async def _goes_whole(self, outlet: Outlet, appetite: Appetite) -> bool:
        wanted = self._supply.keyless >= _KEYLESS_HEADS or self._needs_whole(appetite, outlet.key_at)
        if wanted and not self._whole:
            outlet.resume()
            if self._whole is not None and not self._heads.fresh:
                await self._follower.reload()
                self._follower.to_edge()
        elif self._whole is not False and not wanted:
            await self._heads.begin(self._pictures, after=self._follower.next if self._whole else 0)
        self._whole = wanted
        return wanted

    def _needs_whole(self, appetite: Appetite, key_at: float) -> bool:
        """Whether a look a segment is not enough. Heads go on until a look says when the next one falls due."""
        if appetite.everything and not appetite.lookback_only:
            return True
        target_s = self._follower.target_s
        if self._whole:
            return appetite.look_at <= self._clock.monotonic() + target_s
        return key_at < appetite.look_at < key_at + target_s

    async def _flow(self, outlet: Outlet) -> bool:
        """Read the next segment whole, or wait until one is listed; False when the stream is over."""
        follower = self._follower
        segment = follower.listed()
        if segment is None:
            if follower.playlist.ended:
                self._supply.over()
                return False
            await self._clock.sleep(max(0.0, follower.reload_at - self._clock.monotonic()))
            await follower.reload()
            return True
        follower.next = segment.number + 1
        async for units in self._supply.units(segment, target_s=follower.target_s):
            arrival, everything = self._clock.monotonic(), outlet.sink.appetite().everything
            for unit in units:
                outlet.flow(unit, arrival, burst_s=follower.target_s, everything=everything)
        outlet.settle()
        return True

    async def _play(self, outlet: Outlet) -> None:
        """A recording, from its start, at its own pace; fast: as fast as the sink takes it."""
        follower = self._follower
        burst_s = follower.target_s
        pace = Pace(clock=self._clock, fast=self._spec.fast)
        while (segment := follower.listed()) is not None:
            follower.next = segment.number + 1
            async for units in self._supply.units(segment, target_s=burst_s):
                for unit in units:
                    time = unit.dts or unit.pts
                    arrival = await pace.arrival(None if time is None else time.seconds)
                    everything = outlet.sink.appetite().everything
                    if self._spec.fast:  # there the sink may wait for a look whose end this loop must notice
                        await asyncio.to_thread(outlet.flow, unit, arrival, burst_s=burst_s, everything=everything)
                    else:
                        outlet.flow(unit, arrival, burst_s=burst_s, everything=everything)
            outlet.settle()
        self._supply.over()
