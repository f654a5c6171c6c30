"""Live HLS from memory, for the demo, tests and the bench: aiohttp, loopback, a sliding window of segments.

The knobs are the ways in which real HLS goes wrong or ends: a playlist that stops growing, ENDLIST, a name that
vanishes, redirects, playlists and segments on other hosts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final

from aiohttp import web

from streamwatch.domain.clock import Clock, SystemClock, rfc3339
from streamwatch.testcard.ts import Segment

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

_PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
_SEGMENT_TYPE: Final = "video/mp2t"
_KEPT_BEYOND: Final = 3
"""Segments still served after they left the playlist: players that read it late need them."""
_STOP_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One line of a master playlist. `uri` may be relative or lie on another host."""

    uri: str
    bandwidth: int
    width: int
    height: int
    codecs: str = "avc1.42c01e,mp4a.40.2"


@dataclass(frozen=True, slots=True)
class _Held:
    number: int
    segment: Segment
    discontinuity: bool
    at: datetime


class Playlist:
    """One media playlist. Made by `HlsServer.publish`; used on the event loop; never waits."""

    def __init__(self, name: str, *, target_s: float, window: int, program_date_time: bool, clock: Clock) -> None:
        self.name = name
        self.segment_base = ""
        """Put before every segment's name; an address on another host, for tests."""
        self._target_s = target_s
        self._window = window
        self._program_date_time = program_date_time
        self._clock = clock
        self._held: deque[_Held] = deque(maxlen=window + _KEPT_BEYOND)
        self._next = 0
        self._discontinuities = 0
        """Marks that have left the window."""
        self._gap = False
        self._frozen = False
        self._ended = False
        self._vanished = False
        self.requests = 0
        """Playlist and segment requests answered, for tests and the bench."""

    @property
    def ready(self) -> bool:
        """Whether there is something to play."""
        return bool(self._held) and not self._vanished

    @property
    def live(self) -> bool:
        """Whether segments are still taken."""
        return not self._ended and not self._vanished

    def send(self, segment: Segment) -> None:
        """Append a segment. Dropped while frozen (the gap is marked later) and after the end."""
        if not self.live:
            return
        if self._frozen:
            self._gap = True
            return
        began = self._clock.now() - timedelta(seconds=segment.duration_s)
        if len(self._held) >= self._window:
            self._discontinuities += self._held[-self._window].discontinuity
        self._held.append(_Held(self._next, segment, self._gap, began))
        self._gap = False
        self._next += 1

    def freeze(self) -> None:
        """From now on the playlist does not grow, though it is still served: a packager whose input stopped."""
        self._frozen = True

    def resume(self) -> None:
        """Grow again; the segments missed in between are marked as a discontinuity."""
        self._frozen = False

    def end(self) -> None:
        """Add ENDLIST: the stream is over and says so."""
        self._ended = True

    def vanish(self) -> None:
        """Answer 404 for everything from now on: the stream is over and does not say so."""
        self._vanished = True

    def text(self) -> str | None:
        """The playlist as served now; None while there is nothing to serve."""
        if not self.ready:
            return None
        shown = list(self._held)[-self._window :]
        target = math.ceil(max(self._target_s, *(held.segment.duration_s for held in shown)) - 0.5)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{target}",
            f"#EXT-X-MEDIA-SEQUENCE:{shown[0].number}",
        ]
        if self._discontinuities:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuities}")
        for held in shown:
            if held.discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            if self._program_date_time:
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{rfc3339(held.at)}")
            lines += [f"#EXTINF:{held.segment.duration_s:.5f},", f"{self.segment_base}{held.number}.ts"]
        if self._ended:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"

    def segment(self, number: int) -> bytes | None:
        """The bytes of segment `number`, while they are kept."""
        if self._vanished:
            return None
        return next((held.segment.data for held in self._held if held.number == number), None)


class HlsServer:
    """An async context manager: serving inside, everything closed outside."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None) -> None:
        self._host = host
        self._port = port
        self._clock = clock or SystemClock()
        self._playlists: dict[str, Playlist] = {}
        self._masters: dict[str, tuple[Rendition, ...]] = {}
        self._redirects: dict[str, str] = {}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_S)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port).start()
            self._port = runner.addresses[0][1]
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    @property
    def port(self) -> int:
        """The port that is served."""
        return self._port

    def url(self, path: str) -> str:
        """The address of `path`, e.g. `hall/index.m3u8`."""
        return f"http://{self._host}:{self._port}/{path}"

    def publish(
        self, name: str, *, target_s: float = 2.0, window: int = 5, program_date_time: bool = False
    ) -> Playlist:
        """Serve a media playlist at `name/index.m3u8`; a playlist of that name is replaced."""
        playlist = Playlist(
            name, target_s=target_s, window=window, program_date_time=program_date_time, clock=self._clock
        )
        self._playlists[name] = playlist
        return playlist

    def master(self, path: str, renditions: Sequence[Rendition]) -> None:
        """Serve a master playlist at `path`, e.g. `show/master.m3u8`."""
        self._masters[path] = tuple(renditions)

    def redirect(self, path: str, to: str | None) -> None:
        """Answer requests for `path` with 302 to `to`; None ends that."""
        if to is None:
            self._redirects.pop(path, None)
        else:
            self._redirects[path] = to

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path in self._redirects:
            return web.Response(status=302, headers={"Location": self._redirects[path]})
        if path in self._masters:
            return _text(_master(self._masters[path]))
        name, _, leaf = path.rpartition("/")
        playlist = self._playlists.get(name)
        if playlist is None:
            return web.Response(status=404)
        playlist.requests += 1
        if leaf == "index.m3u8":
            return _text(playlist.text())
        number, _, suffix = leaf.partition(".")
        data = playlist.segment(int(number)) if suffix == "ts" and number.isdecimal() and len(number) < 10 else None  # noqa: PLR2004
        return _bytes(request, data)


def _text(body: str | None) -> web.Response:
    if body is None:
        return web.Response(status=404)
    return web.Response(text=body, content_type=_PLAYLIST_TYPE, headers={"Cache-Control": "no-cache"})


def _bytes(request: web.Request, data: bytes | None) -> web.Response:
    """A segment or the part of it that was asked for: readers fetch heads only."""
    if data is None:
        return web.Response(status=404)
    try:
        wanted = request.http_range
    except ValueError:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers = {"Accept-Ranges": "bytes"}
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=data, content_type=_SEGMENT_TYPE, headers=headers)
    start, stop, _ = wanted.indices(len(data))
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(status=206, body=data[start:stop], content_type=_SEGMENT_TYPE, headers=headers)


def _master(renditions: tuple[Rendition, ...]) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
    for one in renditions:
        size = f"RESOLUTION={one.width}x{one.height}"
        lines += [f'#EXT-X-STREAM-INF:BANDWIDTH={one.bandwidth},{size},CODECS="{one.codecs}"', one.uri]
    return "\n".join(lines) + "\n"
