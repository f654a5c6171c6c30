"""What gives way when a machine is too small, and in what order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.sampling.capacity import COMFORT, RESERVED, WISHES, Claim, Load, Plan, Prices, plan

CALM = Load(
    look_s=0.008,
    score_s=0.003,
    between_s=0.03,
    key_interval_s=2.0,
    promise_s=8.0,
    wish_s=8.0,
    aim_s=8.0,
    suspicious=False,
)
KEEN = CALM._replace(wish_s=4.0)
SUSPECT = CALM._replace(suspicious=True, aim_s=0.5)
FITTING = int(COMFORT / (0.008 / 8.0))
"""Calm streams that one worker can look at."""


def taken(loads: list[Load], made: Plan) -> float:
    """Worker time a second under a plan."""
    total = 0.0
    for load in loads:
        if load.suspicious:
            total += load.rate(min(load.aim_s * made.suspicion_stretch, load.promise_s))
        else:
            wished = load.rate(load.promise_s) + (1 - made.thrift) * (
                load.rate(load.wish_s) - load.rate(load.promise_s)
            )
            total += wished / made.floor(load.weight)
    return total


def test_with_room_for_all_nothing_gives_way() -> None:
    made = plan([CALM] * 400 + [KEEN] * 100 + [SUSPECT] * 3, workers=1)
    assert (made.thrift, made.suspicion_stretch, made.floor_stretch) == (0, 1, 1)
    assert made.load == pytest.approx(503 / FITTING, rel=0.01)


def test_first_go_the_looks_that_nobody_was_promised_and_only_as_many_as_must() -> None:
    loads = [KEEN] * 500
    made = plan(loads, workers=1)
    assert 0 < made.thrift < 1
    assert (made.suspicion_stretch, made.floor_stretch) == (1, 1)
    assert taken(loads, made) == pytest.approx(WISHES, rel=0.01)


def test_then_suspicion_beyond_its_share_stretches_while_the_promise_holds() -> None:
    loads = [CALM] * 300 + [SUSPECT] * 60
    made = plan(loads, workers=1)
    assert made.thrift == 1
    assert made.suspicion_stretch > 1
    assert made.floor_stretch == 1
    assert taken(loads, made) <= COMFORT
    less = made._replace(suspicion_stretch=made.suspicion_stretch * 0.98)
    assert taken(loads, less) > COMFORT, "it was stretched for nothing"


def test_suspicion_within_its_share_is_not_stretched_however_many_streams_there_are() -> None:
    fits = int(RESERVED[Claim.SUSPICION] * COMFORT / SUSPECT.rate(0.5))
    made = plan([CALM] * 3 * FITTING + [SUSPECT] * fits, workers=1)
    assert made.suspicion_stretch == 1
    assert made.floor_stretch > 3


def test_at_three_times_the_load_all_gaps_are_three_times_as_long() -> None:
    made = plan([CALM] * 3 * FITTING, workers=1)
    assert made.load == pytest.approx(3, rel=0.01)
    assert made.floor(1.0) == pytest.approx(3, rel=0.01)


def test_a_heavy_stream_keeps_its_promise_longer_and_a_light_one_loses_it_first() -> None:
    loads = [CALM._replace(weight=w) for w in (0.5, 1.0, 4.0) for _ in range(FITTING // 2)]
    made = plan(loads, workers=1)
    assert made.floor(4.0) == 1
    assert made.floor(0.5) == pytest.approx(2 * made.floor(1.0))
    assert taken(loads, made) == pytest.approx(COMFORT, rel=0.01)


def test_two_workers_do_twice_as_much() -> None:
    assert plan([CALM] * 2 * FITTING, workers=2).load == pytest.approx(plan([CALM] * FITTING, workers=1).load)


@settings(deadline=None)
@given(
    calm=st.integers(0, 5000),
    keen=st.integers(0, 500),
    suspects=st.integers(0, 2000),
    workers=st.floats(0.1, 8),
)
def test_whatever_is_asked_what_is_planned_fits_and_nobody_is_stretched_for_nothing(
    calm: int, keen: int, suspects: int, workers: float
) -> None:
    loads = [CALM] * calm + [KEEN] * keen + [SUSPECT] * suspects
    made = plan(loads, workers)
    promised = sum(load.rate(load.promise_s) for load in loads)
    assert made.floor(1.0) >= 1 <= made.suspicion_stretch
    assert 0 <= made.thrift <= 1
    if promised <= workers * COMFORT and not suspects:
        assert made.floor_stretch == 1
        assert taken(loads, made) <= workers * COMFORT * 1.01


def test_prices_follow_what_was_measured() -> None:
    prices = Prices()
    assert prices.key_s("h264", 30_000) == pytest.approx(0.0039)
    for _ in range(200):
        prices.decoded("h264", 30_000, 0.006, key=True)
        prices.decoded("h264", 70_000, 0.021, key=False)
        prices.scored(0.004)
        prices.took(0.010, 0.013)
    assert prices.key_s("h264", 60_000) == pytest.approx(0.012)
    assert prices.between_s("h264", 7_000) == pytest.approx(0.0021)
    assert prices.score_s == pytest.approx(0.004, rel=0.01)
    assert prices.workers(2) == pytest.approx(2 / 1.3, rel=0.01)


def test_a_look_that_took_no_time_teaches_nothing() -> None:
    prices = Prices()
    prices.decoded("h264", 0, 0.0, key=True)
    prices.took(0.0, 1.0)
    assert prices.key_s("h264", 1000) == Prices().key_s("h264", 1000)
    assert prices.workers(1) == 1


def test_without_overload_a_light_stream_keeps_its_promise_too() -> None:
    assert Plan().floor(0.1) == 1.0
    made = plan([CALM._replace(weight=0.1)] * 100, workers=1)
    assert made.floor(0.1) == 1.0


def test_with_a_little_overload_only_the_light_ones_wait() -> None:
    loads = [CALM._replace(weight=w) for w in (0.5, 1.0) for _ in range(round(FITTING * 0.6))]
    made = plan(loads, workers=1)
    assert made.floor(1.0) == 1.0
    assert 1.2 < made.floor(0.5) < 2.0
    assert taken(loads, made) == pytest.approx(COMFORT, rel=0.01)


def test_one_stream_with_rare_keys_is_not_made_cheaper_by_longer_gaps() -> None:
    rare = CALM._replace(key_interval_s=60.0, between_s=0.5, promise_s=9.5)
    made = plan([rare] + [CALM] * FITTING, workers=1)
    left = COMFORT - rare.between_s
    assert made.floor(1.0) == pytest.approx(COMFORT / left, rel=0.05)


def test_looks_for_novelty_are_counted_in_what_is_wished_for() -> None:
    restless = CALM._replace(hints_per_s=0.1)
    made = plan([restless] * round(FITTING * 0.75), workers=1)
    assert made.floor_stretch == 1.0
    assert 0.5 < made.thrift < 1.0


def test_where_decoding_everything_is_too_much_key_pictures_alone_are_planned_with() -> None:
    """A promise of 1 s and keys every 2 s: 100 streams cannot be decoded whole, but each key can be looked at."""
    loads = [CALM._replace(promise_s=0.95, wish_s=0.95, aim_s=0.95)] * 100
    assert sum(load.rate(load.promise_s) for load in loads) > 3
    made = plan(loads, workers=1)
    assert made.floor(1.0) == pytest.approx(2.0 / 0.95, rel=0.01)
