"""What the tests of the HLS reader share: a server that knows ranges and validators, a quick clock, a reader, sinks."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
import time
from datetime import UTC, datetime
from typing import Any

import av
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import StreamError
from streamwatch.domain.media import Packet
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.base import Appetite
from streamwatch.sources.hls.reader import HlsReader
from tests.fakes.sink import CollectingSink
from tests.sources import media
from tests.sources.hls_origin import HlsOrigin

SPEED = 20
"""Target durations pass so much faster than a second."""


class QuickClock:
    """The machine's time, in a hurry."""

    def monotonic(self) -> float:
        return time.monotonic() * SPEED

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


class Origin(HlsOrigin):
    """Answers ranges and conditional requests, as real servers do, and remembers what it was asked."""

    def __init__(self, *, ranges: bool = True, validators: bool = False) -> None:
        super().__init__()
        self.ranges = ranges
        self.validators = validators
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.statuses: list[tuple[str, int]] = []
        self.sent = 0

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path.lstrip("/"), dict(request.headers)))
        answer = await super()._answer(request)
        assert isinstance(answer, web.Response)
        body = answer.body
        assert isinstance(body, bytes | None)
        body = body or b""
        made = web.Response(status=answer.status, headers=self._headers(answer), body=body)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        tag = f'"{hash(body)}"'
        if self.validators and answer.status == 200:
            made.headers["ETag"] = tag
            if request.headers.get("If-None-Match") == tag:
                made = web.Response(status=304, headers={"ETag": tag})
                body = b""
        if self.ranges and wanted and answer.status == 200:
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(body))
            if start >= len(body):
                made, body = web.Response(status=416), b""
            else:
                place = {"Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}
                body = body[start:end]
                made = web.Response(status=206, headers=place, body=body)
        self.sent += len(body)
        self.statuses.append((request.path.lstrip("/"), made.status))
        return made

    @staticmethod
    def _headers(answer: web.Response) -> dict[str, str]:
        kept = {"Content-Type", "Location"}
        return {name: value for name, value in answer.headers.items() if name in kept}


class LookingSink(CollectingSink):
    """Wants a key every `gap` seconds, and everything once a test says so."""

    def __init__(self, clock: Clock, gap: float) -> None:
        super().__init__(wants=False)
        self._clock = clock
        self.gap = gap
        self.look_at = float("-inf")

    def appetite(self) -> Appetite:
        return Appetite(self._wants, self.look_at - 2, self.look_at)

    def want(self, *, everything: bool) -> None:
        self._wants = everything

    def put(self, packet: Packet) -> None:
        if packet.key:
            self.look_at = packet.arrival + self.gap
        super().put(packet)


def make_reader(
    url: str, *, fast: bool = False, allow: tuple[str, ...] = (), open_limit_s: float = 400, rw_timeout_s: float = 0.5
) -> HlsReader:
    spec = media.spec(url, fast=fast)
    policy = AddressPolicy(spec.url, allow_hosts=allow)
    return HlsReader(spec, policy=policy, clock=QuickClock(), rw_timeout_s=rw_timeout_s, open_limit_s=open_limit_s)


async def outcome(made: HlsReader, sink: CollectingSink | None = None) -> StreamError | None:
    try:
        await asyncio.wait_for(made.run(sink or CollectingSink()), 20)
    except StreamError as e:
        return e
    return None


_encoded: dict[str, bytes] = {}


def ts_segments(count: int, *, first: int = 0, **how: Any) -> list[bytes]:
    """One second each."""
    made: list[bytes] = []
    for number in range(first, first + count):
        name = f"{number} {how}"
        if name not in _encoded:
            _encoded[name] = media.encode("mpegts", frames=25, first=25 * number, **how)
        made.append(_encoded[name])
    return made


def fragmented(source: bytes, *, flags: str = "frag_keyframe+empty_moov+default_base_moof") -> bytes:
    """The same packets in fragmented MP4: a fragment for each group of pictures."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"movflags": flags}) as made, av.open(io.BytesIO(source)) as opened:
        track = made.add_stream_from_template(opened.streams.video[0])
        for packet in opened.demux(video=0):
            if packet.size:
                packet.stream = track
                made.mux(packet)
    return out.getvalue()


def cut_fragments(data: bytes) -> list[bytes]:
    """The initialisation segment, then each fragment."""
    starts = [at - 4 for at in range(len(data)) if data[at : at + 4] == b"moof"]
    end = data.find(b"mfra") - 4 if b"mfra" in data else len(data)
    return [data[: starts[0]]] + [data[a:b] for a, b in itertools.pairwise([*starts, end])]


def encrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    padding = 16 - len(data) % 16
    encryptor = Cipher(algorithms.AES128(key), modes.CBC(iv)).encryptor()
    return encryptor.update(data + bytes([padding]) * padding) + encryptor.finalize()
