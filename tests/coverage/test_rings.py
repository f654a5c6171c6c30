import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.coverage.rings import DAY, HOUR, MINUTE, STEP_S, WINDOWS, Rings


def test_nothing_live_is_full_coverage() -> None:
    assert Rings().sums(DAY, 1e9).ratio is None


def test_what_is_older_than_a_window_falls_out_of_it() -> None:
    rings = Rings()
    rings.add(0, 100, covered=False)
    rings.add(100, 4000, covered=True)
    assert rings.sums(MINUTE, 4000).uncovered_s == 0
    assert rings.sums(HOUR, 4000).uncovered_s == 0
    assert rings.sums(DAY, 4000).uncovered_s == pytest.approx(100)
    assert rings.sums(MINUTE, 4000).live_s == pytest.approx(60, abs=5)
    assert rings.sums(HOUR, 4000).live_s == pytest.approx(3600, abs=60)
    assert rings.sums(DAY, 4000 + 100_000) == (0, 0, 0)


@given(
    st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 200_000), st.booleans()), min_size=1, max_size=30),
    st.floats(0, 2000),
)
def test_windows_hold_at_least_what_their_name_says_and_at_most_a_bucket_more(spans, rest) -> None:
    rings, now, kept = Rings(), 1.8e9, []
    for wait, lasted, covered in spans:
        start, now = now + wait, now + wait + lasted
        rings.add(start, now, covered=covered)
        kept.append((start, now, covered))
    now += rest
    for index, (window, length) in enumerate(zip(WINDOWS, (60, 3600, 86_400), strict=True)):
        found = rings.sums(index, now)
        least = sum(max(end - max(start, now - length), 0) for start, end, _ in kept)
        most = sum(max(end - max(start, now - length - window.width_s), 0) for start, end, _ in kept)
        assert least - 0.01 <= found.live_s <= most + 0.01
        assert 0 <= found.uncovered_s <= found.live_s + 0.01


def test_what_was_kept_is_what_is_loaded() -> None:
    rings, again = Rings(), Rings()
    rings.add(1000.5, 5000.25, covered=True)
    rings.add(5000.25, 5010.0, covered=False)
    rings.add_breach(5000.25)
    buckets = list(rings.changed(float("-inf"), finest=STEP_S))
    again.load(reversed(buckets))
    for window in (MINUTE, HOUR, DAY):
        assert again.sums(window, 5010) == rings.sums(window, 5010)
    again.add_step(5010 // STEP_S, 5, 0)
    assert again.sums(DAY, 5015).live_s == pytest.approx(5010 - 1000.5 + 5)


def test_only_what_changed_is_written_again() -> None:
    rings = Rings()
    rings.add(0, 7200, covered=True)
    assert {(b.width_s, b.number) for b in rings.changed(7150, finest=60)} == {(60, 119), (600, 11)}


@pytest.mark.parametrize("now", [0.0, 59.0, 1e6])
def test_late_additions_to_closed_buckets_count_and_ancient_ones_do_not(now: float) -> None:
    rings = Rings()
    rings.add(now + 100, now + 110, covered=True)
    rings.add(now + 90, now + 95, covered=False)
    assert rings.sums(HOUR, now + 110).uncovered_s == pytest.approx(5)
    rings.add(now - 9e6, now - 9e6 + 50, covered=False)
    assert rings.sums(DAY, now + 110).uncovered_s == pytest.approx(5)
