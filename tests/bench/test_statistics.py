import pytest

from streamwatch.bench.statistics import middle, percentile


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 5.0), (0.51, 6.0), (0.95, 10.0), (1.0, 10.0)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    values = [float(number) for number in (3, 1, 2, 10, 9, 8, 4, 5, 6, 7)]
    assert percentile(values, share) == value


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile([], 0.5) is None


def test_the_middle_of_runs_passes_over_what_was_not_measured() -> None:
    runs = [{"cpu": 3.0, "alert": None}, {"cpu": 1.0, "alert": 7.0}, {"cpu": 2.0, "alert": None, "late": None}]
    assert middle(runs) == {"cpu": 2.0, "alert": 7.0, "late": None}
