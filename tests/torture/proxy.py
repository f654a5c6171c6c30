"""A toxic proxy between daemon and broker: it passes on, or does what networks do."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tests.ports import free_port

_CHUNK = 65_536
_DRIP, _DRIP_S = 1024, 0.02
"""A slow line: so many bytes, then a pause (about 50 kB/s)."""


class Mood(StrEnum):
    """What the proxy does to everything that passes."""

    OPEN = "open"
    STALL = "stall"
    """Nothing moves; everything stays connected."""
    DEAF = "deaf"
    """What the daemon says arrives; no answer comes back."""
    SLOW = "slow"
    REFUSE = "refuse"
    """Whoever connects is sent away at once."""


@dataclass(slots=True)
class _Line:
    """One connection: the near end, and the far one once there is one."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    half_open: bool = False

    def cut(self) -> None:
        for end in (self.near, self.far):
            if end is not None:
                end.transport.abort()

    def vanish(self) -> None:
        if self.far is not None:
            self.half_open = True
            self.far.transport.abort()


class Proxy:
    """One port for daemons, one broker behind it. What was accepted in one mood follows every later mood."""

    def __init__(self, behind: int) -> None:
        self.port = free_port()
        self._behind = behind
        self._mood = Mood.OPEN
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._lines: dict[asyncio.Task[None], _Line] = {}

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        lines = tuple(self._lines)
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    def mood(self, mood: Mood) -> None:
        """From now on, for lines that stand and those that come."""
        self._mood = mood
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self) -> None:
        """Break every line, both ends at once."""
        for line in self._lines.values():
            line.cut()

    def vanish(self) -> None:
        """Half-open: the far end is told, the near one is not. What it says then goes nowhere; new lines work."""
        for line in self._lines.values():
            line.vanish()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        line = self._lines[task] = _Line(writer)
        try:
            if self._mood is not Mood.REFUSE:
                with contextlib.suppress(OSError):
                    far_reader, line.far = await asyncio.open_connection("127.0.0.1", self._behind)
                    await self._join(line, reader, far_reader)
        finally:
            del self._lines[task]
            line.cut()

    async def _join(self, line: _Line, near: asyncio.StreamReader, far: asyncio.StreamReader) -> None:
        """Pass on until one end hangs up; where the line is half-open, until the near one does."""
        assert line.far is not None
        there = asyncio.create_task(self._pump(line, near, line.far, back=False), name="proxy, there")
        back = asyncio.create_task(self._pump(line, far, line.near, back=True), name="proxy, back")
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            if line.half_open:
                await there
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pump(
        self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool
    ) -> None:
        """Move bytes one way until the source hangs up, or what it says can go nowhere."""
        while True:
            try:
                data = await reader.read(_DRIP if self._mood is Mood.SLOW else _CHUNK)
            except OSError:
                return
            if not data:
                return
            while self._mood is Mood.STALL or (back and self._mood is Mood.DEAF):
                await self._changed.wait()
            if self._mood is Mood.SLOW:
                await asyncio.sleep(_DRIP_S)
            if line.half_open:
                continue  # swallowed
            try:
                writer.write(data)
                await writer.drain()
            except OSError:
                if not line.half_open:
                    return
