"""Which pictures bear a suspicion out."""

import itertools
from fractions import Fraction

import pytest

from streamwatch.domain.media import CodecConfig, MediaTime, Packet
from streamwatch.runtime.lookback import Doubt, instants

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
