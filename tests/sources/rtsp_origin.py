"""A small RTSP server over TCP: describes one H.264 track, plays its packets once, then keeps silent or hangs up."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from types import TracebackType
from typing import Self

from streamwatch.domain.media import Packet

_START = b"\x00\x00\x01"
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=audio 0 RTP/AVP 0\r\na=control:track0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)


class RtspOrigin:
    """`packets` are Annex B access units; `describe` is the status and headers answered to DESCRIBE."""

    def __init__(self, packets: list[Packet], *, describe: str = "200 OK", hang_up: bool = False) -> None:
        self._packets = packets
        self._describe = describe
        self._hang_up = hang_up
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.asked: list[str] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, path: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if head.startswith("$"):  # RTCP of the player's
                continue
            method = head.split(" ", 1)[0]
            self.asked.append(method)
            number = next(line for line in head.split("\r\n") if line.lower().startswith("cseq"))
            status, extra, body = "200 OK", "", ""
            if method == "OPTIONS":
                extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                status, body = self._describe, SDP
                extra = f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n"
            elif method == "SETUP":
                extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            elif method == "PLAY":
                extra = "Session: 1\r\n"
            writer.write(f"RTSP/1.0 {status}\r\n{number}\r\n{extra}\r\n{body}".encode())
            if method == "PLAY":
                writer.write(b"".join(self._rtp()))
                await writer.drain()
                if self._hang_up:
                    return

    def _rtp(self) -> list[bytes]:
        out: list[bytes] = []
        for packet in self._packets:
            units = [unit.rstrip(b"\x00") for unit in packet.data.split(_START)[1:]]
            assert packet.pts is not None
            for unit in units:
                marker = 0x80 if unit is units[-1] else 0
                stamp = round(packet.pts.seconds * 90000) & 0xFFFFFFFF
                rtp = struct.pack(">BBHII", 0x80, marker | 96, len(out) & 0xFFFF, stamp, 7) + unit
                out.append(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
        return out
