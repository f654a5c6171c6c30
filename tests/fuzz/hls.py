"""The whole HLS reader over a world of spoiled playlists, segments, keys and redirects: it ends with errors of ours."""

from __future__ import annotations

import asyncio
import functools
from datetime import UTC, datetime
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.domain.errors import StreamError
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy, Target
from streamwatch.sources.hls.http import Answer, Validators
from streamwatch.sources.hls.reader import HlsReader
from tests.fakes.sink import CollectingSink
from tests.fuzz import fmp4, playlist, ts
from tests.fuzz.damage import spoiled
from tests.sources import media
from tests.sources.hls.origin import encrypt

READS = ("sources.hls.http", "sources.hls.demux", "sources.hls.segments", "sources.hls.follow", "sources.hls.heads")
KEY = bytes(range(16))
_SLEEPS = 40


class Hurry:
    """Time passes at once, and not for ever."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._slept = 0

    def monotonic(self) -> float:
        return self._now

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        self._now += max(seconds, 0.0)
        self._slept += 1
        if self._slept > _SLEEPS:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


@functools.cache
def segments() -> tuple[bytes, ...]:
    plain = (*ts.originals(), *(piece for kind in fmp4.originals() for piece in kind))
    return (*plain, *(encrypt(data, KEY, bytes(16)) for data in plain))


LISTS = [
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n",
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n#EXT-X-ENDLIST\n",
    b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI="2.mp4"\n#EXTINF:1,\n0.ts\n',
    b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n',
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-I-FRAMES-ONLY\n#EXT-X-BYTERANGE:700@0\n#EXTINF:1,\n0.ts\n",
    b'#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n1.ts\n#EXT-X-PART:DURATION=1,URI="0.ts",INDEPENDENT=YES\n',
    (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=64x64\nb.m3u8\n"
     b'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,RESOLUTION=64x64,URI="c.m3u8"\n'),
    *playlist.PLAYLISTS,
]  # fmt: skip


@settings(deadline=None)
@given(st.data(), st.booleans(), st.booleans(), st.booleans())
def fuzz_reader(data: st.DataObject, wants: bool, fast: bool, ranges: bool) -> None:  # noqa: FBT001
    world: dict[str, bytes] = {}
    kinds = {"m3u8": LISTS, "ts": segments(), "mp4": segments(), "key": [KEY] * 9 + [KEY[:5], b""]}

    async def once(
        url: SafeUrl, _: Target, limit: int, span: tuple[int, int] | None, since: Validators
    ) -> tuple[Answer, str | None]:
        path = urlsplit(url.reveal()).path
        if path not in world or path.endswith("m3u8"):
            name = path.rpartition("/")[2]
            kind = kinds.get(name.rpartition(".")[2], segments())
            good = st.sampled_from(list(kind))
            world[path] = data.draw(good if name == "live.m3u8" else st.one_of(good, good, good, spoiled(kind)))
        status = data.draw(st.sampled_from([200] * 60 + [302, 304, 404, 416, 500]))
        location = data.draw(st.sampled_from(["x.ts", "http://10.0.0.1/", "http://[", "//:99999"]))
        body = world[path]
        if span and ranges and status == 200:
            return Answer(206, url, body[span[0] : sum(span)], len(body)), None
        return Answer(status, url, body[span[0] : sum(span)] if span else body), location if status == 302 else None

    spec = media.spec("http://127.0.0.1:9/a/live.m3u8", fast=fast)
    reader = HlsReader(spec, policy=AddressPolicy(spec.url), clock=Hurry())
    reader._fetcher._once = once  # type: ignore[method-assign]
    sink = CollectingSink(wants=wants)

    async def run() -> None:
        try:
            await reader.run(sink)
        except (StreamError, asyncio.CancelledError):
            return

    asyncio.run(run())
    assert not sink.packets or sink.packets[0].key
    assert all(packet.data for packet in sink.packets)
    assert len(sink.infos) > 0 or not sink.packets
