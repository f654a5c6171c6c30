"""A watcher's plan for the next second: who is told what."""

import pytest
import structlog

from streamwatch.domain.media import Aim, CodecConfig, Packet
from streamwatch.domain.streams import SamplingSpec
from streamwatch.runtime.burden import Burden
from streamwatch.runtime.look import Outcome, Seen
from streamwatch.runtime.looks import Chapter, Looked
from streamwatch.runtime.planner import Planner
from streamwatch.runtime.workers import WorkerStatistics
from streamwatch.sampling.base import Pace
from streamwatch.sampling.capacity import CALM, Load, Plan, Prices

LOAD = Load(
    look_s=0.01, score_s=0.003, between_s=0.03, key_interval_s=2, promise_s=8, wish_s=8, aim_s=8, suspicious=False
)
IDLE = WorkerStatistics(0, 0.0, 0)


class FakeStream:
    def __init__(self, load: Load | None = LOAD) -> None:
        self.asks = load
        self.told: list[Plan] = []

    def load(self) -> Load | None:
        return self.asks

    def press(self, plan: Plan) -> None:
        if plan is not (self.told[-1] if self.told else CALM):
            self.told.append(plan)


def test_with_room_for_all_nobody_is_told_anything() -> None:
    streams = [FakeStream() for _ in range(10)]
    made = Planner(Prices()).look_ahead(streams, IDLE, 1, now=0)
    assert (made.thrift, made.floor_stretch) == (0, 1)
    assert all(stream.told == [] for stream in streams)


def test_overload_is_told_to_every_stream_and_logged_once_and_so_is_its_end() -> None:
    planner, streams = Planner(Prices()), [FakeStream() for _ in range(2000)]
    with structlog.testing.capture_logs() as logged:
        for second in range(0, 6, 2):
            planner.look_ahead(streams, IDLE, 1, now=second)
        for stream in streams[10:]:
            stream.asks = None
        for second in range(6, 12, 2):
            planner.look_ahead(streams, IDLE, 1, now=second)
    assert [entry["log_level"] for entry in logged] == ["warning", "info"]
    assert streams[0].told[0].floor_stretch > 2.5
    assert streams[0].told[-1].floor_stretch == 1
    assert len({id(told) for told in streams[0].told}) == 2, "that it is too much, and that it no longer is"


def test_a_plan_holds_for_a_while_and_streams_that_come_meanwhile_are_told_with_the_next() -> None:
    planner, streams = Planner(Prices()), [FakeStream() for _ in range(2000)]
    first = planner.look_ahead(streams, IDLE, 1, now=100)
    late = FakeStream()
    assert planner.look_ahead([*streams, late], IDLE, 1, now=101) is first
    assert late.told == []
    planner.look_ahead([*streams, late], IDLE, 1, now=102)
    assert late.told == [streams[0].told[0]], "a plan that is nearly the same is not told anew"


def test_a_stream_that_slept_while_there_was_too_little_is_told_when_there_is_room_again() -> None:
    planner, streams, sleeper = Planner(Prices()), [FakeStream() for _ in range(2000)], FakeStream()
    planner.look_ahead([*streams, sleeper], IDLE, 1, now=0)
    sleeper.asks = None
    for second in range(2, 10, 2):
        planner.look_ahead([*streams[:100], sleeper], IDLE, 1, now=second)
    assert sleeper.told[-1].thrift == 0


def test_a_stream_that_cannot_be_priced_costs_the_others_nothing() -> None:
    class Strange(FakeStream):
        def load(self) -> Load | None:
            raise ZeroDivisionError

    with structlog.testing.capture_logs() as logged:
        made = Planner(Prices()).look_ahead([Strange(), FakeStream()], IDLE, 1, now=0)
    assert made.load > 0
    assert [entry["log_level"] for entry in logged] == ["error"]


def looked(seconds: float, size: int, outcome: Outcome = Outcome.SCORED) -> tuple[Seen, Looked]:
    packet = Packet(CodecConfig("h264"), bytes(size), None, None, key=True, arrival=0.0)
    seen = Seen(outcome, packet=packet, decode_s=seconds)
    return seen, Looked(Chapter("", 0), Aim.KEY, packet, (seen,))


def test_a_stream_is_priced_by_its_own_looks_and_makes_no_other_one_dear() -> None:
    prices = Prices()
    hostile, honest = Burden(prices, now=0.0), Burden(prices, now=0.0)
    for _ in range(500):
        hostile.key(3)
        hostile.looked(*looked(0.05, 3, Outcome.FAILED))
        hostile.looked(*looked(0.9, 3))
        honest.key(30_000)
        honest.looked(*looked(0.004, 30_000))
    assert honest.key_s("h264", 30_000) == pytest.approx(0.004)
    assert honest.key_s("h264", 60_000) == pytest.approx(0.008)
    assert 0.4 < hostile.key_s("h264", 3) < 1.0
    assert hostile.key_s("h264", 10**9) <= 10.0, "a look that takes longer ends with its watcher"
    stranger = Burden(prices, now=0.0)
    assert stranger.key_s("h264", 30_000) < 0.04


def test_streams_of_which_nothing_comes_cost_nothing() -> None:
    assert Planner(Prices()).look_ahead([FakeStream(None)] * 5000, IDLE, 1, now=0) == CALM


def test_a_machine_on_which_looks_take_longer_can_take_fewer() -> None:
    planner, streams = Planner(Prices()), [FakeStream()] * 400
    fast = planner.look_ahead(streams, IDLE, 1, now=0).load
    for second in range(1, 20):
        took = WorkerStatistics(0, 0, 0, wall_s=second * 1.0, processor_s=second * 0.5)
        slow = planner.look_ahead(streams, took, 1, now=second * 2)
    assert 1.9 < slow.load / fast < 2.1


def test_a_streams_burden_is_what_it_lately_sent() -> None:
    burden = Burden(Prices(), now=100.0)
    for second in range(1, 60):
        burden.key(30_000)
        rate = burden.rate(second * 75_000, 100.0 + second)
    assert rate == 75_000
    pace = Pace(promise_s=8, wish_s=8, aim_s=8, suspicious=False, key_interval_s=2, weight=1)
    load = burden.load(pace, SamplingSpec(10, 0.5, 4, novelty=True, jitter=0, inner=0.1), "h264")
    assert load.look_s == pytest.approx(0.0039 + load.score_s)
    assert load.extra_s == pytest.approx(0.1 * load.between_s)
    assert burden.rate(10**9, 159.1) == 75_000, "too soon to tell"
