"""The long form: `scripts/fuzz [TARGET | --all] [--seconds N]`. Ends with 1 where a property does not hold."""

from __future__ import annotations

import argparse
import random
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from tests.fuzz.engine import Target, targets
from tests.fuzz.report import Outcome, add_up, as_json, as_markdown, fuzz, inputs_so_far, promote, record


def main() -> int:
    known = targets()
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", choices=[*sorted(known), []], help="these only; none is the same as --all")
    parser.add_argument("--all", action="store_true", help="every target")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    parser.add_argument("--inputs", type=float, default=float("inf"), help="so many for each target, with those of "
                        "earlier runs: what was reached is not run again")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="targets at once (1)")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers; drawn and shown by default")
    parser.add_argument("--guided", action="store_true", help="damage further what reached something new")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was done, .json or .md")
    parser.add_argument("--record", action="store_true", help="write the totals to tests/fuzz/TRIED.md")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give the target these bytes, once")
    parser.add_argument("--promote", action="store_true", help="put the best that was found into tests/fuzz/corpus")
    parser.add_argument("--list", action="store_true", help="name the targets")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(sorted(known)))  # noqa: T201 - a command's output
        return 0
    if chosen.promote:
        for name in chosen.target or sorted(known):
            target = known[name]
            if isinstance(target, Target):
                print(f"{name}: {promote(target)} more")  # noqa: T201
        return 0
    if chosen.replay is not None:
        target = known.get(chosen.target[0]) if len(chosen.target) == 1 else None
        if not isinstance(target, Target):
            parser.error("--replay needs one target that takes bytes")
        target.check(chosen.replay.read_bytes())
        return 0
    seed = random.SystemRandom().getrandbits(32) if chosen.seed is None else chosen.seed
    done = inputs_so_far()
    left = {name: chosen.inputs - done.get(name, 0) for name in chosen.target or sorted(known)}
    outcomes: list[Outcome] = []
    # a fresh process each: what one target takes of memory is not laid to another's charge
    with ProcessPoolExecutor(chosen.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        waiting = [
            pool.submit(fuzz, name, seed=seed, seconds=chosen.seconds, most=most, guided=chosen.guided)
            for name, most in left.items()
            if most > 0
        ]
        for one in as_completed(waiting):
            outcomes.append(one.result())
            add_up(outcomes[-1])
            print(outcomes[-1].line(), flush=True)  # noqa: T201
    if chosen.report:
        text = as_json(outcomes) if chosen.report.suffix == ".json" else as_markdown([asdict(one) for one in outcomes])
        chosen.report.write_text(text)
    if chosen.record:
        record()
    return int(any(one.failure for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
