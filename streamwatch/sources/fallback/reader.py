"""The fallback reader: FFmpeg's demuxers through PyAV, one thread a stream.

Everything about a stream happens in its own thread: resolving, connecting, fetching, demuxing, closing. PyAV's
`timeout=` bounds the opening alone (its callback takes the interpreter's lock at every poll inside FFmpeg, which is
too much for the packets that follow); FFmpeg's own read time-out ends every single wait, and a container is closed only
by the thread that opened it. A thread that is asked to stop has its connection shut down (see sockets.py), and ends at
its next packet or time-out where that cannot be done.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, ClassVar

import av
import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import CodecUnsupported, NotPublished, Stalled, StreamError
from streamwatch.domain.media import MediaInfo
from streamwatch.domain.streams import StreamSpec
from streamwatch.sources.address import AddressPolicy, Target
from streamwatch.sources.base import PacketSink
from streamwatch.sources.fallback import inputs
from streamwatch.sources.fallback.fetch import Cancelled, Fetcher, connect
from streamwatch.sources.fallback.hls import HlsFollower, HlsPart
from streamwatch.sources.fallback.pacing import Pace
from streamwatch.sources.fallback.packets import PacketConverter, video_stream
from streamwatch.sources.fallback.rtsp_check import refuse_redirect
from streamwatch.sources.fallback.sockets import new_mark, shut
from streamwatch.sources.fallback.translate import FROM_AV, Progress, ended, translate

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_log = structlog.get_logger(__name__)

OPEN_LIMIT_S = 40.0
"""Seconds until the format must be known: each wait inside has its own, shorter limit, and a server that drips resets
those. Long enough for two attempts at a stream whose key pictures are 10 s apart."""
_EXIT_GRACE_S = 1.0
_SHUT_AGAIN_S = (0.0, 0.05, 0.1, 0.2, 0.5)
"""Pauses between attempts to shut a connection down, the last one repeated: it may be just being made."""
MAX_ABANDONED = 8
"""Threads left behind at once with which new connections of FFmpeg's are still made."""


class PyavReader:
    """Reads one stream once. `run` may be called once."""

    abandoned: ClassVar[int] = 0
    """Threads of this process that did not end in time, were left behind and still run. A number for the heartbeat:
    where it stays at `MAX_ABANDONED` the watcher opens no RTMP, RTSP or SRT any more and should be replaced."""
    _counting: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        spec: StreamSpec,
        *,
        policy: AddressPolicy,
        clock: Clock,
        rw_timeout_s: float = 5.0,
        open_limit_s: float = OPEN_LIMIT_S,
        max_pixels: int = 1 << 26,
    ) -> None:
        """`rw_timeout_s` ends each wait for the network; `max_pixels` bounds a picture decoded to learn a new size."""
        self._spec = spec
        self._policy = policy
        self._clock = clock
        self._rw_timeout_s = rw_timeout_s
        self._open_limit_s = open_limit_s
        self._max_pixels = max_pixels
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._mark = new_mark()
        self._target: Target | None = None
        self._began = clock.monotonic()
        self._ended = self._left_behind = False
        self._media = False
        self._last = clock.monotonic()
        """When the connection stood or the last packet came; read by this stream's thread alone."""

    async def run(self, sink: PacketSink) -> None:
        """See `Reader.run`. Cancelled: waits at most twice the read time-out and a second for the thread.

        Raises also Stalled where too many threads of this process were left behind.
        """
        self._began = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[StreamError | BaseException | None] = loop.create_future()

        def work() -> None:
            outcome: BaseException | None = None
            try:
                self._read(sink)
            except Cancelled:
                pass
            except BaseException as e:  # noqa: BLE001 - carried to the task that waits for it, whatever it is
                outcome = e
            self._count_end()
            with suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
                loop.call_soon_threadsafe(_settle, done, outcome)

        thread = threading.Thread(target=work, name=f"read {self._spec.name}"[:100], daemon=True)
        thread.start()
        try:
            outcome = await self._outcome(done)
        except asyncio.CancelledError:
            await self._leave(done)
            raise
        if outcome is not None:
            raise outcome

    async def _outcome(self, done: asyncio.Future[BaseException | None]) -> BaseException | None:
        await asyncio.wait({done}, timeout=self._open_limit_s)
        if done.done() or self._opened.is_set():
            return await asyncio.shield(done)
        await self._leave(done)
        return self._nothing_came()

    def _nothing_came(self) -> StreamError:
        if self._spec.url.scheme in ("rtmp", "rtmps"):
            return NotPublished(f"no media within {self._open_limit_s:.0f} s")
        return Stalled(f"no media within {self._open_limit_s:.0f} s")

    async def _leave(self, done: asyncio.Future[BaseException | None]) -> None:
        self._stop.set()
        deadline = self._clock.monotonic() + 2 * self._rw_timeout_s + _EXIT_GRACE_S
        for pause in itertools.chain(_SHUT_AGAIN_S, itertools.repeat(_SHUT_AGAIN_S[-1])):
            if self._target is not None:
                shut(self._mark, self._target)
            left = deadline - self._clock.monotonic()
            await asyncio.wait({done}, timeout=max(0.0, min(pause, left)))
            if done.done():
                return
            if left <= 0:
                break
        with self._counting:
            if self._ended:
                return
            self._left_behind = True
            PyavReader.abandoned += 1
        _log.warning("reader thread left behind", stream=self._spec.name, total=PyavReader.abandoned)

    def _count_end(self) -> None:
        with self._counting:
            self._ended = True
            PyavReader.abandoned -= self._left_behind

    # --- in the stream's thread ------------------------------------------------------------------------------------

    def _read(self, sink: PacketSink) -> None:
        scheme = self._spec.url.scheme
        self._last = self._clock.monotonic()
        try:
            if scheme == "file":
                self._read_file(sink)
            elif scheme in ("http", "https"):
                self._read_hls(sink)
            else:
                self._read_network(sink, scheme)
        except (FROM_AV, StreamError) as e:
            if self._stop.is_set():
                raise Cancelled from e
            if not self._opened.is_set() and isinstance(e, FROM_AV) and self._time_to_open() <= 0:
                raise self._nothing_came() from e
            error = translate(e, self._progress())
            if error is e:
                raise
            raise error from e
        if not self._stop.is_set() and (doubt := ended(self._progress())) is not None:
            raise doubt

    def _progress(self) -> Progress:
        silence = self._clock.monotonic() - self._last
        return Progress(self._spec.url.scheme, self._media, silence, self._rw_timeout_s)

    def _read_network(self, sink: PacketSink, scheme: str) -> None:
        if PyavReader.abandoned >= MAX_ABANDONED:
            raise Stalled(f"{MAX_ABANDONED} connections of this watcher hang and cannot be ended: it opens no more")
        target = self._policy.check(self._spec.url, child=False)
        if scheme != "srt":
            # FFmpeg's own errors do not tell a closed port from a refusal: a connection of ours does.
            with connect(target, timeout_s=self._rw_timeout_s) as first:
                if scheme == "rtsp":
                    refuse_redirect(first, self._spec.url, stop=self._stop, total_s=self._rw_timeout_s)
        self._target = target
        kind = inputs.network(scheme, rw_timeout_s=self._rw_timeout_s, mark=self._mark)
        for attempt in kind.attempts:
            if self._stop.is_set():
                raise Cancelled
            self._last = self._clock.monotonic()
            with closing(self._open(self._spec.url.reveal(), attempt)) as container:
                if (video := video_stream(container)) is not None:
                    self._pump(container, video, sink, kind.transport)
                    return
        raise CodecUnsupported("no video in this stream")

    def _read_file(self, sink: PacketSink) -> None:
        with inputs.open_file(self._spec.url) as file, closing(self._open(file, inputs.file())) as container:
            video = video_stream(container)
            if video is None:
                raise CodecUnsupported("no video in this file")
            self._pump(container, video, sink, "file", pace=self._pace())

    def _read_hls(self, sink: PacketSink) -> None:
        fetcher = Fetcher(policy=self._policy, stop=self._stop, timeout_s=self._rw_timeout_s)
        with closing(fetcher):
            follower = HlsFollower(
                url=self._spec.url,
                fetcher=fetcher,
                stop=self._stop,
                patience_s=2 * self._rw_timeout_s,
                from_start=self._spec.fast,
            )
            follower.open()
            pace = self._pace() if follower.recorded else None
            while (part := follower.next_part()) is not None:
                self._read_part(part, follower, sink, pace)

    def _read_part(self, part: HlsPart, follower: HlsFollower, sink: PacketSink, pace: Pace | None) -> None:
        container_name = part.start()
        if container_name is None:
            return
        try:
            with closing(self._open(part, inputs.segments(container_name))) as container:
                video = video_stream(container)
                if video is None:
                    raise CodecUnsupported("no video in this stream")
                self._pump(container, video, sink, "hls", pace=pace, follower=follower)
        except FROM_AV:
            part.check()  # the network's own error says more than what FFmpeg made of it
            raise
        part.check()

    def _open(self, source: Any, opening: inputs.Opening) -> InputContainer:
        opened: InputContainer = av.open(
            source,
            "r",
            format=opening.format,
            options=opening.options,
            metadata_errors="ignore",
            timeout=(max(0.1, self._time_to_open()), None) if isinstance(source, str) else None,
        )
        return opened

    def _time_to_open(self) -> float:
        return self._began + self._open_limit_s - self._clock.monotonic()

    def _pace(self) -> Pace:
        return Pace(clock=self._clock, stop=self._stop, fast=self._spec.fast)

    def _pump(
        self,
        container: InputContainer,
        video: VideoStream,
        sink: PacketSink,
        transport: str,
        *,
        pace: Pace | None = None,
        follower: HlsFollower | None = None,
    ) -> None:
        converter = PacketConverter(video, max_pixels=self._max_pixels)
        rate = video.average_rate or video.guessed_rate

        def announce() -> None:
            sink.opened(
                MediaInfo(
                    config=converter.config,
                    transport=transport,
                    fps=float(rate) if rate else None,
                    burst_s=follower.target_s if follower else 0.0,
                    renditions=follower.renditions if follower else (),
                )
            )

        announce()
        self._opened.set()
        unbroken = False  # nothing between keys was passed over since the last key
        for packet in self._packets(container, video):
            arrival = self._arrival(converter, packet, pace)
            # A change of format rides on a packet, and must not be missed because nobody wants its payload.
            unbroken = packet.is_keyframe or (
                unbroken and (packet.has_sidedata("new_extradata") or sink.appetite().everything)
            )
            if not unbroken:
                sink.skipped(packet.size)
                continue
            taken = converter.convert(packet, arrival)
            if converter.changed:
                announce()
            sink.put(taken)

    def _arrival(self, converter: PacketConverter, packet: av.Packet[VideoStream], pace: Pace | None) -> float:
        if pace is not None:
            self._last = pace.arrival(converter.media_s(packet))
        else:
            self._last = self._clock.monotonic()
        return self._last

    def _packets(self, container: InputContainer, video: VideoStream) -> Iterator[av.Packet[VideoStream]]:
        for packet in container.demux(video):
            if self._stop.is_set():
                raise Cancelled
            if packet.size:  # the last one is an empty one, for flushing decoders
                self._media = True
                yield packet


def _settle(done: asyncio.Future[BaseException | None], outcome: BaseException | None) -> None:
    if not done.done():
        done.set_result(outcome)
