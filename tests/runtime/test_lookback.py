"""Which pictures bear a suspicion out."""

import itertools
from fractions import Fraction

import pytest

from streamwatch.domain.media import CodecConfig, MediaTime, Packet
from streamwatch.runtime.lookback import Doubt, Missing, SecondLook, beginning, instants

CONFIG = CodecConfig("h264")


def held(first: float, last: float, *, fps: int = 25) -> list[Packet]:
    times = [MediaTime.of(tick, Fraction(1, fps)) for tick in range(round(first * fps), round(last * fps))]
    return [Packet(CONFIG, b"", time, time, key=time.ticks % 50 == 0, arrival=time.seconds) for time in times]


def looked_at(packets: list[Packet], around: float, *, missing: int = 1, spacing: float = 0.4) -> list[float]:
    doubt = Doubt(MediaTime.of(round(around * 1000), Fraction(1, 1000)), missing, spacing)
    return sorted(time.seconds for time in instants(packets, doubt))


def test_the_nearest_pictures_that_count_are_chosen_on_both_sides():
    assert looked_at(held(0, 8), 4.0) == pytest.approx([3.56, 4.44, 4.88]) or looked_at(held(0, 8), 4.0) == (
        pytest.approx([3.12, 3.56, 4.44])
    )


def test_only_what_was_received_can_be_chosen():
    assert looked_at(held(0, 4.04), 4.0) == pytest.approx([2.68, 3.12, 3.56])
    assert looked_at(held(3.8, 4.3), 4.0) == []
    assert looked_at([], 4.0) == []


def test_more_missing_hits_are_more_pictures():
    assert len(looked_at(held(0, 10), 5.0, missing=4)) == 6


@pytest.mark.parametrize("spacing", [0.0, 0.04, 0.4, 1.0, 3.0])
def test_all_lie_apart_by_the_rules_spacing(spacing: float):
    times = [*looked_at(held(0, 10), 5.0, missing=3, spacing=spacing), 5.0]
    times.sort()
    assert all(b - a >= spacing for a, b in itertools.pairwise(times))


def test_pictures_without_a_time_are_passed_over():
    packets = [packet._replace(pts=None) for packet in held(0, 4)]
    assert looked_at(packets, 2.0) == []


def at(seconds: float) -> MediaTime:
    return MediaTime.of(round(seconds * 1000), Fraction(1, 1000))


def test_once_what_lies_before_was_looked_at_the_first_picture_after_it_that_counts_is_chosen():
    assert [time.seconds for time in instants(held(0, 8), Doubt(at(4.0), 1, 0.4, onward=True))] == pytest.approx([4.44])
    assert instants(held(0, 4.4), Doubt(at(4.0), 1, 0.4, onward=True)) == frozenset()


def test_no_more_is_decoded_than_what_the_wanted_pictures_need():
    packets = held(0, 8)
    assert beginning(packets, [at(4.44), at(5.0)])[0].pts == at(4)
    assert beginning(packets, [at(3.96), at(5.0)])[0].pts == at(2)
    assert beginning(packets, [at(0.2)])[0].pts == at(0)


ONE = {"rule": Missing(1, 0.4)}


def test_a_suspicion_is_looked_around_once_then_onward_once_and_then_left_to_the_looks_that_come():
    second = SecondLook()
    assert second.arises(at(4), ONE) == Doubt(at(4), 1, 0.4)
    assert second.looked(ONE) == Doubt(at(4), 1, 0.4, onward=True)
    assert second.looked(ONE) is None
    assert second.arises(at(5), ONE) is None
    assert second.arises(at(6), {}) is None  # it was confirmed, or faded
    assert second.arises(at(90), ONE) == Doubt(at(90), 1, 0.4)


def test_what_was_confirmed_by_what_lay_before_it_needs_nothing_more():
    second = SecondLook()
    second.arises(at(4), ONE)
    assert second.looked({}) is None


def test_a_rule_that_suspects_something_does_not_use_up_another_ones_second_look():
    second = SecondLook()
    card, act = {"card": Missing(1, 0.4)}, {"act": Missing(2, 1.0)}
    second.arises(at(4), card)
    assert second.arises(at(5), {**card, **act}) == Doubt(at(5), 2, 1.0)
    assert second.arises(at(6), {**card, **act}) is None
    assert second.arises(at(7), act) is None
    assert second.arises(at(8), {**card, **act}) == Doubt(at(8), 1, 0.4), "the card's first suspicion was over"


def test_what_does_not_come_is_not_waited_for_longer_than_it_could_take():
    second, doubt = SecondLook(), Doubt(at(4), 1, 0.4, onward=True)
    second.wait(doubt, now=100, burst_s=0)
    second.wait(doubt, now=102, burst_s=0)  # asking again does not prolong it
    second.give_up(103)
    assert second.pending is doubt
    second.give_up(103.5)
    assert second.pending is None
    second.wait(doubt, now=200, burst_s=6)
    second.give_up(209)
    assert second.pending is doubt
