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


def test_small_changes_are_not_said_again(pressure: Pressure, health: Health) -> None:
    pressure.beat(0, beat(1.55))
    health.changed = False
    pressure.beat(0, beat(1.65))
    assert not health.changed


def test_figures_say_it_too(pressure: Pressure, metrics: Metrics) -> None:
    pressure.beat(0, beat(2.0, suspicion=3.0))
    page = metrics.render().decode()
    assert "streamwatch_load 2.0" in page
    assert 'streamwatch_stretch{claim="suspicion"} 3.0' in page
    assert 'streamwatch_stretch{claim="floor"} 2.0' in page
