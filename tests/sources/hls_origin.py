"""A small HLS server that does what a test tells it to: segments, redirects, refusals, silence."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

Answer = tuple[int, dict[str, str], bytes]


class HlsOrigin:
    """Serves `/live.m3u8` over `segments`; anything in `answers` wins over it."""

    def __init__(self) -> None:
        self.segments: list[bytes] = []
        self.window = 3
        self.ended = False
        self.target_s = 1
        self.extra: dict[int, str] = {}
        """Lines to put before a segment, by its number."""
        self.uris: dict[int, str] = {}
        """Addresses to name for segments instead of our own."""
        self.gone: set[int] = set()
        """Segments that are listed and not there."""
        self.answers: dict[str, Answer] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    async def until(self, name: str, times: int = 1) -> None:
        """Wait until this was asked for so often."""
        async with asyncio.timeout(15), self._changed:
            await self._changed.wait_for(lambda: self.asked.count(name) >= times)

    def playlist(self) -> str:
        first = max(0, len(self.segments) - self.window)
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{self.target_s}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        for number in range(first, len(self.segments)):
            if number in self.extra:
                lines.append(self.extra[number])
            lines += [f"#EXTINF:{self.target_s}.0,", self.uris.get(number, f"seg{number}.bin")]
        if self.ended:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = request.path.lstrip("/")
        async with self._changed:
            self.asked.append(name)
            self._changed.notify_all()
        if name in self.silent:
            await asyncio.sleep(3600)
        if name in self.answers:
            status, headers, body = self.answers[name]
            return web.Response(status=status, headers=headers, body=body)
        if name == "live.m3u8":
            return web.Response(text=self.playlist(), content_type="application/vnd.apple.mpegurl")
        if name.startswith("seg") and int(name[3:-4]) not in self.gone and int(name[3:-4]) < len(self.segments):
            return web.Response(body=self.segments[int(name[3:-4])])
        return web.Response(status=404)
