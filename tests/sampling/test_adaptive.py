import itertools
import random
from dataclasses import replace

import pytest

from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.adaptive import AdaptiveSampler
from streamwatch.sampling.capacity import CALM as CALM_PLAN
from streamwatch.sampling.capacity import Claim, Plan
from streamwatch.sampling.novelty import Budget
from streamwatch.sampling.suspicion import HALF_LIFE_S

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


@pytest.mark.parametrize("key_every", [9.6, 9.8, 10.0])
def test_a_key_that_comes_when_the_gap_ends_is_waited_for_a_moment(key_every: float) -> None:
    keys = {round(number * key_every, 3) for number in range(30)}
    looks = drive(sampler(), seconds=200, key_every=key_every)
    assert {round(at, 3) for at in looks if at > key_every + 1} <= keys, "once it is known how far apart they are"
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


def test_a_new_stream_is_looked_at_twice_as_often_at_first_and_less_and_less_so() -> None:
    subject = sampler(replace(CALM, young_s=100))
    looks = drive(subject, seconds=300, key_every=1)
    early, late = [at for at in looks if at < 40], [at for at in looks if 200 <= at < 240]
    assert len(early) >= 1.5 * len(late)
    assert gaps(looks)[0] <= 5


def test_a_stream_that_was_live_before_is_not_new() -> None:
    subject = AdaptiveSampler(replace(CALM, young_s=100), rng=random.Random(1), young=False)
    assert subject.gap_s == CALM.max_gap_s


@pytest.mark.parametrize(("weight", "expected"), [(0.5, 10), (1, 10), (2, 5), (4, 2.5), (1000, 2)])
def test_weight_brings_more_looks_up_to_one_a_key_and_never_fewer_than_promised(weight: float, expected: float) -> None:
    subject = AdaptiveSampler(CALM, rng=random.Random(1), weight=weight)
    drive(subject, seconds=20, key_every=2)
    assert subject.gap_s == pytest.approx(expected)


def test_what_nobody_was_promised_gives_way_to_thrift() -> None:
    subject = AdaptiveSampler(replace(CALM, young_s=1000), rng=random.Random(1), weight=4)
    drive(subject, seconds=20, key_every=1)
    assert subject.gap_s < 2
    subject.press(Plan(thrift=1.0))
    assert subject.gap_s == CALM.max_gap_s


def test_stretched_suspicion_is_still_suspicion_and_never_a_longer_gap_than_promised() -> None:
    subject = sampler()
    subject.demand(1.0, until=1000, now=1)
    for stretch, expected in [(1, 0.5), (3, 1.5), (100, 10)]:
        subject.press(Plan(suspicion_stretch=stretch))
        assert subject.gap_s == pytest.approx(expected)


def test_a_wish_says_for_what_it_is_and_when_its_turn_comes() -> None:
    subject = sampler()
    first = subject.wish(7.0)
    assert (first.claim, first.floor(CALM_PLAN)) == (Claim.FLOOR, 7.0), "a stream that was never looked at goes first"
    subject.sampled(10.0)
    calm = subject.wish(18.0)
    assert (calm.claim, calm.floor(CALM_PLAN)) == (Claim.FLOOR, 20.0)
    assert calm.floor(Plan(floor_stretch=3)) == 40.0
    subject.demand(1.0, until=1000, now=18)
    keen = subject.wish(18.0)
    assert (keen.claim, keen.floor(CALM_PLAN)) == (Claim.SUSPICION, 20.0)
    assert keen.due(CALM_PLAN) == pytest.approx(10.5)
    assert keen.due(Plan(suspicion_stretch=4)) == pytest.approx(12)


def test_a_heavier_stream_keeps_its_promise_when_others_must_wait() -> None:
    heavy = AdaptiveSampler(CALM, rng=random.Random(1), weight=4)
    heavy.sampled(10.0)
    assert heavy.wish(18.0).floor(Plan(floor_stretch=3)) == 20.0


def test_suspicion_that_may_not_ask_for_more_than_the_promise_has_no_share_of_its_own() -> None:
    subject = sampler(replace(CALM, min_gap_s=10))
    subject.sampled(10.0)
    subject.demand(1.0, until=1000, now=18)
    assert subject.wish(18.0).claim is Claim.FLOOR
    assert not subject.pace.suspicious


# --- novelty: stories of (second, packet) -----------------------------------------------------------------------------


def anchors(
    subject: AdaptiveSampler, start: float, seconds: float, *, key_every: float = 2.0, large: float = -1.0
) -> list[float]:
    """Anchors of 1,000 bytes at 10 a second, one of 9,000 at `large`; returns when it was looked at."""
    looks = []
    for number in range(round(seconds * 10)):
        at = round(start + number / 10, 3)
        key = abs(at / key_every - round(at / key_every)) < 1e-6
        size = 9000 if abs(at - large) < 1e-6 else 1000
        if subject.packet(arrival=at, key=key, size=20_000 if key else size, media_s=at):
            subject.sampled(at)
            looks.append(at)
    return looks


def test_a_spike_brings_the_look_forward_to_the_next_key_where_one_comes_soon() -> None:
    subject = sampler()
    anchors(subject, 0, 24.5)
    assert anchors(subject, 24.5, 8, large=26.7) == [28.0]


def test_a_spike_is_looked_at_itself_where_the_next_key_is_far() -> None:
    subject = sampler()
    anchors(subject, 0, 40.5, key_every=8)
    assert anchors(subject, 40.5, 4, key_every=8, large=41.7)[0] == 41.7


def test_without_a_look_back_there_is_nothing_to_decode_from_so_it_waits_for_the_key() -> None:
    subject = sampler(replace(CALM, lookback_s=0))
    anchors(subject, 0, 40.5, key_every=4)
    assert 41.7 not in anchors(subject, 40.5, 3, key_every=4, large=41.7)


def test_a_key_before_its_time_is_looked_at_at_once() -> None:
    subject = sampler()
    anchors(subject, 0, 40.5, key_every=4)
    assert subject.packet(arrival=41.0, key=True, size=20_000, media_s=41.0)


def test_keys_that_arrive_in_a_heap_are_not_early() -> None:
    """Their own times say that they are as far apart as ever."""
    subject = sampler()
    for number in range(8):
        subject.packet(arrival=number * 2.0, key=True, size=1, media_s=number * 2.0)
        subject.sampled(number * 2.0)
    assert not subject.packet(arrival=14.1, key=True, size=1, media_s=16.0)


def test_hints_only_ever_bring_looks_forward_and_cost_no_more_than_their_budget() -> None:
    calm, hinted = sampler(replace(CALM, novelty=False)), sampler()
    story = [(number / 10, number % 20 == 0) for number in range(6000)]
    noise = random.Random(3)
    looks: dict[AdaptiveSampler, list[float]] = {calm: [], hinted: []}
    for at, key in story:
        size = 20_000 if noise.random() < 0.1 else 1000
        for subject, seen in looks.items():
            if subject.packet(arrival=at, key=key, size=size, media_s=at):
                subject.sampled(at)
                seen.append(at)
    assert max(gaps(looks[hinted])) <= CALM.max_gap_s
    assert len(looks[hinted]) > len(looks[calm])
    assert len(looks[hinted]) <= len(looks[calm]) + 600 / Budget.EVERY_S + Budget.BURST


@pytest.mark.parametrize("trick", ["spikes", "early keys"])
def test_whoever_makes_signs_of_novelty_does_not_choose_all_the_pictures(trick: str) -> None:
    """Clean key pictures, and a sign before each that asks for them: the inner looks come all the same."""
    subject = sampler(replace(CALM, inner=0.2))
    looks: list[tuple[float, bool]] = []
    for number in range(30_000):
        at = number / 10
        key = number % 20 == 0 or (trick == "early keys" and number % 200 == 105)
        spike = trick == "spikes" and number % 40 == 35
        if subject.packet(arrival=at, key=key, size=20_000 if key or spike else 1000, media_s=at):
            subject.sampled(at)
            looks.append((at, key))
    inside = [at for at, key in looks if not key]
    assert len(inside) / len(looks) > 0.1
    assert len({round(at % 2, 1) for at in inside}) > 8, "at instants that nobody can foresee"
    assert max(gaps([at for at, _ in looks])) <= CALM.max_gap_s


def test_under_thrift_no_hint_is_followed() -> None:
    subject = sampler()
    anchors(subject, 0, 24.5)
    subject.press(Plan(thrift=1.0))
    assert anchors(subject, 24.5, 4, large=26.7) == []


def test_under_suspicion_more_looks_fall_inside() -> None:
    spec = replace(CALM, inner=0.05, min_gap_s=4)

    def inside(suspicion: float) -> float:
        subject = sampler(spec)
        subject.demand(suspicion, until=1e9, now=0)
        looks = drive(subject, seconds=2000, key_every=2)
        return sum(round(at, 3) % 2 > 0 for at in looks) / len(looks)

    assert inside(1.0) > inside(0.0) + 0.2


def test_other_settings_keep_what_was_learnt_and_suspected() -> None:
    subject = sampler()
    drive(subject, seconds=20, key_every=4)
    subject.suspect(1.0, now=20)
    subject.tune(replace(CALM, max_gap_s=5), weight=1)
    assert subject.key_interval_s == pytest.approx(4)
    assert subject.gap_s == pytest.approx(0.5)


# --- what hostile or odd streams do -----------------------------------------------------------------------------------


def test_where_every_picture_is_a_key_and_a_dozen_are_read_at_once_nothing_breaks_and_the_promise_holds() -> None:
    subject = sampler()
    looks = []
    for read in range(200):
        for number in range(18):
            at = 100 + read * 0.3
            if subject.packet(arrival=at, key=True, size=2000, media_s=read * 0.3 + number / 60):
                subject.sampled(at)
                looks.append(at)
    assert subject.key_interval_s == pytest.approx(0.3)
    assert subject.pace.promise_s > 5
    assert max(gaps(looks)) <= CALM.max_gap_s
    assert len(looks) <= 10


def test_looks_that_show_nothing_are_tried_again_at_growing_distances_up_to_the_promise() -> None:
    subject = sampler()
    subject.sampled(0.0)
    tries = []
    for number in range(1, 6000):
        at = number / 60
        if subject.packet(arrival=at, key=True, size=1000, media_s=at):
            subject.tried(at)
            tries.append(at)
    assert len(tries) < 25
    assert gaps(tries)[:4] == pytest.approx([0.5, 1, 2, 4], abs=0.05)
    assert max(gaps(tries)) == pytest.approx(CALM.max_gap_s / 2, abs=0.1)
    assert subject.wish(101.0).since >= tries[-1], "nor is it the most urgent of all"
    subject.sampled(101.0)
    assert subject.wish(102.0).since == 101.0


def test_a_stream_that_never_showed_anything_is_held_back_too() -> None:
    subject = sampler()
    tries = [at for at in (n / 60 for n in range(1200)) if subject.packet(arrival=at, key=True, size=1) and
             subject.tried(at) is None]  # fmt: skip
    assert len(tries) < 8


def test_a_look_that_began_before_a_sign_of_novelty_does_not_answer_it() -> None:
    subject = sampler()
    anchors(subject, 0, 24.5)
    for number in range(245, 268):
        at = number / 10
        subject.packet(arrival=at, key=False, size=9000 if number == 267 else 1000, media_s=at)
    subject.sampled(24.0)  # it was under way
    assert subject.packet(arrival=28.0, key=True, size=20_000, media_s=28.0)


def test_where_all_promises_are_stretched_keys_alone_are_looked_at_as_far_as_they_keep_the_stretched_one() -> None:
    subject = sampler(replace(CALM, max_gap_s=1))
    drive(subject, seconds=20, key_every=2)
    assert subject.between_keys()
    subject.press(Plan(load=3, thrift=1, floor_stretch=2.1))
    assert not subject.between_keys()
    looks = drive(subject, seconds=60, key_every=2, start=20.0)
    assert all(round(at, 3) % 2 == 0 for at in looks[1:])
    assert max(gaps(looks)) <= 2.1
    subject.press(Plan())
    assert max(gaps(drive(subject, seconds=20, key_every=2, start=80.0))) <= 1.1


def test_a_look_at_the_sign_answers_it_though_the_decoder_gave_an_older_picture() -> None:
    subject = sampler()
    anchors(subject, 0, 40.5, key_every=8)
    for number in range(405, 418):
        at = number / 10
        due = subject.packet(arrival=at, key=False, size=9000 if number == 417 else 1000, media_s=at)
    assert due
    subject.sampled(41.5, up_to=41.7)
    assert not subject.packet(arrival=41.8, key=False, size=1000, media_s=41.8)
