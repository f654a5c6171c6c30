import pytest

from streamwatch.bench import scenarios
from streamwatch.bench.scenarios import Goal


def test_a_goal_is_met_at_its_limit_and_says_by_how_much_it_is_missed() -> None:
    most, least = Goal("cpu", 0.06), Goal("streams", 800, at_least=True)
    assert (most.met(0.06), most.met(0.061), most.met(None)) == (True, False, None)
    assert (least.met(800), least.met(799)) == (True, False)
    assert most.miss(0.09) == pytest.approx(0.5)
    assert most.miss(0.03) == pytest.approx(-0.5)
    assert least.miss(600) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("streams", "share", "tried"),
    [
        (200, 0.1, 1000),  # no more than allowed
        (200, 0.34, 500),
        (200, 0.84, 220),  # near the end by tenths
        (200, 1.2, 220),
        (5, 0.84, 6),
        (300, 0.0, 600),
    ],
)
def test_the_search_goes_far_while_there_is_room_and_then_slowly(streams: int, share: float, tried: int) -> None:
    assert scenarios.next_count(streams, share, most=1000) == tried


def test_the_lower_bound_is_that_of_the_looks_that_were_taken() -> None:
    figures = {"looks_per_min": 30.0, "cpu": 0.2, "received_kilobits": 70.0}
    found = scenarios.derived(figures, 5.0, 700.0)
    assert found["bound"] == pytest.approx(0.15)
    assert found["to_bound"] == pytest.approx(0.2 / 0.15)
    assert found["bytes_share"] == pytest.approx(0.1)
    assert scenarios.derived({}, None, 700.0) == {"bound": None, "to_bound": None, "bytes_share": None}


def test_names_are_unique() -> None:
    names = [scenario.name for scenario in scenarios.SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(scenarios.named(name) is not None for name in names)
    assert scenarios.named("none") is None
