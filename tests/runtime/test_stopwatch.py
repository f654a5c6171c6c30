"""A call of a decoder that does not come back is seen from outside its thread."""

from __future__ import annotations

import threading

import pytest

from streamwatch.runtime.stopwatch import Stopwatch
from tests.fakes.clock import FakeClock


def test_the_oldest_call_under_way_counts_and_nothing_else():
    clock = FakeClock()
    watch = Stopwatch(clock)
    assert watch.longest() == 0
    inside, go = threading.Event(), threading.Event()

    def call() -> None:
        with watch():
            inside.set()
            go.wait(10)

    thread = threading.Thread(target=call)
    thread.start()
    assert inside.wait(10)
    clock.advance(3)
    with watch():
        clock.advance(2)
        assert watch.longest() == 5
    go.set()
    thread.join(10)
    assert watch.longest() == 0


def test_a_call_that_fails_is_over():
    watch = Stopwatch(FakeClock())
    with pytest.raises(ValueError, match="x"), watch():
        raise ValueError("x")
    assert watch.longest() == 0
