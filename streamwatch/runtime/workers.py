"""Decode workers: a few threads that take the look with the earliest deadline first.

Decoders belong to the threads, not to streams: one decoder per codec configuration and thread is exact for lone key
pictures (packet, drain, flush leave nothing behind) and saves a megabyte or more per stream.
"""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.media import CodecConfig
from streamwatch.sources.base import Decoder, DecoderFactory

log = structlog.get_logger(__name__)

CACHED_DECODERS = 16
"""Per thread; an idle decoder holds 1-2.5 MB."""

JOIN_S = 5.0


class DecoderCache:
    """The decoders of one thread, least recently used thrown away first."""

    def __init__(self, factory: DecoderFactory, limit: int = CACHED_DECODERS) -> None:
        self._factory = factory
        self._limit = limit
        self._decoders: OrderedDict[str, Decoder] = OrderedDict()

    def get(self, config: CodecConfig) -> Decoder:
        """A decoder for `config`. Raises CodecUnsupported."""
        decoder = self._decoders.pop(config.digest, None) or self._factory(config)
        self._decoders[config.digest] = decoder
        if len(self._decoders) > self._limit:
            self._decoders.popitem(last=False)
        return decoder

    def fresh(self, config: CodecConfig) -> Decoder:
        """A decoder of one's own, for contiguous decoding."""
        return self._factory(config)


Job = Callable[[DecoderCache], None]
"""Runs in a worker thread; reports its own result and handles its own errors."""


class Workers(Protocol):
    """Where a pipeline takes its looks."""

    def submit(self, deadline: float, job: Job) -> bool:
        """Queue a job, the earliest deadline first; False when there is no room. Any thread."""
        ...


class WorkerStatistics(NamedTuple):
    """Figures for the heartbeat."""

    queued: int
    busy_s: float
    """Age of the job that has been running longest, seconds."""
    refused: int
    """Jobs not taken because the queue was full."""


class DecodeWorkers:
    """`count` threads over one bounded queue, ordered by deadline. `submit` may be called from any thread."""

    def __init__(self, count: int, factory: DecoderFactory, *, clock: Clock, limit: int = 4096) -> None:
        self._factory = factory
        self._clock = clock
        self._limit = limit
        self._queue: list[tuple[float, int, Job]] = []
        self._ready = threading.Condition()
        self._running: dict[int, float] = {}
        self._order = 0
        self._refused = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"decode-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, deadline: float, job: Job) -> bool:
        """Queue a job; False (and counted) when the queue is full or the workers stop."""
        with self._ready:
            if self._stopping or len(self._queue) >= self._limit:
                self._refused += 1
                return False
            self._order += 1
            heapq.heappush(self._queue, (deadline, self._order, job))
            self._ready.notify()
        return True

    def statistics(self) -> WorkerStatistics:
        """How busy the workers are now."""
        with self._ready:
            oldest = min(self._running.values(), default=None)
            busy = 0.0 if oldest is None else max(self._clock.monotonic() - oldest, 0.0)
            return WorkerStatistics(len(self._queue), busy, self._refused)

    def close(self) -> None:
        """Finish running jobs, drop queued ones, join; a thread stuck in a decoder is left to the process."""
        with self._ready:
            self._stopping = True
            self._queue.clear()
            self._ready.notify_all()
        for thread in self._threads:
            thread.join(JOIN_S)

    def _work(self, number: int) -> None:
        cache = DecoderCache(self._factory)
        while True:
            with self._ready:
                while not self._queue and not self._stopping:
                    self._ready.wait()
                if self._stopping:
                    return
                _, _, job = heapq.heappop(self._queue)
                self._running[number] = self._clock.monotonic()
            try:
                job(cache)
            except Exception:  # a job that fails in a way nobody foresaw must not cost the worker
                log.exception("look failed unexpectedly")
            finally:
                del job  # it holds packets; the thread may wait long for the next one
                with self._ready:
                    self._running.pop(number, None)
