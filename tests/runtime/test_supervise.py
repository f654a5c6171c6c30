"""The one place that tries again."""

import asyncio
import random

import pytest

from streamwatch.domain.errors import NotPublished, PolicyRefused, StreamError, Unreachable
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.runtime.backoff import FIRST_S, LONGEST_S, Backoff
from streamwatch.runtime.supervise import SELDOM_S, keep
from tests.fakes.clock import FakeClock, settle

SAMPLING = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0, inner=0)


class FakePipeline:
    def __init__(self, url: str) -> None:
        self.spec = StreamSpec(id=StreamId("x"), url=SafeUrl(url), sampling=SAMPLING, name="x")
        self.received = 0
        self.errors: list[StreamError] = []
        self.ends = 0
        self.reports = 0

    def failed(self, error: StreamError) -> None:
        self.errors.append(error)

    def finished(self) -> None:
        self.ends += 1

    def report_level(self) -> None:
        self.reports += 1


class Scene:
    """A reader per attempt, told by a list of outcomes; the last one is repeated."""

    def __init__(self, *outcomes: object, url: str = "rtmp://h/live/x", media: bool = False) -> None:
        self.clock = FakeClock()
        self.pipeline = FakePipeline(url)
        self.attempts: list[float] = []
        self._outcomes = list(outcomes)
        self._media = media

    def reader(self):
        return self

    async def run(self, sink: FakePipeline) -> None:
        self.attempts.append(self.clock.monotonic())
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if self._media:
            sink.received += 100
        if isinstance(outcome, Exception):
            raise outcome

    async def over(self, seconds: float) -> list[float]:
        """Let time pass and return the pauses between attempts."""
        work = keep(self.pipeline, self.reader, clock=self.clock, rng=random.Random(1))
        task = asyncio.create_task(work)
        await settle()
        await self.clock.run(seconds)
        task.cancel()
        await asyncio.wait({task})
        return [b - a for a, b in zip(self.attempts, self.attempts[1:], strict=False)]


async def test_pauses_grow_to_a_limit_and_are_never_given_up() -> None:
    pauses = await Scene(Unreachable("closed")).over(120)
    assert FIRST_S / 2 <= pauses[0] <= FIRST_S
    assert max(pauses) <= LONGEST_S
    assert min(pauses[6:]) >= LONGEST_S / 2
    assert len(pauses) > 20


async def test_media_in_between_begins_the_pauses_anew() -> None:
    pauses = await Scene(Unreachable("broke"), media=True).over(10)
    assert max(pauses) <= FIRST_S


async def test_what_will_not_change_by_itself_is_tried_seldom() -> None:
    pauses = await Scene(PolicyRefused("no")).over(100)
    assert set(pauses) == {SELDOM_S}


async def test_an_end_is_told_and_the_next_publication_awaited() -> None:
    scene = Scene(None)
    await scene.over(10)
    assert scene.pipeline.ends >= 3
    assert len(scene.attempts) >= 3


@pytest.mark.parametrize("outcome", [None, NotPublished("x")])
async def test_a_file_is_read_once(outcome: object) -> None:
    scene = Scene(outcome, url="/films/a.mp4")
    await scene.over(30)
    assert len(scene.attempts) == 1


async def test_a_reader_that_fails_in_an_unforeseen_way_costs_a_retry_only() -> None:
    scene = Scene(RuntimeError("a bug"), None)
    await scene.over(5)
    assert isinstance(scene.pipeline.errors[0], Unreachable)
    assert len(scene.attempts) >= 2


def test_jitter_spreads_streams_of_a_server_that_restarts() -> None:
    firsts = {Backoff(rng=random.Random(seed)).next() for seed in range(20)}
    assert len(firsts) == 20
