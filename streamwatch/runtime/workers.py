"""Decode workers: a few threads that take the looks of all streams in the order of the schedule.

Decoders belong to the threads, not to streams: one decoder per codec configuration and thread is exact for lone key
pictures (packet, drain, flush leave nothing behind) and saves a megabyte or more per stream.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.media import CodecConfig
from streamwatch.runtime.patience import Patience, waiting_of
from streamwatch.sampling.capacity import Plan
from streamwatch.sampling.schedule import Schedule, Wish
from streamwatch.sources.base import Decoder, DecoderFactory
from streamwatch.sources.step import native

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

    def submit(self, wish: Wish, job: Job, *, cost_s: float) -> bool:
        """Let a job wait for its turn; False when there is no room. `cost_s`: what it will take. Any thread."""
        ...


class WorkerStatistics(NamedTuple):
    """Figures for the heartbeat."""

    queued: int
    busy_s: float
    """Age of the job that has been running longest, seconds, without those in which it waited for a processor."""
    refused: int
    """Jobs not taken because the queue was full."""
    wall_s: float = 0.0
    """Seconds that finished jobs took, all together …"""
    processor_s: float = 0.0
    """… and the processor time among them."""
    stuck_s: float = 0.0
    """The same as `busy_s` of one call of a decoder."""


class _Running:
    """What one thread is at."""

    def __init__(self) -> None:
        waited_s = waiting_of(threading.get_native_id())
        self._mark = native.mark
        self._job, self._step = Patience(waited_s), Patience(waited_s)
        self.number = 0
        self.began: float | None = None

    def busy_s(self, now: float) -> float:
        if self.began is None:
            return 0.0
        spent = self._job.measure(now, self.number, self.began)
        return max(now - self.began, 0.0) if spent is None else spent

    def stuck_s(self, now: float) -> float:
        number, inside, since = self._mark.number, self._mark.inside, self._mark.since
        return (self._step.measure(now, number, since) or 0.0) if inside else 0.0


class _Queued(NamedTuple):
    job: Job
    cost_s: float


class DecodeWorkers:
    """`count` threads over one bounded schedule. `submit` may be called from any thread."""

    def __init__(self, count: int, factory: DecoderFactory, *, clock: Clock, limit: int = 4096) -> None:
        self.count = count
        self._factory = factory
        self._clock = clock
        self._limit = limit
        self._schedule: Schedule[_Queued] = Schedule()
        self._ready = threading.Condition()
        self._running: dict[int, _Running] = {}
        self._refused = 0
        self._wall_s = self._processor_s = 0.0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"decode-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, wish: Wish, job: Job, *, cost_s: float) -> bool:
        """Queue a job; False (and counted) when the queue is full or the workers stop."""
        with self._ready:
            if self._stopping or len(self._schedule) >= self._limit:
                self._refused += 1
                return False
            self._schedule.put(wish, _Queued(job, cost_s))
            self._ready.notify()
        return True

    def press(self, plan: Plan) -> None:
        """The plan from now on, for what waits too."""
        with self._ready:
            self._schedule.press(plan)

    def statistics(self) -> WorkerStatistics:
        """How busy the workers are now."""
        with self._ready:
            now, running = self._clock.monotonic(), self._running.values()
            return WorkerStatistics(
                queued=len(self._schedule),
                busy_s=max((one.busy_s(now) for one in running), default=0.0),
                refused=self._refused,
                wall_s=self._wall_s,
                processor_s=self._processor_s,
                stuck_s=max((one.stuck_s(now) for one in running), default=0.0),
            )

    def close(self) -> None:
        """Finish running jobs, drop queued ones, join; a thread stuck in a decoder is left to the process."""
        with self._ready:
            self._stopping = True
            self._schedule.clear()
            self._ready.notify_all()
        for thread in self._threads:
            thread.join(JOIN_S)

    def _work(self, number: int) -> None:
        cache = DecoderCache(self._factory)
        running = _Running()
        with self._ready:
            self._running[number] = running
        while True:
            with self._ready:
                while not len(self._schedule) and not self._stopping:
                    self._ready.wait()
                if self._stopping:
                    return
                began = self._clock.monotonic()
                taken = self._schedule.take(began)
                if taken is None:
                    continue
                (job, cost_s), claim = taken
                self._schedule.spent(claim, cost_s)
                running.number += 1
                running.began = began
            used = time.thread_time()
            try:
                job(cache)
            except Exception:  # a job that fails in a way nobody foresaw must not cost the worker
                log.exception("look failed unexpectedly")
            finally:
                del job, taken  # they hold packets; the thread may wait long for the next one
                used = time.thread_time() - used
                with self._ready:
                    took = max(self._clock.monotonic() - began, used)
                    running.began = None
                    self._schedule.spent(claim, took - cost_s)
                    self._wall_s += took
                    self._processor_s += used
