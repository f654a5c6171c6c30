"""The watcher process at work: takes orders from the daemon, keeps its streams, says once a second that it lives."""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol, cast

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LinkClosed, ModelError
from streamwatch.domain.urls import printable
from streamwatch.link.messages import (
    Assign,
    Beat,
    Configure,
    Demand,
    Failed,
    Found,
    FromWatcher,
    Inspect,
    Layer,
    LoadedDetector,
    Ready,
    Release,
    Restand,
    Stop,
    ToWatcher,
)
from streamwatch.runtime.look import Spent
from streamwatch.runtime.pipeline import StreamPipeline, Tally
from streamwatch.runtime.workers import WorkerStatistics
from streamwatch.sampling.capacity import CALM, Plan
from streamwatch.watcher.board import Board, Builder, standings

log = structlog.get_logger(__name__)

BEAT_S = 1.0

JUDGE_S, PARTS = 1.0, 4
"""How often each stream's standing is judged, and in how many turns: a stall has a second's resolution, and hundreds of
streams do not hold the event loop at once."""

_Transport = Literal["rtmp", "hls", "rtsp", "srt", "file"]


class Wire(Protocol):
    """The watcher's end of the link."""

    async def receive(self) -> ToWatcher:
        """Wait for the next order. Raises LinkClosed when the daemon is gone."""
        ...

    def post(self, message: FromWatcher) -> None:
        """Say something without waiting; levels that nobody has read yet are replaced by newer ones."""
        ...


class Workshop(Builder, Protocol):
    """A builder that can be furnished with detectors and rules."""

    async def configure(self, orders: Configure) -> tuple[LoadedDetector, ...]:
        """Load and warm the detectors, take over the rules. Raises ModelError and keeps what was in force."""
        ...

    def statistics(self) -> WorkerStatistics:
        """How busy the decode workers are."""
        ...

    def plan(self, pipelines: Iterable[StreamPipeline]) -> Plan:
        """Say what gives way until the next plan, if anything must; the streams know it then."""
        ...

    @property
    def stuck_readers(self) -> int:
        """Readers' threads that were let go and do not end."""
        ...

    async def inspect(self, orders: Inspect) -> Found:
        """Look at an address and say what is there. Never raises for what the address does."""
        ...

    def close(self) -> None:
        """Stop the workers and give back the detectors."""
        ...


class WatcherService:
    """One watcher's conversation with the daemon. Event loop only."""

    def __init__(
        self,
        wire: Wire,
        workshop: Workshop,
        *,
        layers: tuple[Layer, ...],
        pid: int,
        clock: Clock,
        rss: Callable[[], int],
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._wire = wire
        self._workshop = workshop
        self._board: Board | None = None
        self._layers = layers
        self._pid = pid
        self._clock = clock
        self._rss = rss
        self._cpu_s = cpu_s

    async def run(self) -> None:
        """Serve until the daemon says stop or is gone."""
        try:
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beat(), name="beat")
                board = self._board = Board(self._workshop, tasks)
                judging = tasks.create_task(self._judge(board), name="judge")
                await self._serve(board, tasks)
                board.close()
                beating.cancel()
                judging.cancel()
        finally:
            self._workshop.close()

    async def _serve(self, board: Board, tasks: asyncio.TaskGroup) -> None:
        while True:
            try:
                message = await self._wire.receive()
            except LinkClosed:
                log.info("the daemon is gone, so is this watcher")
                return
            if isinstance(message, Stop):
                return
            if isinstance(message, Configure):
                await self._configure(message, board)
            elif isinstance(message, Inspect):
                tasks.create_task(self._inspect(message), name="inspect")
            else:
                _obey(message, board)

    async def _configure(self, orders: Configure, board: Board) -> None:
        try:
            detectors = await self._workshop.configure(orders)
        except ModelError as error:
            self._wire.post(Failed(what="detectors", detail=printable(str(error), 300)))
            return
        board.equip_all()
        self._wire.post(Ready(pid=self._pid, sandbox=self._layers, detectors=detectors))

    async def _inspect(self, orders: Inspect) -> None:
        self._wire.post(await self._workshop.inspect(orders))

    async def _judge(self, board: Board) -> None:
        for part in itertools.cycle(range(PARTS)):
            await self._clock.sleep(JUDGE_S / PARTS)
            board.judge(part, PARTS)

    async def _beat(self) -> None:
        while True:
            statistics = self._workshop.statistics()
            tallies = self._board.tallies() if self._board else []
            plan = self._workshop.plan(self._board.pipelines()) if self._board else CALM
            self._wire.post(
                Beat(
                    busy_s=statistics.busy_s,
                    stuck_s=statistics.stuck_s,
                    rss_bytes=self._rss(),
                    cpu=_cpu(tallies, self._cpu_s()),
                    load=plan.load,
                    thrift=plan.thrift,
                    suspicion_stretch=plan.suspicion_stretch,
                    floor_stretch=max(plan.floor_stretch, 1.0),
                    stuck_readers=self._workshop.stuck_readers,
                    looks_dropped=sum(t.looks_missed for t in tallies) + statistics.refused,
                    packets_dropped=sum(t.packets_dropped for t in tallies),
                    received={cast("_Transport", t.transport): t.received for t in tallies},
                ),
            )
            await self._clock.sleep(BEAT_S)


def _obey(message: Assign | Restand | Release | Demand, board: Board) -> None:
    match message:
        case Assign():
            board.assign(message)
        case Restand():
            pipeline = board.pipeline(message.stream)
            if pipeline is not None:
                pipeline.restore(standings(message.standing))
        case Release():
            board.release(message.stream)
        case Demand():
            pipeline = board.pipeline(message.stream)
            if pipeline is not None:
                pipeline.demand(message.suspicion, message.for_s)


def _cpu(
    tallies: Sequence[Tally], whole_s: float
) -> dict[Literal["receive", "decode", "scale", "infer", "inner"], float]:
    spent = functools.reduce(Spent.and_also, (tally.spent for tally in tallies), Spent())
    return {
        "receive": max(whole_s - sum(spent), 0.0),
        "decode": spent.decode_s,
        "scale": spent.scale_s,
        "infer": spent.infer_s,
        "inner": spent.inner_s,
    }


def rss_bytes() -> int:
    """Resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096
