"""What every sampler must keep, whatever it decides by. A new one joins the list."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.adaptive import AdaptiveSampler
from streamwatch.sampling.base import Sampler

SPEC = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0.1, inner=0.1)
SAMPLERS: list[Callable[[], Sampler]] = [lambda: AdaptiveSampler(SPEC, rng=random.Random(7))]


@pytest.fixture(params=SAMPLERS, ids=["adaptive"])
def sampler(request: pytest.FixtureRequest) -> Sampler:
    made: Sampler = request.param()
    return made


def test_nothing_is_asked_before_a_key_and_the_first_key_is(sampler: Sampler) -> None:
    assert not sampler.packet(arrival=0.0, key=False, size=100)
    assert sampler.packet(arrival=0.1, key=True, size=100)


def test_the_gap_lies_between_the_two_that_were_promised(sampler: Sampler) -> None:
    for suspicion in (0.0, 0.3, 1.0, 5.0, -1.0):
        sampler.suspect(suspicion, now=1.0)
        assert SPEC.min_gap_s <= sampler.gap_s <= SPEC.max_gap_s


def test_more_suspicion_never_means_a_longer_gap(sampler: Sampler) -> None:
    sampler.suspect(0.2, now=1.0)
    before = sampler.gap_s
    sampler.suspect(0.9, now=1.0)
    assert sampler.gap_s <= before


@settings(max_examples=60, deadline=None)
@given(
    key_every=st.sampled_from([0.5, 1.0, 2.0, 3.0, 4.0]),
    wobble=st.floats(0, 0.2),
    suspicions=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=5),
    seed=st.integers(0, 1000),
)
def test_the_promise_holds_over_any_live_stream(
    key_every: float, wobble: float, suspicions: list[tuple[float, float]], seed: int
) -> None:
    """100 s at 10 frames a second, arrivals that wobble, suspicions that come and go: no gap over `max_gap`."""
    for make in SAMPLERS:
        sampler, noise = make(), random.Random(seed)
        due = sorted(suspicions)
        last, worst = 0.0, 0.0
        arrival = 0.0
        for number in range(1000):
            arrival = max(number / 10 + noise.random() * wobble, arrival)
            while due and due[0][0] <= arrival:
                sampler.suspect(due.pop(0)[1], now=arrival)
            if sampler.packet(arrival=arrival, key=number % round(key_every * 10) == 0, size=100):
                sampler.sampled(arrival)
                worst, last = max(worst, arrival - last), arrival
        assert worst <= SPEC.max_gap_s
