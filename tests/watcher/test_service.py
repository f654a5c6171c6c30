"""A watcher's conversation with its daemon, over a wire of queues and a workshop that builds nothing heavy."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence

import pytest

from streamwatch.domain.decisions import Standing
from streamwatch.domain.errors import LinkClosed, ModelError, Problem
from streamwatch.domain.streams import Audience, StreamSpec
from streamwatch.link.messages import (
    Assign,
    Beat,
    Configure,
    Demand,
    Failed,
    Found,
    Inspect,
    Layer,
    LoadedDetector,
    Ready,
    Release,
    Restand,
    StandingState,
    Stop,
)
from streamwatch.runtime.look import Spent
from streamwatch.runtime.pipeline import StreamPipeline, Tally
from streamwatch.runtime.workers import WorkerStatistics
from streamwatch.sampling.capacity import Plan
from streamwatch.watcher.service import WatcherService
from tests.fakes.clock import FakeClock, settle

CONFIGURE = Configure(detectors=(), rules=(), max_pixels=1000, allow_hosts=(), decode_workers=1)
ASSIGN = Assign(
    epoch=1, stream="lobby", name="lobby", url="rtmp://h/live/lobby", origin="static", weight=1, max_gap_s=10,
    min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0.1, inner=0.05, fallback=False, end_after_s=300, tests=True,
    audience=Audience.BROADCAST, fast=False, standing=(StandingState(rule="card", open=True),),
)  # fmt: skip


class FakePipeline:
    """Notes what is done to it."""

    def __init__(self, spec: StreamSpec) -> None:
        self.spec = spec
        self.done: list[object] = []
        self.tally = Tally("rtmp", 100, Spent(0.5, 0.1, 0.2), 1, 2)
        self.judged = 0

    def judge(self) -> None:
        self.judged += 1

    def restore(self, standing: Sequence[Standing]) -> None:
        self.done.append(tuple(standing))

    def demand(self, suspicion: float, for_s: float = 0.0) -> None:
        self.done.append((suspicion, for_s))

    def decisions(self) -> tuple[()]:
        return ()

    def close(self) -> None:
        self.done.append("closed")


class FakeWorkshop:
    """Builds fake pipelines; refuses models when told to."""

    def __init__(self) -> None:
        self.built: list[FakePipeline] = []
        self.adopted: list[StreamSpec] = []
        self.equipped = 0
        self.refuses = False
        self.closed = False
        self.stuck_readers = 0

    async def configure(self, orders: Configure) -> tuple[LoadedDetector, ...]:
        if self.refuses:
            raise ModelError(Problem("model.onnx", "", "changed since it was checked"))
        return ()

    def build(
        self, spec: StreamSpec, epoch: int, standing: Sequence[Standing], session: str
    ) -> tuple[FakePipeline, Coroutine]:
        pipeline = FakePipeline(spec)
        pipeline.restore(standing)
        self.built.append(pipeline)
        return pipeline, asyncio.Event().wait()

    def adopt(self, pipeline: FakePipeline, spec: StreamSpec, epoch: int) -> None:
        self.adopted.append(spec)

    def equip(self, pipeline: FakePipeline) -> None:
        self.equipped += 1

    def statistics(self) -> WorkerStatistics:
        return WorkerStatistics(0, 0.25, 3)

    def plan(self, pipelines: Iterable[StreamPipeline]) -> Plan:
        self.planned = len(tuple(pipelines))
        return Plan(load=1.5, thrift=1, suspicion_stretch=2, floor_stretch=3)

    async def inspect(self, orders: Inspect) -> Found:
        return Found(transport="rtmp", codec="h264", width=1, height=1, fps=None, key_interval_s=None, key_bytes=0,
                     bitrate=0, decode_key_s=None, renditions=(), reason=None)  # fmt: skip

    def close(self) -> None:
        self.closed = True


class Wire:
    def __init__(self) -> None:
        self.orders: asyncio.Queue = asyncio.Queue()
        self.said: list = []

    async def receive(self):
        order = await self.orders.get()
        if order is None:
            raise LinkClosed("gone")
        return order

    def post(self, message) -> None:
        self.said.append(message)


class Scene:
    def __init__(self) -> None:
        self.wire, self.workshop, self.clock = Wire(), FakeWorkshop(), FakeClock()
        self.service = WatcherService(
            self.wire,
            self.workshop,
            layers=(Layer(name="no-writes", in_force=True),),
            pid=7,
            clock=self.clock,
            rss=lambda: 1234,
        )
        self.task = asyncio.create_task(self.service.run())

    async def order(self, *orders: object) -> None:
        for order in orders:
            self.wire.orders.put_nowait(order)
        await settle()

    def of(self, kind: type) -> list:
        return [message for message in self.wire.said if isinstance(message, kind)]


@pytest.fixture
async def scene():
    made = Scene()
    await settle()
    yield made
    if not made.task.done():
        await made.order(Stop())
    await asyncio.wait_for(made.task, 5)
    assert made.workshop.closed


async def test_configured_it_says_ready_with_its_sandbox(scene: Scene) -> None:
    await scene.order(CONFIGURE)
    (ready,) = scene.of(Ready)
    assert ready.pid == 7
    assert ready.sandbox[0].in_force


async def test_a_model_that_cannot_be_used_is_said_and_the_watcher_stays(scene: Scene) -> None:
    scene.workshop.refuses = True
    await scene.order(CONFIGURE)
    (failed,) = scene.of(Failed)
    assert failed.what == "detectors"
    assert "changed since" in failed.detail
    scene.workshop.refuses = False
    await scene.order(CONFIGURE)
    assert scene.of(Ready)


async def test_an_assignment_brings_what_the_daemon_remembers(scene: Scene) -> None:
    await scene.order(CONFIGURE, ASSIGN)
    (pipeline,) = scene.workshop.built
    assert pipeline.done == [(Standing(rule="card", open=True),)]
    assert pipeline.spec.sampling.max_gap_s == 10


async def test_changed_settings_need_no_new_connection_a_changed_address_does(scene: Scene) -> None:
    await scene.order(CONFIGURE, ASSIGN, ASSIGN.model_copy(update={"epoch": 2, "max_gap_s": 5}))
    assert len(scene.workshop.built) == 1
    assert scene.workshop.adopted[0].sampling.max_gap_s == 5
    await scene.order(ASSIGN.model_copy(update={"epoch": 3, "url": "rtmp://h/live/other"}))
    assert len(scene.workshop.built) == 2
    assert "closed" in scene.workshop.built[0].done


async def test_new_detectors_reach_the_streams_that_are_watched(scene: Scene) -> None:
    await scene.order(CONFIGURE, ASSIGN, CONFIGURE)
    assert scene.workshop.equipped == 1
    assert len(scene.workshop.built) == 1


async def test_restand_and_demand_go_to_the_stream_and_strangers_are_ignored(scene: Scene) -> None:
    closed = StandingState(rule="card", open=False)
    await scene.order(CONFIGURE, ASSIGN, Restand(stream="lobby", standing=(closed,)))
    await scene.order(
        Demand(stream="lobby", suspicion=0.5, for_s=9), Demand(stream="hall", suspicion=1), Release(stream="hall")
    )
    (pipeline,) = scene.workshop.built
    assert pipeline.done[1:] == [(Standing(rule="card", open=False),), (0.5, 9)]


async def test_it_beats_once_a_second_with_counters_that_only_grow(scene: Scene) -> None:
    await scene.order(CONFIGURE, ASSIGN)
    await scene.clock.run(3)
    beats = scene.of(Beat)
    assert len(beats) == 4
    assert beats[-1].received == {"rtmp": 100}
    assert (beats[-1].looks_dropped, beats[-1].rss_bytes, beats[-1].busy_s) == (4, 1234, 0.25)
    assert (beats[-1].load, beats[-1].thrift) == (1.5, 1)
    assert (beats[-1].suspicion_stretch, beats[-1].floor_stretch) == (2, 3)
    assert scene.workshop.planned == 1
    await scene.order(Release(stream="lobby"))
    await scene.clock.run(1)
    assert scene.of(Beat)[-1].received == {"rtmp": 100}


async def test_every_streams_standing_is_judged_once_a_second(scene: Scene) -> None:
    await scene.order(CONFIGURE, *(ASSIGN.model_copy(update={"stream": f"s{number}"}) for number in range(9)))
    await scene.clock.run(10)
    assert {pipeline.judged for pipeline in scene.workshop.built} == {10}


async def test_an_inspection_is_answered(scene: Scene) -> None:
    await scene.order(CONFIGURE, Inspect(url="rtmp://h/x", seconds=1))
    assert scene.of(Found)[0].codec == "h264"


async def test_without_its_daemon_it_ends(scene: Scene) -> None:
    await scene.order(CONFIGURE, ASSIGN, None)
    await asyncio.wait_for(scene.task, 5)
    assert "closed" in scene.workshop.built[0].done
