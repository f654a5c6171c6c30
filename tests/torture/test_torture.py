"""The torture in its bounded form. By hand, for longer: `scripts/torture-alerts`."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.fakes.mosquitto import needs_mosquitto
from tests.torture import scenarios
from tests.torture.scenarios import Report
from tests.torture.torment import Plan

pytestmark = [needs_mosquitto, pytest.mark.integration, pytest.mark.alone]

_log = logging.getLogger("figures")


def _kept(report: Report) -> None:
    """Figures are seen with `--log-cli-level=INFO`, and where a promise was broken."""
    _log.info("\n%s", report.text)
    assert not report.faults, report.text


async def test_kills_and_cuts_lose_nothing(tmp_path: Path) -> None:
    _kept(await scenarios.chaos(tmp_path, Plan(kills=3, cuts=3, seed=1), rate=50))


async def test_nor_does_a_broker_that_forgets_what_it_acknowledged(tmp_path: Path) -> None:
    _kept(await scenarios.chaos(tmp_path, Plan(kills=3, cuts=3, seed=2), rate=50, forget_s=5))


async def test_nor_one_that_forgets_and_comes_back_late(tmp_path: Path) -> None:
    _kept(await scenarios.forgotten(tmp_path, seed=1, rate=50, away_s=300))


async def test_a_clock_that_jumps_an_hour_does_no_harm(tmp_path: Path) -> None:
    _kept(await scenarios.clock(tmp_path, seed=1, rate=50, jumps=12))


async def test_alerts_arrive_within_milliseconds(tmp_path: Path) -> None:
    _kept(await scenarios.latency(tmp_path, seed=1, rate=200, seconds=5))


async def test_what_waited_drains_and_delays_nothing_urgent(tmp_path: Path) -> None:
    _kept(await scenarios.outage(tmp_path, seed=1, waiting=3600))


def test_an_event_costs_the_ledger_milliseconds(tmp_path: Path) -> None:
    _kept(scenarios.ledger(tmp_path, events=500))
