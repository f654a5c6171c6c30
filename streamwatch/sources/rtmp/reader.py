"""The RTMP reader: no thread, no task wake-up and no future for a packet; a sweep visits the sockets."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import CodecUnsupported, NotPublished, Unreachable
from streamwatch.domain.streams import StreamSpec
from streamwatch.sources import dial
from streamwatch.sources.address import AddressPolicy, Target
from streamwatch.sources.base import PacketSink
from streamwatch.sources.rtmp.place import place
from streamwatch.sources.rtmp.session import Session, Stage
from streamwatch.sources.rtmp.sweep import TICK_S, Sweep
from streamwatch.sources.rtmp.track import Track
from streamwatch.wire.rtmp import Message

OPEN_LIMIT_S = 40.0
"""Seconds until the first key picture must have come, however busy the server keeps us before."""
NO_VIDEO_S = 10.0
"""So long sound may come before a stream is taken to have no pictures."""

_BUFFER = bytearray(256 << 10)
"""All connections read into it in turn: what is kept is copied out before the next one is read."""
_CALM, _ATTENTIVE, _OPENING = 12, 2, 1
"""Ticks between two visits: while nobody will look, while the next key is waited for, while the server is asked."""
_FULL = 48 << 10
"""Bytes of a visit above which the next one comes sooner, lest the peer waits for room in the kernel's buffer."""
_EARLY_S = 0.1
"""A key is waited for a little before it is due."""
_WORK_RATE, _WORK_BURST = 20_000.0, 60_000.0
"""Chunks a second that a server may make us work, and at once: 20 Mbit/s in the smallest usual chunks."""
_MAX_OUTBOX = 64 << 10


class RtmpReader:
    """Reads one stream once. `run` may be called once."""

    def __init__(
        self,
        spec: StreamSpec,
        *,
        policy: AddressPolicy,
        clock: Clock,
        rw_timeout_s: float = 5.0,
        open_limit_s: float = OPEN_LIMIT_S,
    ) -> None:
        """`rw_timeout_s`: limit of connecting, and of a silence; `open_limit_s`: until the first key picture."""
        self._spec = spec
        self._policy = policy
        self._clock = clock
        self._rw_timeout_s = rw_timeout_s
        self._open_limit_s = open_limit_s

    async def run(self, sink: PacketSink) -> None:
        """See `Reader.run`. Cancelled: ends at once."""
        url = self._spec.url
        target = await self._judged()
        sock = await dial.connect(target, timeout_s=self._rw_timeout_s)
        if url.scheme == "rtmps":
            sock = await dial.secure(sock, target, timeout_s=self._rw_timeout_s)
        connection = Connection(
            sock,
            Session(place(url)),
            sink,
            clock=self._clock,
            patience_s=self._rw_timeout_s,
            open_limit_s=self._open_limit_s,
        )
        try:
            Sweep.of_running_loop().add(connection)
            await connection.over
        finally:
            connection.close()

    async def _judged(self) -> Target:
        """Ask the policy; in a thread where that may ask a resolver."""
        url = self._spec.url
        try:
            ipaddress.ip_address(url.host)
        except ValueError:
            try:
                async with asyncio.timeout(2 * self._rw_timeout_s):
                    return await asyncio.to_thread(self._policy.check, url, child=False)
            except TimeoutError as e:
                raise Unreachable("the name does not resolve in time") from e
        return self._policy.check(url, child=False)


class Connection:
    """One socket, its conversation and its track. Visited by the sweep."""

    def __init__(
        self,
        sock: socket.socket,
        session: Session,
        sink: PacketSink,
        *,
        clock: Clock,
        patience_s: float,
        open_limit_s: float,
    ) -> None:
        self._sock = sock
        self._secure = isinstance(sock, ssl.SSLSocket)
        self._session = session
        self._track = Track()
        self._sink = sink
        self._now = clock.monotonic
        self._patience_s = patience_s
        self._began = self._last = self._worked_at = clock.monotonic()
        self._open_limit_s = open_limit_s
        self._told = 0
        self._media = 0
        self._work = 0
        self._credit = _WORK_BURST
        self._closed = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the stream ended; the error that ended the connection otherwise."""

    def close(self) -> None:
        """Let go of the socket. The sweep finds out."""
        self._closed = True
        self._sock.close()

    def visit(self) -> int:
        """See `Swept`."""
        if self._closed:
            return 0
        try:
            ticks = self._turn()
        except Exception as e:  # noqa: BLE001 - carried to the task that waits for it, whatever it is
            if not self.over.done():
                self.over.set_exception(e)
            self.close()
            return 0
        if not ticks:
            if not self.over.done():
                self.over.set_result(None)
            self.close()
        return ticks

    def _turn(self) -> int:
        """Read what is there, once. Returns as `visit`; raises StreamError."""
        session = self._session
        if session.outbox:
            self._send()
        try:
            count = self._sock.recv_into(_BUFFER)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            count = -1
        except OSError as e:
            raise session.hung_up() from e
        now = self._now()
        if count <= 0:
            if count == 0:
                raise session.hung_up()
            self._judge_silence(now)
            return _ATTENTIVE if self._track.begun else _OPENING

        appetite = self._sink.appetite()
        messages = session.receive(_BUFFER, count, everything=appetite.everything)
        if messages:
            self._deliver(messages, now)
        self._account(now)
        if session.stage is Stage.ENDED:
            return 0
        if session.outbox:
            self._send()
        return self._ticks(count, appetite.key_at, now)

    def _ticks(self, count: int, key_at: float, now: float) -> int:
        """Ticks until the next visit, after one that found `count` bytes."""
        if not self._track.begun:
            return _OPENING
        if self._secure:  # one record at a time
            return _OPENING if count >= 1 << 14 else _ATTENTIVE
        until_key = (key_at - _EARLY_S - now) / TICK_S
        if until_key <= _ATTENTIVE:
            return _ATTENTIVE if count < _FULL else _OPENING
        ticks = _CALM if count < _FULL else max(1, _CALM * _FULL // (2 * count))
        return ticks if ticks < until_key else int(until_key)

    def _deliver(self, messages: list[Message], now: float) -> None:
        track, sink = self._track, self._sink
        for message in messages:
            packet = track.take(message, now)
            if track.news is not None:
                sink.opened(track.news)
                track.news = None
            if packet is not None:
                sink.put(packet)

    def _account(self, now: float) -> None:
        """Tell what passed by, note that media came, and see that the server does not make us work without end."""
        session = self._session
        passed = session.passed
        if passed != self._told:
            self._sink.skipped(passed - self._told)
            self._told = passed
        media = session.media_bytes
        if media != self._media or not session.media:
            self._media = media
            self._last = now
        if not self._track.begun:
            self._judge_opening(now)
        work = session.work
        self._credit = min(_WORK_BURST, self._credit + (now - self._worked_at) * _WORK_RATE) - (work - self._work)
        self._work, self._worked_at = work, now
        if self._credit < 0:
            raise session.too_much()

    def _judge_silence(self, now: float) -> None:
        if now - self._last >= self._patience_s:
            raise self._session.silence(now - self._last)
        if not self._track.begun:
            self._judge_opening(now)

    def _judge_opening(self, now: float) -> None:
        waited = now - self._began
        if waited >= self._open_limit_s:
            raise NotPublished(f"no picture within {self._open_limit_s:.0f} s")
        if waited >= NO_VIDEO_S and self._session.media_bytes and not self._session.media:
            raise CodecUnsupported("no video in this stream")

    def _send(self) -> None:
        outbox = self._session.outbox
        try:
            sent = self._sock.send(outbox)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError as e:
            raise self._session.hung_up() from e
        del outbox[:sent]
        if len(outbox) > _MAX_OUTBOX:
            raise self._session.too_much()
