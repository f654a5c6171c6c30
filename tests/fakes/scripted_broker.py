"""A broker that says what a test wants, in real MQTT: reason codes, terms and silence that real ones show seldom."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

RECEIVE_MAXIMUM, MAX_QOS, NO_RETAIN, MAX_PACKET = b"\x21", b"\x24\x00", b"\x25\x00", b"\x27"


class ScriptedBroker:
    """Accepts everything, unless told otherwise. An async context manager."""

    def __init__(self) -> None:
        self.port = 0
        self.connack = 0
        """The answer to CONNECT; on MQTT 3.1.1 its own numbers."""
        self.properties = b""
        """Properties of CONNACK, packed."""
        self.suback = 1
        self.puback: Callable[[str], int | None] = lambda _topic: 0
        """The answer to a publish by its topic; None: no answer."""
        self.connects: list[bytes] = []
        self.identifiers: list[str] = []
        self.published: list[tuple[str, bytes, bool]] = []
        """(topic, everything behind it, retain)."""
        self.in_flight = self.most_in_flight = 0
        self._protocols: dict[asyncio.StreamWriter, int] = {}
        self._unanswered: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._talks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._talks:
            _, stuck = await asyncio.wait(self._talks, timeout=5)
            assert not stuck

    def disconnect(self, code: int, said: str = "") -> None:
        """End every MQTT 5 connection with a reason code."""
        text = said.encode()
        properties = b"\x1f" + len(text).to_bytes(2, "big") + text if said else b""
        body = bytes([code, len(properties)]) + properties
        for writer in self._protocols:
            writer.write(b"\xe0" + bytes([len(body)]) + body)
        self.cut()

    def cut(self) -> None:
        """Hang up on everybody, without a word."""
        for writer in list(self._protocols):
            writer.close()

    def release(self) -> None:
        """Acknowledge what was not answered yet."""
        held, self._unanswered = self._unanswered, []
        for writer, mid in held:
            self._ack(writer, mid, 0)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._packet(reader, writer)
        finally:
            self._protocols.pop(writer, None)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _packet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.readexactly(1))[0]
        size = shift = 0
        while True:
            digit = (await reader.readexactly(1))[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        body = await reader.readexactly(size)
        match first >> 4:
            case 1:
                self._connect(body, writer)
            case 3:
                self._publish(body, writer, retain=bool(first & 1))
            case 8:
                modern = self._protocols[writer] == 5
                writer.write(b"\x90" + bytes([4 if modern else 3]) + body[:2] + b"\0" * modern + bytes([self.suback]))
            case 10:
                modern = self._protocols[writer] == 5
                writer.write(b"\xb0" + (b"\x04" + body[:2] + b"\0\0" if modern else b"\x02" + body[:2]))
            case 12:
                writer.write(b"\xd0\x00")

    def _connect(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.connects.append(body)
        self._protocols[writer] = body[6]
        modern = body[6] == 5
        start = 10 + (1 + body[10] if modern else 0)
        size = int.from_bytes(body[start : start + 2], "big")
        self.identifiers.append(body[start + 2 : start + 2 + size].decode())
        properties = bytes([len(self.properties)]) + self.properties if modern else b""
        writer.write(b"\x20" + bytes([2 + len(properties), 0, self.connack]) + properties)
        if self.connack:
            writer.close()

    def _publish(self, body: bytes, writer: asyncio.StreamWriter, *, retain: bool) -> None:
        size = int.from_bytes(body[:2], "big")
        topic, mid = body[2 : 2 + size].decode(), body[2 + size : 4 + size]
        self.published.append((topic, body[4 + size :], retain))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        code = self.puback(topic)
        if code is None:
            self._unanswered.append((writer, mid))
        else:
            self._ack(writer, mid, code)

    def _ack(self, writer: asyncio.StreamWriter, mid: bytes, code: int) -> None:
        self.in_flight -= 1
        if writer in self._protocols:
            modern = self._protocols[writer] == 5
            writer.write(b"\x40" + (bytes([4]) + mid + bytes([code, 0]) if modern else b"\x02" + mid))
