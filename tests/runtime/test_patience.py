"""A thread's own time: what the machine made it wait is not held against it."""

import threading

from streamwatch.domain.clock import SystemClock
from streamwatch.runtime.patience import LONGEST_S, Patience, waiting_of
from streamwatch.runtime.workers import DecoderCache, DecodeWorkers
from streamwatch.sampling.capacity import Claim
from streamwatch.sampling.schedule import Wish
from streamwatch.sources.step import native
from tests.fakes.decoder import FakeDecoder


class Kernel:
    def __init__(self) -> None:
        self.waited: float | None = 0.0

    def __call__(self) -> float | None:
        return self.waited


def test_seconds_of_running_or_being_blocked_add_up() -> None:
    patience = Patience(Kernel())
    assert patience.measure(10.25, 1, 10.0) == 0.25
    assert patience.measure(11.25, 1, 10.0) == 1.25
    assert patience.measure(12.25, 1, 10.0) == 2.25


def test_seconds_of_waiting_for_a_processor_do_not_count() -> None:
    kernel = Kernel()
    patience = Patience(kernel)
    for second in range(1, 100):
        kernel.waited = second * 0.99
        assert (patience.measure(float(second), 1, 0.0) or 0.0) <= 0.011 * second


def test_the_next_thing_starts_at_nothing() -> None:
    patience = Patience(Kernel())
    for second in range(4):
        patience.measure(float(second), 1, 0.0)
    assert patience.measure(4.0, 2, 3.9) is not None
    assert round(patience.measure(4.0, 2, 3.9) or 0.0, 6) == 0.1


def test_a_machine_that_stood_still_accuses_nobody() -> None:
    patience = Patience(Kernel())
    patience.measure(1.0, 1, 0.9)
    assert (patience.measure(10_000.0, 1, 0.9) or 0.0) <= LONGEST_S + 0.2


def test_where_the_kernel_does_not_count_nothing_is_known() -> None:
    kernel = Kernel()
    kernel.waited = None
    assert Patience(kernel).measure(100.0, 1, 0.0) is None
    assert waiting_of(2**22 + 1)() is None


def test_the_kernel_counts_for_a_thread_of_ours() -> None:
    waited = waiting_of(threading.get_native_id())()
    assert waited is not None
    assert waited >= 0


def test_a_worker_inside_native_code_shows_and_one_outside_does_not() -> None:
    workers = DecodeWorkers(1, lambda config: FakeDecoder(config, []), clock=SystemClock())
    inside, outside = threading.Event(), threading.Event()
    go_out, end = threading.Event(), threading.Event()

    def job(_: DecoderCache) -> None:
        with native:
            inside.set()
            go_out.wait(10)
        outside.set()
        end.wait(10)

    try:
        workers.submit(Wish(Claim.FLOOR, 0, 0, 0), job, cost_s=0.0)
        assert inside.wait(10)
        first = workers.statistics().stuck_s
        assert not threading.Event().wait(0.05)
        assert workers.statistics().stuck_s > first
        go_out.set()
        assert outside.wait(10)
        assert workers.statistics().stuck_s == 0.0
        assert workers.statistics().busy_s > 0.0
    finally:
        go_out.set()
        end.set()
        workers.close()
