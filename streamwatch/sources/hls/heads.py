"""One look a segment: between two looks the reader sleeps, then it fetches the newest key picture and nothing else.

Where the server lists key pictures alone, or parts of segments that can be decoded on their own, the newest of those is
taken; else the head of the newest segment.
"""

from __future__ import annotations

from contextlib import suppress

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import StreamError
from streamwatch.sources.base import Appetite
from streamwatch.sources.hls.follow import Follower
from streamwatch.sources.hls.listed import Part
from streamwatch.sources.hls.outlet import Outlet
from streamwatch.sources.hls.playlist import Playlist
from streamwatch.sources.hls.supply import Supply

_IDLE_TARGETS, _IDLE_S = 3, 10.0
"""The playlist is asked for at least so often, so that an end or a loss is noticed while no look is due."""
_SOON_S, _GLANCE_S = 0.7, 3.0
"""How often the appetite is asked for while waiting; a look that was just begun may change it soon."""
_FIRST_LEAD_S, _MIN_LEAD_S, _MAX_LEAD_S = 0.3, 0.1, 2.0
"""By how much fetching begins before the picture should be there."""
_LEAD = 1.5
_FRESH = 0.3
_END = 1 << 30


class Heads:
    """Looks at the newest key picture whenever one is due. `step` raises StreamError as `Supply` and `Follower` do."""

    def __init__(self, main: Follower, supply: Supply, clock: Clock) -> None:
        """`main` lists the segments; it knows of a list of key pictures where there is one."""
        self._main = main
        self._list = main
        self._supply = supply
        self._clock = clock
        self._lead_s = _FIRST_LEAD_S
        self._seen = (-1, -1)
        """Number of the segment, and place in it, of the newest key picture that was shown."""
        self._newest: Part | None = None
        self._without = False
        """The list of key pictures did not serve."""

    async def begin(self, pictures: Follower | None, *, after: int) -> None:
        """From now on this way; all segments before the number `after` were shown already.

        `pictures` is used while it serves: what it lacks is found in the main list.
        """
        self._list = self._main
        self._seen = (after - 1, _END)
        if pictures is not None and not self._without:
            with suppress(StreamError):
                await (pictures.reload() if pictures.playlist.segments else pictures.open())
                if pictures.playlist.pictures_only:
                    self._list = pictures
                    self._seen = (pictures.playlist.next_number - 1 if after else -1, _END)
        self._newest = _newest(self._list.playlist, self._seen)

    @property
    def fresh(self) -> bool:
        """Whether the main list was followed, so that it is as new as what was shown."""
        return self._list is self._main

    async def step(self, outlet: Outlet, appetite: Appetite) -> bool:
        """Sleep a while, or look; False when the stream is over."""
        if self._list is self._main:
            return await self._step(outlet, appetite)
        try:
            on = await self._step(outlet, appetite)
        except StreamError:
            on, self._without = True, True
        if self._without or self._list.stale_s > idle_s(self._list.target_s):
            self._without = True
            await self._main.reload()
            await self.begin(None, after=self._main.playlist.next_number - 1)
        return on

    async def _step(self, outlet: Outlet, appetite: Appetite) -> bool:
        listed = self._list
        now = self._clock.monotonic()
        if self._newest is None and listed.playlist.ended:
            self._supply.over()
            return False
        due_at = appetite.look_at - self._lead_s
        reload_at = listed.reload_at
        at_hand = self._newest is not None and (now < reload_at or listed.playlist.ended)
        if listed.playlist.ended:
            due_at = now
        idle_at = listed.loaded_at + idle_s(listed.target_s)
        wake_at = due_at if at_hand and due_at < reload_at else max(reload_at, min(due_at, idle_at))
        if wake_at > now:
            glance_s = _SOON_S if now - outlet.key_at < _SOON_S else _GLANCE_S
            await self._clock.sleep(min(wake_at - now, glance_s))
            return True
        if not at_hand:
            grew = await listed.reload()
            if grew and outlet.media:
                outlet.sink.skipped(0)  # nothing of it was fetched, but the stream is alive
            self._newest = _newest(listed.playlist, self._seen)
        if self._newest is not None and due_at <= now:
            await self._look(self._newest, outlet)
            spent_s = self._clock.monotonic() - now
            self._lead_s += _FRESH * (min(max(_LEAD * spent_s, _MIN_LEAD_S), _MAX_LEAD_S) - self._lead_s)
        return True

    async def _look(self, newest: Part, outlet: Outlet) -> None:
        listed = self._list
        self._seen = newest.segment.number, newest.place
        self._newest = None
        if listed is self._main:
            listed.next = max(listed.next, newest.segment.number)
        before = self._supply.fetched
        exact = listed.playlist.pictures_only
        key = await self._supply.key(newest.segment, target_s=listed.target_s, exact=exact)
        outlet.passed += self._supply.fetched - before - (len(key.data) if key else 0)
        if key is None:
            self._without = self._without or listed is not self._main
        else:
            burst_s = idle_s(listed.target_s) + listed.target_s
            outlet.alone(key, self._clock.monotonic(), burst_s=burst_s)
        outlet.settle()


def idle_s(target_s: float) -> float:
    """Seconds for which the playlist is not asked for while no look is due."""
    return max(_IDLE_TARGETS * target_s, _IDLE_S)


def _newest(playlist: Playlist, seen: tuple[int, int]) -> Part | None:
    """The newest place where a key picture is to be found, if it is newer than what was `seen`."""
    last = next((Part(segment, 0) for segment in reversed(playlist.segments) if segment.uri), None)
    found = [p for p in (last, playlist.part) if p is not None and (p.segment.number, p.place) > seen]
    return max(found, key=lambda p: (p.segment.number, p.place)) if found else None
