"""Follows one playlist: which segments there are now, when to ask again, whether the stream is over."""

from __future__ import annotations

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import CodecUnsupported, Dropped, PolicyRefused, Refused, StreamError
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.hls.http import Answer, Fetcher, Validators
from streamwatch.sources.hls.listed import Segment
from streamwatch.sources.hls.playlist import (
    MAX_BYTES,
    WORTH_LOOKING_AT,
    NotAPlaylist,
    Playlist,
    Rendition,
    lowest,
    parse,
)

ASSUMED_TARGET_S = 6.0
"""Target duration while none is known."""
GRACE_TARGETS = 3
"""Target durations for which "not found" must last before it means that the stream ended."""
EDGE = 3
"""Segments behind the live edge beyond which older ones are passed over."""

_NOT_FOUND = frozenset({404, 410})
_STALE_COPIES = 2
"""Playlists in a row that end before the segments already read: an old copy once, a new count twice."""
_MIN_POLL_S = 0.5
_MAX_NESTED = 2
_MAX_RENDITIONS = 100


class Follower:
    """Follows one stream from the playlist that was configured to the one that lists segments."""

    def __init__(
        self,
        *,
        url: SafeUrl,
        fetcher: Fetcher,
        clock: Clock,
        patience_s: float,
        min_height: int = WORTH_LOOKING_AT,
        from_start: bool = False,
        child: bool = False,
    ) -> None:
        """`patience_s`: limit of one request. `from_start`: read an ended playlist as a recording, from its start.

        `child`: the address was named by the network, not by the configuration.
        """
        self._url = url
        self._fetcher = fetcher
        self._clock = clock
        self._patience_s = patience_s
        self._min_height = min_height
        self._from_start = from_start
        self._child = child
        self._validators: Validators = ("", "")
        self._body = 0
        self._unchanged = False
        self._behind = 0
        self.playlist = Playlist(target_s=ASSUMED_TARGET_S)
        self.loaded_at = self._grew_at = float("-inf")
        self.renditions: tuple[tuple[int, int], ...] = ()
        self.pictures: Rendition | None = None
        """A playlist of key pictures alone that serves as well as this one."""
        self.recorded = False
        """It was never live: to be played at its own pace."""
        self.next = 0
        """Number of the next segment to be read whole."""
        self.skipped_segments = 0
        """Segments passed over: they fell out of the playlist before they were read."""

    @property
    def target_s(self) -> float:
        """The playlist's target duration in seconds."""
        return self.playlist.target_s

    @property
    def stale_s(self) -> float:
        """Seconds between the newest answer and the one that last brought anything new."""
        return self.loaded_at - self._grew_at

    @property
    def reload_at(self) -> float:
        """When the protocol allows to ask again: after a target duration, after half of it where nothing was new."""
        pause = self.target_s / 2 if self._unchanged else self.target_s
        return self.loaded_at + max(_MIN_POLL_S, pause)

    async def open(self) -> None:
        """Fetch the playlists down to the one that lists segments, and decide where to begin.

        Raises: as `Fetcher.get`; CodecUnsupported where it is no HLS stream that can be read.
        """
        answer = await self._get(self._url, child=self._child)
        playlist = self._parse(answer)
        for _ in range(_MAX_NESTED):
            if not playlist.renditions:
                break
            self.renditions = tuple((r.width, r.height) for r in playlist.renditions if r.width)[:_MAX_RENDITIONS]
            chosen = lowest(playlist.renditions, self._min_height)
            self.pictures = _pictures(playlist, chosen, self._min_height)
            answer = await self._get(_address(chosen), child=True)
            playlist = self._parse(answer)
        if playlist.renditions:
            raise CodecUnsupported("a main playlist that leads only to main playlists")
        self._url, self._child = answer.url, True
        self._take(playlist, answer)
        self.recorded = playlist.ended and (playlist.recorded or self._from_start)
        self.next = playlist.first
        if not self.recorded:
            self.to_edge()

    async def reload(self) -> bool:
        """Ask once more; True where there are segments that were not there before. Raises as `open`."""
        before = self.playlist.next_number
        answer = await self._get(self._url, child=True, since=self._validators)
        if answer.unchanged or hash(answer.body) == self._body:
            self._unchanged = True
            self.loaded_at = self._clock.monotonic()
            return False
        try:
            playlist = self._parse(answer)
        except CodecUnsupported as e:  # it was one a moment ago: an error page, or an answer cut short
            raise Dropped(f"the playlist is none any more ({e})") from e
        if playlist.renditions:
            raise Dropped("the media playlist turned into a main playlist")
        self._take(playlist, answer)
        return self.playlist.next_number > before

    def listed(self) -> Segment | None:
        """The next segment to be read whole, None where it is not listed yet."""
        playlist = self.playlist
        first = playlist.first if self.recorded else max(playlist.first, playlist.next_number - EDGE)
        if not playlist.segments:
            return None
        if self.next < first:
            self.skipped_segments += first - self.next
            self.next = first
        index = self.next - playlist.first
        return playlist.segments[index] if index < len(playlist.segments) else None

    def to_edge(self) -> None:
        """Go on with the newest segment."""
        self.next = max(self.playlist.first, self.playlist.next_number - 1)

    def _take(self, playlist: Playlist, answer: Answer) -> None:
        fresh = self.loaded_at != float("-inf")
        part, before = playlist.part, self.playlist
        self._unchanged = fresh and playlist.next_number == before.next_number and part == before.part
        self._behind = self._behind + 1 if fresh and playlist.next_number < self.next else 0
        if self._behind >= _STALE_COPIES:
            # Not merely an old copy from a cache: another publication under the same address.
            raise Dropped("the playlist began anew")
        self.playlist = playlist
        self.loaded_at = self._clock.monotonic()
        self._grew_at = self._grew_at if self._unchanged else self.loaded_at
        self._validators = answer.validators
        self._body = hash(answer.body)

    async def _get(self, url: SafeUrl, *, child: bool, since: Validators = ("", "")) -> Answer:
        answer = await self._fetcher.get(url, child=child, limit=MAX_BYTES, total_s=self._patience_s, since=since)
        if answer.ok or (answer.unchanged and any(since)):
            return answer
        raise self._no(answer.status)

    def _no(self, status: int) -> StreamError:
        if status in _NOT_FOUND:
            return Refused(f"HTTP {status}", grace_s=GRACE_TARGETS * self.target_s)
        # Not allowed, or out of order: neither says that the stream ended, however long it lasts.
        return Refused(f"HTTP {status}", grace_s=float("inf"))

    @staticmethod
    def _parse(answer: Answer) -> Playlist:
        try:
            return parse(answer.body, answer.url.reveal())
        except NotAPlaylist as e:
            raise CodecUnsupported(f"not an HLS playlist: {e}") from e


def _pictures(playlist: Playlist, chosen: Rendition, min_height: int) -> Rendition | None:
    """The list of key pictures that fits the chosen rendition: large enough, and no larger than that."""
    least, most = min(min_height, chosen.height), chosen.width * chosen.height
    fitting = [r for r in playlist.pictures if r.height and r.height >= least and r.width * r.height <= most]
    return min(fitting, key=lambda r: (r.width * r.height, r.bandwidth)) if fitting else None


def _address(of: Rendition) -> SafeUrl:
    try:
        return SafeUrl(of.url)
    except ValueError as e:
        raise PolicyRefused("an address that cannot be read safely is not opened") from e
