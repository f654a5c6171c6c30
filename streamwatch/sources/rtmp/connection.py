"""One RTMP connection under way: no thread, no task wake-up and no future for a packet; the sweep visits its socket."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from contextlib import suppress

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import CodecUnsupported, NotPublished
from streamwatch.sources.base import PacketSink
from streamwatch.sources.rtmp.session import Session, Stage
from streamwatch.sources.rtmp.sweep import CALM, TICK_S
from streamwatch.sources.rtmp.track import Track
from streamwatch.wire.rtmp import Message

NO_VIDEO_S = 10.0
"""So long sound may come before a stream is taken to have no pictures."""

_BUFFER = bytearray(256 << 10)
"""All connections read into it in turn: what is kept is copied out before the next one is read."""
_ATTENTIVE, _OPENING = 2, 1
"""Ticks between two visits while the next key is waited for, and while the server is asked; `CALM` at other times."""
_FULL = 192 << 10
"""Bytes of a visit above which the next one comes sooner: 5 Mbit/s. The kernel's window grows with what is read."""
_EARLY_S = 0.1
"""A key is waited for a little before it is due."""
_UNEVEN_MS = 50
"""Key intervals that differ by no more are regular."""
_WORK_RATE, _WORK_BURST = 22_000.0, 60_000.0
"""Chunks a second that a server may make us work, and at once: 20 Mbit/s in the smallest usual chunks."""
_WORD, _PICTURE = 64, 16
"""What other messages than pictures and sound cost us, and new formats; what pictures do that are taken: in chunks."""
_MAX_OUTBOX = 64 << 10


class Rhythm:
    """When the next key is expected, where keys come regularly: waiting closely is dear, so it is done for that moment.

    A key that comes out of turn is read with the next calm visit, 0.3 s later at most.
    """

    __slots__ = ("_interval_ms", "_key_ms", "key_from")

    def __init__(self) -> None:
        self._key_ms = self._interval_ms = 0
        self.key_from = -math.inf
        """No key is expected before: monotonic seconds."""

    def key(self, time_ms: int, *, since: float) -> None:
        """Note a key with this media time, which arrived after `since`."""
        interval_ms = time_ms - self._key_ms
        regular = abs(interval_ms - self._interval_ms) <= _UNEVEN_MS
        self._key_ms, self._interval_ms = time_ms, interval_ms
        self.key_from = since + interval_ms / 1000 - _EARLY_S if regular else -math.inf


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
        self._rhythm = Rhythm()
        self._sink = sink
        self._now = clock.monotonic
        self._patience_s = patience_s
        self._began = self._last = self._worked_at = clock.monotonic()
        self._open_limit_s = open_limit_s
        self._key_at = -math.inf
        self._any_at = math.inf
        self._urgent = False
        self._told = 0
        self._media = 0
        self._work = self._extra = 0
        self._credit = _WORK_BURST
        self._begun = False
        """A key picture came."""
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
        count = self._receive()
        now = self._now()
        if not count:
            self._judge_silence(now)
            return self._ticks(0, now)
        appetite = self._sink.appetite()
        self._key_at, self._any_at, self._urgent = appetite.key_at, appetite.any_at, appetite.urgent
        messages = session.receive(_BUFFER, count, everything=appetite.everything)
        if messages:
            self._deliver(messages, now)
        parser = session.parser
        passed = parser.passed
        if passed != self._told:
            self._sink.skipped(passed - self._told)
            self._told = passed
        if passed + parser.taken != self._media or not session.media:
            self._media = passed + parser.taken
            self._last = now
        self._charge(parser.chunks + session.words * _WORD + self._extra, now)
        if not self._begun:
            self._judge_opening(now)
        if session.stage is Stage.ENDED:
            return 0
        if session.outbox:
            self._send()
        return self._ticks(count, now)

    def _receive(self) -> int:
        """Bytes read into the buffer, 0 where none have come. Raises StreamError where none will."""
        try:
            count = self._sock.recv_into(_BUFFER)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as e:
            raise self._session.hung_up() from e
        if not count:
            raise self._session.hung_up()
        return self._further_records(count) if self._secure else count

    def _further_records(self, count: int) -> int:
        """TLS gives one record at a time, 16 KB at most: read on, as long as there are more and they fit."""
        view = memoryview(_BUFFER)
        with suppress(OSError):  # none is there now, or the connection broke: the next visit sees which
            while count < len(view) and (more := self._sock.recv_into(view[count:])):
                count += more
        return count

    def _ticks(self, count: int, now: float) -> int:
        """Ticks until the next visit, after one that found `count` bytes."""
        if not self._begun:
            return _OPENING
        wanted_at = min(max(self._key_at - _EARLY_S, self._rhythm.key_from), self._any_at)
        until = (wanted_at - now) / TICK_S
        if self._urgent or until <= _ATTENTIVE:
            return _ATTENTIVE if count < _FULL else _OPENING
        ticks = CALM if count < _FULL else max(1, CALM * _FULL // (2 * count))
        return ticks if ticks < until else int(until)

    def _deliver(self, messages: list[Message], now: float) -> None:
        track, sink = self._track, self._sink
        for message in messages:
            packet = track.take(message, now)
            self._extra += _PICTURE
            if track.news is not None:
                self._extra += _WORD
                sink.opened(track.news)
                track.news = None
            if packet is None:
                continue
            self._begun = True
            if packet.key and packet.dts is not None:
                self._rhythm.key(packet.dts.ticks, since=self._last)
            sink.put(packet)

    def _charge(self, work: int, now: float) -> None:
        """See that the server does not make us work without end. Raises Refused."""
        self._credit = min(_WORK_BURST, self._credit + (now - self._worked_at) * _WORK_RATE) - (work - self._work)
        self._work, self._worked_at = work, now
        if self._credit < 0:
            raise self._session.too_much()

    def _judge_silence(self, now: float) -> None:
        if now - self._last >= self._patience_s:
            raise self._session.silence(now - self._last)
        if not self._begun:
            self._judge_opening(now)

    def _judge_opening(self, now: float) -> None:
        waited = now - self._began
        if waited >= self._open_limit_s:
            raise NotPublished(f"no picture within {self._open_limit_s:.0f} s")
        if waited >= NO_VIDEO_S and self._session.parser.taken and not self._session.media:
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
