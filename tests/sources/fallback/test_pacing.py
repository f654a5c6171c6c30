"""The pace of recordings."""

from __future__ import annotations

import threading

import pytest

from streamwatch.sources.fallback.pacing import Pace
from tests.fakes.clock import FakeClock


@pytest.mark.parametrize(
    ("times", "played"),
    [
        ([0, 1, 2, 3], 3),
        ([0, 0.16, 0.08, 0.04, 0.12, 0.32, 0.24, 0.2, 0.28], 0.32),  # in the order of decoding, with times of showing
        ([5, 6, None, 7], 2),
        ([100, 101, 0, 1, 2], 3),  # a new timeline
        ([0, 1, 5000, 5001], 2),
    ],
)
def test_what_was_played_is_what_the_pictures_show(times: list[float | None], played: float):
    pace = Pace(clock=FakeClock(start=1000.0), stop=threading.Event(), fast=True)
    arrivals = [pace.arrival(time) for time in times]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] == pytest.approx(1000 + played)
