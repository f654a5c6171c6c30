"""`scripts/torture-alerts`: kill, cut off and mislead the alert chain, then count what was lost.

Exit 0: nothing was lost and every promise was kept. 1: something is wrong; what is said. 3: something is missing here.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path

from tests.torture import scenarios
from tests.torture.scenarios import Report
from tests.torture.torment import Plan

_NEEDED = ("mosquitto", "mosquitto_sub")
SCENARIOS = ("chaos", "latency", "outage", "ledger", "clock", "forgotten")
LONG = 100


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's output


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/torture-alerts", description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, default="chaos")
    parser.add_argument("--seed", type=int, default=1, help="of every random moment (default 1)")
    parser.add_argument("--kills", type=int, default=5, help="of the broker, and as many of the daemon (chaos)")
    parser.add_argument("--cuts", type=int, default=5, help="troubles of the line between them (chaos)")
    parser.add_argument("--rate", type=float, help="events a second (default 50; latency: 200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (latency)")
    parser.add_argument("--waiting", type=int, default=36_000, help="events that wait: 10/s for 1 h (outage)")
    parser.add_argument("--forget", type=float, metavar="S", help="broker that saves every S seconds only (chaos)")
    parser.add_argument("--away", type=float, default=300.0, help="seconds that seem to pass (forgotten)")
    parser.add_argument("--jumps", type=int, default=10, help="of the clock (clock)")
    parser.add_argument("--events", type=int, default=3000, help="written (ledger)")
    parser.add_argument("--long", action="store_true", help=f"{LONG} kills each and {LONG} cuts (chaos)")
    parser.add_argument("--folder", type=Path, help="on whose disk ledger and broker write (default: a temporary one)")
    parser.add_argument("--keep", action="store_true", help="keep state, logs and folders; says where")
    chosen = parser.parse_args()
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    if lacking and chosen.scenario != "ledger":
        print(f"not installed: {', '.join(lacking)}", file=sys.stderr)  # noqa: T201
        return 3
    folder = Path(tempfile.mkdtemp(prefix="streamwatch-torture-", dir=chosen.folder))
    report: Report | None = None
    try:
        report = _run(chosen, folder)
    finally:
        if chosen.keep or report is None or report.faults:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"{chosen.scenario}\n{report.text}")
    return 1 if report.faults else 0


def _run(chosen: argparse.Namespace, folder: Path) -> Report:
    seed, rate = chosen.seed, chosen.rate or (200.0 if chosen.scenario == "latency" else 50.0)
    if chosen.scenario == "ledger":
        return scenarios.ledger(folder, events=chosen.events)
    kills, cuts = (LONG, LONG) if chosen.long else (chosen.kills, chosen.cuts)
    scenario: Awaitable[Report]
    match chosen.scenario:
        case "latency":
            scenario = scenarios.latency(folder, seed=seed, rate=rate, seconds=chosen.seconds)
        case "outage":
            scenario = scenarios.outage(folder, seed=seed, waiting=chosen.waiting)
        case "clock":
            scenario = scenarios.clock(folder, seed=seed, rate=rate, jumps=chosen.jumps)
        case "forgotten":
            scenario = scenarios.forgotten(folder, seed=seed, rate=rate, away_s=chosen.away)
        case _:
            plan = Plan(kills=kills, cuts=cuts, seed=seed)
            scenario = scenarios.chaos(folder, plan, rate=rate, forget_s=chosen.forget)
    return asyncio.run(_awaited(scenario))


async def _awaited(scenario: Awaitable[Report]) -> Report:
    return await scenario


if __name__ == "__main__":
    sys.exit(main())
