"""Decode workers with real threads: order, room, and what they say of themselves."""

import threading
from collections.abc import Callable, Iterator

import pytest

from streamwatch.domain.clock import SystemClock
from streamwatch.runtime.workers import DecoderCache, DecodeWorkers
from streamwatch.sampling.capacity import Claim
from streamwatch.sampling.schedule import Wish
from tests.fakes.decoder import FakeDecoder


def wish(at: float) -> Wish:
    return Wish(Claim.FLOOR, at, 0, 0)


@pytest.fixture
def workers() -> Iterator[DecodeWorkers]:
    made = DecodeWorkers(1, lambda config: FakeDecoder(config, []), clock=SystemClock(), limit=4)
    yield made
    made.close()


def held(workers: DecodeWorkers) -> threading.Event:
    """Keep the only worker busy until the event is set; returns when it is."""
    begun, hold = threading.Event(), threading.Event()

    def job(_: DecoderCache) -> None:
        begun.set()
        hold.wait(5)

    assert workers.submit(wish(0), job, cost_s=0.0)
    assert begun.wait(5)
    return hold


def noted(order: list[str], name: str, done: threading.Event | None = None) -> Callable[[DecoderCache], None]:
    def job(_: DecoderCache) -> None:
        order.append(name)
        if done is not None:
            done.set()

    return job


def test_looks_are_taken_in_the_order_of_the_schedule(workers: DecodeWorkers) -> None:
    order: list[str] = []
    done = threading.Event()
    hold = held(workers)
    workers.submit(wish(3), noted(order, "c", done), cost_s=0.01)
    workers.submit(wish(1), noted(order, "a"), cost_s=0.01)
    workers.submit(wish(2), noted(order, "b"), cost_s=0.01)
    assert workers.statistics().queued == 3
    hold.set()
    assert done.wait(5)
    assert order == ["a", "b", "c"]


def test_where_there_is_no_room_a_look_is_refused_and_counted(workers: DecodeWorkers) -> None:
    hold = held(workers)
    taken = [workers.submit(wish(1), noted([], ""), cost_s=0.0) for _ in range(6)]
    assert taken == [True] * 4 + [False] * 2
    assert workers.statistics().refused == 2
    hold.set()


def test_a_look_that_fails_in_a_way_nobody_foresaw_costs_only_itself(workers: DecodeWorkers) -> None:
    def broken(_: DecoderCache) -> None:
        raise ZeroDivisionError

    order: list[str] = []
    done = threading.Event()
    workers.submit(wish(1), broken, cost_s=0.0)
    workers.submit(wish(2), noted(order, "after", done), cost_s=0.0)
    assert done.wait(5)


def test_what_looks_took_is_told(workers: DecodeWorkers) -> None:
    done = threading.Event()
    workers.submit(wish(1), lambda _: sum(range(300_000)), cost_s=0.0)
    workers.submit(wish(2), noted([], "", done), cost_s=0.0)
    assert done.wait(5)
    told = workers.statistics()
    assert told.wall_s >= told.processor_s > 0
