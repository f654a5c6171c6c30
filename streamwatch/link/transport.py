"""The link itself: framed messages over a socket pair, checked on arrival, bounded in both directions."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter

from streamwatch.domain.errors import LinkClosed, LinkError, LinkStalled
from streamwatch.link.allowance import HEARD, OWN, Allowance
from streamwatch.link.frames import FrameParser, decode, encode
from streamwatch.link.messages import (
    FROM_WATCHER,
    MAX_FRAME,
    MAX_REPORT,
    TO_WATCHER,
    Beat,
    Failed,
    FromWatcher,
    Message,
    Ready,
    Sampled,
    StreamLevel,
    ToWatcher,
)
from streamwatch.link.outbox import Outbox

SEND_LIMIT_S = 5.0
_HIGH_WATER = 256 * 1024
_LOW_WATER = 64 * 1024
_READ_AHEAD = 512 * 1024
"""Bytes of frames received and not yet taken; beyond it the socket is left full, so that the sender feels it."""
_GATHER = 32 * 1024
_GATHER_S = 0.02
"""Samples and streams' levels wait so long for company; nothing that a person waits for does."""

_REST_S = 0.02
"""More than what has been said too much takes to pass, so that a rest is worth it."""
_NEVER_WAIT = (Beat, Ready, Failed)
"""Few, and the daemon acts on their absence: sent even beyond the allowance."""

In = TypeVar("In")


class LinkStatistics(NamedTuple):
    """Counters since the link was opened."""

    sent: int
    received: int
    waiting: int
    coalesced: int
    dropped: int
    stalled_s: float
    """For how long the other end has read nothing while something waits; 0 when nothing does."""


class Link(Generic[In]):
    """One end of the connection between daemon and watcher. One task receives; any task of the same loop sends."""

    def __init__(
        self,
        receives: TypeAdapter[In],
        *,
        receive_limit: int,
        send_limit: int,
        ready_limit: int,
        heard: Allowance | None = None,
        own: Allowance | None = None,
    ) -> None:
        self._receives = receives
        self._send_limit = send_limit
        self._ready_limit = ready_limit
        self._wire = _Wire(receive_limit, heard=heard, own=own)
        self._received = 0

    @classmethod
    async def to_watcher(cls, sock: socket.socket) -> Link[FromWatcher]:
        """Return the daemon's end, which owns `sock` from now on.

        It accepts reports of `MAX_REPORT` bytes, and so many a second as `HEARD` allows.
        """
        link = Link(
            FROM_WATCHER,
            receive_limit=MAX_REPORT,
            send_limit=MAX_FRAME,
            ready_limit=MAX_FRAME,
            heard=Allowance(HEARD),
        )
        await link._open(sock)
        return link

    @classmethod
    async def to_daemon(cls, descriptor: int) -> Link[ToWatcher]:
        """Return the watcher's end over the descriptor that it was started with, which it owns from now on."""
        link = Link(
            TO_WATCHER, receive_limit=MAX_FRAME, send_limit=MAX_REPORT, ready_limit=MAX_FRAME, own=Allowance(OWN)
        )
        await link._open(socket.socket(fileno=descriptor))
        return link

    async def _open(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - its only parameter
        await asyncio.get_running_loop().create_unix_connection(lambda: self._wire, sock=sock)

    def accept(self, limit: int) -> None:
        """Change the largest frame accepted: `Ready` lists every label, and is awaited only after `Configure`."""
        self._wire.parser.limit = limit

    def post(self, message: Message) -> None:
        """Send without ever waiting: a slow other end gets the newest levels later (see `Outbox`).

        Raises:
            LinkClosed: the other process is gone.
            LinkStalled: it has read nothing for so long that keeping more would be a leak.
            LinkViolation: the message is too large; nothing of it was sent.

        """
        self._wire.post(message, self._ready_limit if isinstance(message, Ready) else self._send_limit)

    async def send(self, message: Message, *, within_s: float = SEND_LIMIT_S) -> None:
        """Send, and return when it is on its way. Raises as `post`; LinkStalled where that took too long."""
        self.post(message)
        await self._wire.flushed(within_s)

    async def receive(self) -> In:
        """Return the next message.

        Raises:
            LinkClosed: the other process is gone, and everything that it said was received.
            LinkViolation: what came is no message. The link is cut.

        """
        body = await self._wire.next()
        try:
            message = decode(self._receives, body)
        except LinkError as error:
            self._wire.cut(error)
            raise
        self._received += 1
        return message

    def __aiter__(self) -> Link[In]:
        return self

    async def __anext__(self) -> In:
        try:
            return await self.receive()
        except LinkClosed:
            raise StopAsyncIteration from None

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._wire.error is not None

    def statistics(self) -> LinkStatistics:
        """Counters, for metrics and for the supervisor."""
        out = self._wire.outbox.statistics()
        return LinkStatistics(
            sent=self._wire.sent,
            received=self._received,
            waiting=out.waiting,
            coalesced=out.coalesced,
            dropped=out.dropped,
            stalled_s=self._wire.stalled_s(),
        )

    async def close(self, *, within_s: float = 1.0) -> None:
        """Send what waits if that is quick, then close. Never raises."""
        await self._wire.close(within_s)

    def abort(self) -> None:
        """Close at once."""
        self._wire.cut(LinkClosed("we closed the link"))


class _Wire(asyncio.Protocol):
    """Bytes in and out; everything here runs on the event loop."""

    def __init__(self, receive_limit: int, *, heard: Allowance | None = None, own: Allowance | None = None) -> None:
        self.parser = FrameParser(receive_limit)
        self._heard = heard
        self._own = own
        self._resting: asyncio.TimerHandle | None = None
        self.outbox = Outbox()
        self.error: LinkError | None = None
        self.sent = 0
        self._limits: dict[type[Message], int] = {}
        self._transport: asyncio.Transport | None = None
        self._frames: deque[bytes] = deque()
        self._ahead = 0
        self._reading = True
        self._full_since: float | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._gathered = bytearray()
        self._flushing: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._lost = asyncio.Event()

    # --- in ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a link runs over a stream socket")
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER, low=_LOW_WATER)

    def data_received(self, data: bytes) -> None:
        if self.error is not None:
            return
        try:
            bodies = self.parser.feed(data)
            if self._heard is not None:
                self._heard.hold(len(data), asyncio.get_running_loop().time(), messages=len(bodies))
        except LinkError as error:
            self.cut(error)
            return
        self._frames.extend(bodies)
        self._ahead += sum(map(len, bodies))
        if self._ahead > _READ_AHEAD and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._fail(LinkClosed("the other process closed the link" + " in the middle of a message" * self._unfinished()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(LinkClosed(f"the link broke: {exc}" if exc else "the other process closed the link"))
        self._lost.set()

    def _unfinished(self) -> bool:
        return self.parser.pending > 0

    async def next(self) -> bytes:
        while not self._frames:
            if self.error is not None:
                raise self.error
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        body = self._frames.popleft()
        self._ahead -= len(body)
        if not self._reading and self._ahead <= _READ_AHEAD // 2 and self._transport is not None:
            self._reading = True
            if self.error is None:
                self._transport.resume_reading()
        return body

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    # --- out ---

    def post(self, message: Message, limit: int) -> None:
        if self.error is not None:
            raise self.error
        frame = encode(message, limit)
        if not self._full() and (isinstance(message, _NEVER_WAIT) or not self._over()):
            self._gather(frame, at_once=not isinstance(message, Sampled | StreamLevel))
            return
        self._limits[type(message)] = limit
        self.outbox.put(message)

    def _gather(self, frame: bytes, *, at_once: bool) -> None:
        """Send with what else is said within a moment: each write wakes the other process."""
        self._gathered += frame
        self.sent += 1
        if self._own is not None:
            self._own.spend(len(frame), asyncio.get_running_loop().time())
        if at_once or len(self._gathered) >= _GATHER:
            self._flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_GATHER_S, self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._gathered and self._transport is not None and self.error is None:
            self._transport.write(bytes(self._gathered))
        self._gathered.clear()

    def pause_writing(self) -> None:
        self._full_since = asyncio.get_running_loop().time()
        self._drained.clear()

    def resume_writing(self) -> None:
        self._full_since = None
        self._send_waiting()

    def _send_waiting(self) -> None:
        while not self._full() and not self._over() and (message := self.outbox.pop()) is not None:
            self._gather(encode(message, self._limits[type(message)]), at_once=False)  # may fill it again
        self._flush()
        if not self._full() and not len(self.outbox):
            self._drained.set()

    def _over(self) -> bool:
        """Whether we have said as much as we may for now; if so, the rest follows in a moment."""
        if self._own is None or self.error is not None:
            return False
        loop = asyncio.get_running_loop()
        if self._resting is None and (wait := self._own.wait_s(loop.time())) > 0:
            self._drained.clear()
            self._resting = loop.call_later(wait + _REST_S, self._rested)
        return self._resting is not None

    def _rested(self) -> None:
        self._resting = None
        self._send_waiting()

    def _full(self) -> bool:
        return self._full_since is not None

    def stalled_s(self) -> float:
        return 0.0 if self._full_since is None else asyncio.get_running_loop().time() - self._full_since

    async def flushed(self, within_s: float) -> None:
        self._flush()
        try:
            async with asyncio.timeout(within_s):
                await self._drained.wait()
        except TimeoutError:
            raise LinkStalled(f"the other process read nothing for {within_s:g} s") from None
        if self.error is not None:
            raise self.error

    # --- end ---

    def _fail(self, error: LinkError) -> None:
        if self.error is None:
            self.error = error
        self.outbox.clear()
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._flush()
        self._drained.set()
        self._wake()

    def cut(self, error: LinkError) -> None:
        self._fail(error)
        if self._transport is not None and not self._lost.is_set():
            self._transport.abort()

    async def close(self, within_s: float) -> None:
        if self._transport is None or self._lost.is_set():
            return
        if self.error is None:
            try:
                await self.flushed(within_s)
            except LinkError as error:
                self._fail(error)
        self._fail(LinkClosed("we closed the link"))
        self._transport.close()
        try:
            async with asyncio.timeout(within_s):
                await self._lost.wait()
        except TimeoutError:
            self._transport.abort()
            await self._lost.wait()
