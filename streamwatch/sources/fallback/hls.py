"""A live HLS stream as a run of bytes: follows the playlist and hands the segments, one after the other, to a demuxer.

The demuxer's own thread asks for bytes (`HlsPart.read`) and does the fetching in that call, so there is no queue
between the two and nothing to overflow. FFmpeg's HLS demuxer is not used: it opens every rendition, its reload loop
ends only when the server says so, and its host checks would have to be ours anyway.

One `HlsPart` is a stretch that one demuxer can read: it ends where the playlist says that the format may change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from streamwatch.domain.errors import CodecUnsupported, Dropped, PolicyRefused, Refused, StreamError
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.fallback.fetch import Cancelled, Fetcher, Response
from streamwatch.sources.hls.listed import Segment
from streamwatch.sources.hls.playlist import MAX_BYTES, NotAPlaylist, Playlist, Rendition, lowest, parse

_MAX_HEAD = 4 << 20
"""Bytes of an initialisation part."""
MAX_SEGMENT = 48 << 20
"""Bytes; a segment is held in memory whole, and 10 s at 25 Mbit/s are 31 MB."""
ASSUMED_TARGET_S = 6.0
"""Target duration while none is known."""
GRACE_TARGETS = 3
"""Target durations for which "not found" must last before it means that the stream ended."""

_NOT_FOUND = frozenset({404, 410})
_STALE_COPIES = 2
"""Playlists in a row that end before the segments already read: an old copy once, a new count twice."""
_MIN_POLL_S = 0.5
_MAX_NESTED = 2
_LOST_SEGMENTS = 3
"""So many listed segments in a row that cannot be fetched: the stream does not deliver."""


class HlsFollower:
    """Follows one stream. Lives in the reader's thread; `stop` may be set by any."""

    def __init__(
        self,
        *,
        url: SafeUrl,
        fetcher: Fetcher,
        stop: threading.Event,
        patience_s: float,
        from_start: bool = False,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """`patience_s`: limit of one request. `from_start`: read an ended playlist as a recording, from its start."""
        self._url = url
        self._fetcher = fetcher
        self._stop = stop
        self._patience_s = patience_s
        self._from_start = from_start
        self._wait = wait or stop.wait
        self._playlist: Playlist | None = None
        self._loaded_at = 0.0
        self._unchanged = False
        self._next = 0
        self._head = ""
        self._lost = 0
        self._behind = 0
        self.renditions: tuple[tuple[int, int], ...] = ()
        self.skipped_segments = 0
        """Segments passed over: fell out of the playlist before they were read, or could not be fetched."""
        self.finished = False
        """The server said that the stream ended."""
        self.recorded = False
        """It was never live: to be played at its own pace."""

    @property
    def target_s(self) -> float:
        """The playlist's target duration in seconds."""
        return self._playlist.target_s if self._playlist else ASSUMED_TARGET_S

    def open(self) -> None:
        """Fetch the playlists down to the one that lists segments, and decide where to begin.

        Raises: as `Fetcher.get`; CodecUnsupported where it is no HLS stream that can be read.
        """
        answer = self._get(self._url, child=False)
        playlist = self._parse(answer)
        for _ in range(_MAX_NESTED):
            if not playlist.renditions:
                break
            self.renditions = tuple((r.width, r.height) for r in playlist.renditions if r.width)[:100]
            answer = self._get(_address(lowest(playlist.renditions)), child=True)
            playlist = self._parse(answer)
        if playlist.renditions:
            raise CodecUnsupported("a main playlist that leads only to main playlists")
        self._url = answer.url
        self._take(playlist)
        self.recorded = playlist.ended and (playlist.recorded or self._from_start)
        if playlist.ended and not self.recorded:
            self._next = playlist.next_number  # it was over before we came: nothing of it is live
        elif not self.recorded:
            self._next = max(playlist.first, playlist.next_number - 1)
        else:
            self._next = playlist.first

    def next_part(self) -> HlsPart | None:
        """The next stretch of bytes, or None when the stream is over. Waits until there is one."""
        first = self._segment(new_part=True)
        return None if first is None else HlsPart(self, first)

    def within(self) -> Segment | None:
        """The next segment of the present part, None where the part ends."""
        return self._segment(new_part=False)

    def fetch(self, segment: Segment) -> bytes | None:
        """The bytes of a segment, None where it is lost: one segment is no reason to give up the stream."""
        if segment.encrypted:
            raise CodecUnsupported("the segments are encrypted: the reader has no key")
        if not segment.uri:
            return None
        answer = self._fetcher.get(
            _address(segment), child=True, limit=MAX_SEGMENT, total_s=self._segment_time(), span=segment.span
        )
        if not answer.ok:
            self.skipped_segments += 1
            self._lost += 1
            if self._lost >= _LOST_SEGMENTS:
                raise Dropped(f"segments that are listed and not there (HTTP {answer.status})")
            return None
        self._lost = 0
        return _cut(answer, segment.span)

    def fetch_map(self, segment: Segment) -> bytes:
        """The initialisation part of fragmented MP4, empty for MPEG-TS."""
        try:
            url, span = SafeUrl(segment.map_url), segment.map_span
        except ValueError as e:
            raise CodecUnsupported("an initialisation segment whose address cannot be read") from e
        if not url.reveal():
            return b""
        answer = self._fetcher.get(url, child=True, limit=_MAX_HEAD, total_s=self._segment_time(), span=span)
        if not answer.ok:
            raise Dropped(f"the initialisation segment is not there (HTTP {answer.status})")
        return _cut(answer, span)

    def _segment_time(self) -> float:
        return max(self._patience_s, 2 * self.target_s)

    def _segment(self, *, new_part: bool) -> Segment | None:
        while True:
            found = self._listed()
            if found is None:
                if self._playlist is not None and self._playlist.ended:
                    self.finished = True
                    return None
                self._reload()
                continue
            if not new_part and (found.discontinuity or found.head != self._head):
                return None
            self._head = found.head
            self._next = found.number + 1
            return found

    def _listed(self) -> Segment | None:
        playlist = self._playlist
        if playlist is None or not playlist.segments:
            return None
        if self._next < playlist.first:
            self.skipped_segments += playlist.first - self._next
            self._next = playlist.first
        index = self._next - playlist.first
        return playlist.segments[index] if index < len(playlist.segments) else None

    def _reload(self) -> None:
        """Wait as long as the protocol asks for, then read the playlist again."""
        pause = self.target_s / 2 if self._unchanged else self.target_s
        self._sleep(max(_MIN_POLL_S, self._loaded_at + pause - time.monotonic()))
        playlist = self._parse(self._get(self._url, child=True))
        if playlist.renditions:
            raise Dropped("the media playlist turned into a main playlist")
        self._take(playlist)

    def _take(self, playlist: Playlist) -> None:
        before = self._playlist
        self._unchanged = before is not None and playlist.next_number == before.next_number
        self._playlist = playlist
        self._loaded_at = time.monotonic()
        self._behind = self._behind + 1 if playlist.next_number < self._next else 0
        if before is not None and self._behind >= _STALE_COPIES:
            # Not merely an old copy from a cache: another publication under the same address.
            raise Dropped("the playlist began anew")

    def _sleep(self, seconds: float) -> None:
        self._wait(seconds)
        if self._stop.is_set():
            raise Cancelled

    def _get(self, url: SafeUrl, *, child: bool) -> Response:
        answer = self._fetcher.get(url, child=child, limit=MAX_BYTES, total_s=self._patience_s)
        if answer.ok:
            return answer
        raise self._no(answer.status)

    def _no(self, status: int) -> StreamError:
        if status in _NOT_FOUND:
            return Refused(f"HTTP {status}", grace_s=GRACE_TARGETS * self.target_s)
        # Not allowed, or out of order: neither says that the stream ended, however long it lasts.
        return Refused(f"HTTP {status}", grace_s=float("inf"))

    @staticmethod
    def _parse(answer: Response) -> Playlist:
        try:
            return parse(answer.body, answer.url.reveal())
        except NotAPlaylist as e:
            raise CodecUnsupported(f"not an HLS playlist: {e}") from e


def _address(of: Segment | Rendition) -> SafeUrl:
    try:
        return SafeUrl(of.url)
    except ValueError as e:
        raise PolicyRefused("an address that cannot be read safely is not opened") from e


def _cut(answer: Response, span: tuple[int, int] | None) -> bytes:
    if span is None or answer.status != 200:  # noqa: PLR2004 - a server that knows no ranges sends the whole file
        return answer.body
    return answer.body[span[0] : span[0] + span[1]]


class HlsPart:
    """A file-like object for a demuxer: readable, not seekable. Errors of the network come out of `read`."""

    def __init__(self, follower: HlsFollower, first: Segment) -> None:
        self._follower = follower
        self._pending = memoryview(b"")
        self._segment: Segment | None = first
        self._started = False
        self._error: BaseException | None = None

    def start(self) -> str | None:
        """Fetch the head and return FFmpeg's name of the container, None where nothing could be fetched."""
        segment = self._segment
        if segment is None or (body := self._follower.fetch(segment)) is None:
            self._segment = None
            return None
        self._pending = memoryview(self._follower.fetch_map(segment) + body)
        self._started = True
        return sniff(bytes(self._pending[:16]))

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end of the part. Waits for the next segment, which may be long."""
        while not self._pending and self._segment is not None:
            try:
                self._advance()
            except BaseException as e:
                self._error = e  # kept, because a demuxer may swallow what passes through it
                raise
        chunk = bytes(self._pending[:size])
        self._pending = self._pending[size:]
        return chunk

    def _advance(self) -> None:
        self._segment = self._follower.within()
        if self._segment is not None and (body := self._follower.fetch(self._segment)) is not None:
            self._pending = memoryview(body)

    def check(self) -> None:
        """Raise what `read` raised, if it did."""
        if self._error is not None:
            raise self._error


def sniff(head: bytes) -> str:
    """FFmpeg's name of the container that begins so. Raises CodecUnsupported."""
    if head[:1] == b"\x47":
        return "mpegts"
    if head[4:8] in (b"ftyp", b"styp", b"moof", b"sidx", b"moov", b"emsg", b"prft"):
        return "mp4"
    raise CodecUnsupported("HLS segments that are neither MPEG-TS nor fragmented MP4")
