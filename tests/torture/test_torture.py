"""The torture in its bounded form. By hand, for longer: `scripts/torture-alerts`."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.fakes.mosquitto import needs_mosquitto
from tests.torture import scenarios
from tests.torture.report import Report
from tests.torture.torment import Plan

pytestmark = [needs_mosquitto, pytest.mark.integration]

_log = logging.getLogger("figures")


def _lost_nothing(report: Report) -> None:
    """Figures are seen with `--log-cli-level=INFO`, and judged by the script alone: here other things run beside."""
    _log.info("\n%s", report.text)
    assert not report.faults, report.text


async def test_kills_and_cuts_lose_nothing(tmp_path: Path) -> None:
    _lost_nothing(await scenarios.chaos(tmp_path, Plan(kills=3, cuts=3, seed=1), rate=50))


async def test_nor_does_a_broker_that_forgets_what_it_acknowledged(tmp_path: Path) -> None:
    _lost_nothing(await scenarios.chaos(tmp_path, Plan(kills=3, cuts=3, seed=2), rate=50, forget_s=5))


async def test_nor_one_that_forgets_and_comes_back_late(tmp_path: Path) -> None:
    _lost_nothing(await scenarios.forgotten(tmp_path, seed=1, rate=50, away_s=300))


async def test_a_clock_that_jumps_an_hour_does_no_harm(tmp_path: Path) -> None:
    _lost_nothing(await scenarios.clock(tmp_path, seed=1, rate=50, jumps=10))


async def test_what_is_measured_loses_nothing_either(tmp_path: Path) -> None:
    _lost_nothing(await scenarios.latency(_folder(tmp_path, "latency"), seed=1, rate=200, seconds=3))
    _lost_nothing(await scenarios.outage(_folder(tmp_path, "outage"), seed=1, waiting=1200))


def test_what_an_event_costs_the_ledger_can_be_measured(tmp_path: Path) -> None:
    _lost_nothing(scenarios.ledger(tmp_path, events=100))


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
