"""Overload is declared: once when it begins, and taken back when there is room."""

import pytest

from streamwatch.daemon.pressure import Pressure
from streamwatch.link.messages import Beat
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics


def beat(load: float, suspicion: float = 1.0) -> Beat:
    return Beat(
        busy_s=0, rss_bytes=1, cpu={}, looks_dropped=0, packets_dropped=0, received={},
        load=load, suspicion_stretch=suspicion, floor_stretch=max(load, 1),
    )  # fmt: skip


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def pressure(health: Health, metrics: Metrics) -> Pressure:
    return Pressure(metrics=metrics, health=health)


def test_a_watcher_that_is_asked_for_too_much_is_declared_and_one_with_room_again_taken_back(
    pressure: Pressure, health: Health
) -> None:
    story = [(0.9, False), (1.01, False), (1.2, True), (1.0, True), (0.9, False)]
    for load, degraded in story:
        pressure.beat(0, beat(load))
        assert health.is_degraded("overload") is degraded, load


def test_the_fullest_watcher_counts_and_a_dead_one_says_nothing(pressure: Pressure, health: Health) -> None:
    pressure.beat(0, beat(2.9))
    pressure.beat(1, beat(0.2))
    assert health.reasons == ("overload: watchers have about 3 times the looks they can take; gaps stretch as much",)
    pressure.lost(0)
    assert health.state == "online"


def test_stretched_suspicion_is_declared_by_itself(pressure: Pressure, health: Health) -> None:
    pressure.beat(0, beat(0.8, suspicion=1.6))
    (reason,) = health.reasons
    assert "suspicious streams" in reason
    assert "1.75 times more seldom" in reason


@pytest.mark.parametrize("story", [[1.55, 1.8, 1.3, 2.3], [3.5, 4.4, 2.7, 5.3], [40.0, 11.0, 200.0, 10.5]])
def test_figures_that_wander_are_not_said_again(pressure: Pressure, health: Health, story: list[float]) -> None:
    pressure.beat(0, beat(story[0], suspicion=story[0]))
    health.changed = False
    for factor in story[1:]:
        pressure.beat(0, beat(factor, suspicion=factor))
        assert not health.changed, factor


def test_a_third_more_or_less_is_said_and_beyond_ten_times_only_that(pressure: Pressure, health: Health) -> None:
    said = []
    for load in (1.7, 2.3, 2.4, 3.1, 3.4, 9.5, 12.0, 14.0, 10.0, 6.0, 1.1, 0.9, 1.1):
        pressure.beat(0, beat(load))
        said.append(next(iter(health.reasons), "").partition(" have ")[2].partition(" times")[0])
    assert said == [
        "about 1.75", "about 1.75", "about 2.5", "about 2.5", "about 4", "about 10", "about 10", "more than 10",
        "more than 10", "about 6", "about 1.25", "", "about 1.25",
    ]  # fmt: skip


def test_figures_say_it_too(pressure: Pressure, metrics: Metrics) -> None:
    pressure.beat(0, beat(2.0, suspicion=3.0))
    page = metrics.render().decode()
    assert "streamwatch_load 2.0" in page
    assert 'streamwatch_stretch{claim="suspicion"} 3.0' in page
    assert 'streamwatch_stretch{claim="floor"} 2.0' in page
