"""The bytes of segments: whole or from their beginning on, decrypted; keys and initialisation segments remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamwatch.domain.errors import CodecUnsupported, PolicyRefused, Refused
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.hls.fmp4 import Track, read_track
from streamwatch.sources.hls.http import Answer, Fetcher
from streamwatch.sources.hls.listed import Protected, Segment
from streamwatch.sources.hls.units import NotMedia

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext

MAX_SEGMENT = 48 << 20
"""Bytes; a segment is held in memory whole, and 10 s at 25 Mbit/s are 31 MB."""
_MAX_INIT = 4 << 20
_KEY = BLOCK = 16
_MAX_KEYS, _MAX_TRACKS = 4, 4
_NOT_RANGE = 416


class Missing(Exception):
    """A listed segment is not there; the text says what the server answered."""


class Segments:
    """Fetches for one stream. `total_s` in all methods limits each request, in seconds."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._keys: dict[str, bytes] = {}
        self._tracks: dict[tuple[str, str], Track | None] = {}
        self.fetched = 0
        """Bytes of segments received so far."""

    async def whole(self, segment: Segment, *, total_s: float) -> bytes:
        """All its bytes, decrypted.

        Raises: as `Fetcher.get`; Missing; NotMedia where it cannot be decrypted; CodecUnsupported for other ciphers.
        """
        decryptor = await self._decryptor(segment, total_s)
        answer = await self._get(_url(segment), segment.span, MAX_SEGMENT, total_s)
        if not answer.ok:
            raise Missing(f"HTTP {answer.status}")
        self.fetched += len(answer.body)
        return answer.body if decryptor is None else _unpadded(decryptor.update(answer.body[: _blocks(answer.body)]))

    async def head(self, segment: Segment, *, total_s: float) -> Head:
        """Begin to fetch it from its first byte. Raises as `whole`."""
        return Head(self, segment, await self._decryptor(segment, total_s), total_s)

    async def track(self, segment: Segment, *, total_s: float) -> Track | None:
        """What its initialisation segment says, None where it has none. Raises as `whole`; NoVideo."""
        if not segment.head:
            return None
        known = (segment.base, segment.head)
        if known not in self._tracks:
            track = await self._read_track(segment, total_s)
            if len(self._tracks) >= _MAX_TRACKS:
                self._tracks.clear()
            self._tracks[known] = track
        return self._tracks[known]

    async def _read_track(self, segment: Segment, total_s: float) -> Track | None:
        try:
            url, span = segment.map_url, segment.map_span
        except ValueError as e:
            raise CodecUnsupported("an initialisation segment whose address cannot be read") from e
        if not url:
            return None
        answer = await self._get(url, span, _MAX_INIT, total_s)
        if not answer.ok:
            raise Missing(f"the initialisation segment, HTTP {answer.status}")
        track = read_track(answer.body)
        if track is None and (decryptor := await self._decryptor(segment, total_s)) is not None:
            track = read_track(_unpadded(decryptor.update(answer.body[: _blocks(answer.body)])))
        if track is None and answer.body[4:8] in (b"ftyp", b"styp"):
            raise NotMedia("an initialisation segment without a track")
        return track

    async def _decryptor(self, segment: Segment, total_s: float) -> CipherContext | None:
        try:
            cipher = segment.cipher
        except Protected as e:
            raise CodecUnsupported(str(e)) from e
        except ValueError as e:
            raise CodecUnsupported("the segments are encrypted in a way that cannot be read") from e
        if cipher is None:
            return None
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - 4 MB, seldom

        key = await self._key(cipher.url, total_s)
        return Cipher(algorithms.AES128(key), modes.CBC(cipher.iv)).decryptor()

    async def _key(self, url: str, total_s: float) -> bytes:
        if url not in self._keys:
            answer = await self._get(url, None, _KEY * 4, total_s)
            if not answer.ok:
                raise Refused(f"the segments are encrypted: no key (HTTP {answer.status})", grace_s=float("inf"))
            if len(answer.body) != _KEY:
                raise CodecUnsupported(f"the segments are encrypted: a key of {len(answer.body)} bytes")
            if len(self._keys) >= _MAX_KEYS:
                self._keys.clear()
            self._keys[url] = answer.body
        return self._keys[url]

    async def _get(self, url: str, span: tuple[int, int] | None, limit: int, total_s: float) -> Answer:
        try:
            address = SafeUrl(url)
        except ValueError as e:
            raise PolicyRefused("an address that cannot be read safely is not opened") from e
        return await self._fetcher.get(address, child=True, limit=limit, total_s=total_s, span=span)

    async def part(self, segment: Segment, offset: int, size: int, *, total_s: float) -> Answer:
        """Some bytes as they are, counted from the beginning of the segment. Raises as `Fetcher.get`, Missing."""
        start = segment.span[0] if segment.span else 0
        answer = await self._get(_url(segment), (start + offset, size), MAX_SEGMENT, total_s)
        if not answer.ok and answer.status != _NOT_RANGE:
            raise Missing(f"HTTP {answer.status}")
        self.fetched += len(answer.body) if answer.ok else 0
        return answer


class Head:
    """A segment from its beginning, as far as it is asked for."""

    def __init__(self, segments: Segments, segment: Segment, decryptor: CipherContext | None, total_s: float) -> None:
        self._segments = segments
        self._segment = segment
        self._decryptor = decryptor
        self._total_s = total_s
        self._at = 0
        self._tail = b""
        self.over = False
        """The segment has no more bytes than those that came."""

    async def more(self, size: int) -> bytes:
        """About `size` more bytes, fewer at the end. Raises as `Segments.part`, NotMedia."""
        length = self._segment.span[1] if self._segment.span else None
        if self._decryptor is not None:
            size = -(-size // BLOCK) * BLOCK
        if length is not None:
            size = min(size, length - self._at)
        answer = await self._segments.part(self._segment, self._at, size, total_s=self._total_s)
        body = answer.body if answer.ok else b""
        self._at += len(body)
        start = self._segment.span[0] if self._segment.span else 0
        end = length if length is not None else (None if answer.total is None else answer.total - start)
        self.over = len(body) < size or (end is not None and self._at >= end)
        return self._plain(body)

    def _plain(self, body: bytes) -> bytes:
        """Decrypted; the last block, which ends in padding, is held back until it is known to be the last."""
        if self._decryptor is None:
            return body
        data = self._tail + self._decryptor.update(body[: _blocks(body)])
        if self.over:
            return _unpadded(data)
        data, self._tail = data[:-BLOCK], data[-BLOCK:]
        return data


def _url(segment: Segment) -> str:
    try:
        return segment.url
    except ValueError as e:
        raise PolicyRefused("an address that cannot be read safely is not opened") from e


def _blocks(body: bytes) -> int:
    return len(body) // BLOCK * BLOCK


def _unpadded(data: bytes) -> bytes:
    padding = data[-1] if data else 0
    if not 0 < padding <= BLOCK or data[-padding:] != bytes([padding]) * padding:
        raise NotMedia("segments that this key does not decrypt")
    return data[:-padding]
