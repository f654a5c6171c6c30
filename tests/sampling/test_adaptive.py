import itertools
import random
from dataclasses import replace

import pytest

from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.adaptive import HALF_LIFE_S, AdaptiveSampler

CALM = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0, inner=0)


def sampler(spec: SamplingSpec = CALM, seed: int = 1) -> AdaptiveSampler:
    return AdaptiveSampler(spec, rng=random.Random(seed))


def drive(
    subject: AdaptiveSampler, *, seconds: float, key_every: float, fps: float = 10, start: float = 0.0
) -> list[float]:
    """Feed packets at `fps` with a key every `key_every`; take every look asked for; return the times of the looks."""
    looks = []
    frames_per_key = round(key_every * fps)
    for number in range(int(seconds * fps)):
        at = start + number / fps
        if subject.packet(arrival=at, key=number % frames_per_key == 0, size=1000):
            subject.sampled(at)
            looks.append(at)
    return looks


def gaps(looks: list[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(looks)]


def test_the_first_key_is_looked_at_and_no_packet_before_it() -> None:
    subject = sampler()
    assert not subject.packet(arrival=0, key=False, size=1)
    assert subject.packet(arrival=0.1, key=True, size=1)


@pytest.mark.parametrize("key_every", [0.5, 1, 2, 3, 4, 5])
def test_when_calm_no_gap_exceeds_the_promise_and_looks_stay_few(key_every: float) -> None:
    looks = drive(sampler(), seconds=120, key_every=key_every)
    assert max(gaps(looks)) <= CALM.max_gap_s
    assert len(looks) <= 120 / (CALM.max_gap_s - key_every - 0.5) + 2


def test_keys_rarer_than_the_promise_are_bridged_between_keys() -> None:
    looks = drive(sampler(), seconds=200, key_every=15)
    assert max(gaps(looks)) <= CALM.max_gap_s


def test_a_second_key_that_never_comes_is_not_waited_for() -> None:
    looks = drive(sampler(), seconds=120, key_every=1000)
    assert max(gaps(looks)) <= CALM.max_gap_s
    assert len(looks) > 10


def test_suspicion_shortens_the_gap_at_once_and_half_of_it_is_forgotten_in_a_half_life() -> None:
    subject = sampler()
    subject.suspect(1.0, now=50)
    assert subject.gap_s == pytest.approx(CALM.min_gap_s)
    subject.packet(arrival=50 + HALF_LIFE_S, key=False, size=1)
    assert subject.gap_s == pytest.approx((CALM.max_gap_s * CALM.min_gap_s) ** 0.5)


def test_less_suspicion_does_not_undo_more() -> None:
    subject = sampler()
    subject.suspect(1.0, now=50)
    subject.suspect(0.0, now=50.1)
    assert subject.gap_s < 1


def test_suspicion_fades_until_the_calm_gap_is_exact_again() -> None:
    subject = sampler()
    subject.suspect(1.0, now=50)
    subject.packet(arrival=50 + 7 * HALF_LIFE_S, key=False, size=1)
    assert subject.gap_s == CALM.max_gap_s


def test_what_is_demanded_from_outside_stands_until_it_expires_and_is_replaced_by_the_next() -> None:
    subject = sampler()
    subject.demand(1.0, until=200, now=50)
    subject.packet(arrival=199, key=False, size=1)
    assert subject.gap_s == pytest.approx(CALM.min_gap_s)
    subject.demand(0.0, until=200, now=199)
    assert subject.gap_s == CALM.max_gap_s
    subject.demand(1.0, until=210, now=200)
    subject.packet(arrival=211, key=False, size=1)
    assert subject.gap_s == CALM.max_gap_s


def test_under_suspicion_looks_fall_between_keys_at_nearly_the_smallest_gap() -> None:
    subject = sampler()
    drive(subject, seconds=10, key_every=2)
    subject.suspect(1.0, now=10)
    looks = drive(subject, seconds=2, key_every=2, start=10.0)
    assert len(looks) >= 3
    assert max(gaps(looks)) <= 0.8


def test_jitter_makes_looks_earlier_never_later_and_differently_each_time() -> None:
    spec = replace(CALM, jitter=0.3)
    one = drive(sampler(spec, seed=1), seconds=300, key_every=0.5)
    other = drive(sampler(spec, seed=2), seconds=300, key_every=0.5)
    assert max(gaps(one)) <= spec.max_gap_s
    assert len({round(gap, 1) for gap in gaps(one)}) > 3
    assert one != other


def test_a_share_of_looks_falls_inside_the_group_of_pictures() -> None:
    subject = sampler(replace(CALM, inner=1.0))
    keys = {round(number * 2.0, 3) for number in range(200)}
    looks = drive(subject, seconds=300, key_every=2)
    assert any(round(at, 3) not in keys for at in looks)
    assert max(gaps(looks)) <= CALM.max_gap_s


def test_bursts_of_keys_do_not_pass_for_frequent_keys() -> None:
    """HLS: every 4 s two keys arrive at once."""
    subject = sampler()
    looks = []
    for burst in range(30):
        for _ in range(2):
            at = burst * 4.0
            if subject.packet(arrival=at, key=True, size=1):
                subject.sampled(at)
                looks.append(at)
    assert subject.key_interval_s == pytest.approx(4.0)
    assert max(gaps(looks)) <= CALM.max_gap_s


def test_a_new_session_begins_with_a_look_at_its_first_key() -> None:
    subject = sampler()
    drive(subject, seconds=5, key_every=2)
    subject.restart()
    assert subject.packet(arrival=5.1, key=True, size=1)


def test_streams_that_begin_together_are_not_looked_at_together_for_ever() -> None:
    spec = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0.1, inner=0)
    rng = random.Random(5)
    seconds = []
    for _ in range(40):
        sampler = AdaptiveSampler(spec, rng=rng)
        keys = (float(at) for at in range(0, 100, 2))
        looks = []
        for at in keys:
            if sampler.packet(arrival=at, key=True, size=1):
                looks.append(at)
                sampler.sampled(at)
        assert all(later - earlier <= 10 for earlier, later in itertools.pairwise(looks))
        seconds.append(looks[4] % 8)
    assert {seconds.count(phase) > 2 for phase in (0, 2, 4, 6)} == {True}


def looks_of(subject: AdaptiveSampler, keys: list[tuple[float, float]], *, burst_s: float = 0.0) -> list[float]:
    """Arrivals at which keys of (arrival, media time) were looked at."""
    looks = []
    for arrival, media_s in keys:
        if subject.packet(arrival=arrival, key=True, size=1, media_s=media_s, burst_s=burst_s):
            looks.append(arrival)
            subject.sampled(arrival)
    return looks


def test_a_machine_that_lags_does_not_look_more_often_for_it() -> None:
    late = [(8.0 * (number // 4) + 8.0, 2.0 * number) for number in range(100)]
    steady = [(2.0 * number, 2.0 * number) for number in range(100)]
    assert len(looks_of(sampler(), late)) <= len(looks_of(sampler(), steady)) + 1


def test_a_broadcaster_whose_clock_crawls_gains_nothing() -> None:
    crawling = [(6.0 * number, 0.001 * number) for number in range(50)]
    looks = looks_of(sampler(), crawling)
    assert max(later - earlier for earlier, later in itertools.pairwise(looks)) <= 10


def test_keys_that_come_in_bursts_keep_the_gap() -> None:
    bursts = [(4.0 * (number // 2), 2.0 * number) for number in range(100)]
    looks = looks_of(sampler(), bursts, burst_s=4.0)
    assert max(later - earlier for earlier, later in itertools.pairwise(looks)) <= 10
