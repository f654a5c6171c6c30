"""The long form: `scripts/fuzz [target] [--seconds N]`. Ends with 1 where a property does not hold."""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.engine import Broken, Fuzzed, Target, targets

_FOUND = Path(__file__).parents[2] / ".cache" / "fuzz"


def main() -> int:
    known = targets()
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=sorted(known), help="one target only")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers; drawn and shown by default")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give the target these bytes, once")
    parser.add_argument("--list", action="store_true", help="name the targets")
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(sorted(known)))  # noqa: T201 - a command's output
        return 0
    if chosen.replay is not None:
        target = known.get(chosen.target or "")
        if not isinstance(target, Target):
            parser.error("--replay needs a target that takes bytes")
        target.check(chosen.replay.read_bytes())
        return 0
    seed = random.SystemRandom().getrandbits(32) if chosen.seed is None else chosen.seed
    names = [chosen.target] if chosen.target else sorted(known)
    return max(_run(known[name], seed, chosen.seconds) for name in names)


def _run(target: Fuzzed, seed: int, seconds: float) -> int:
    try:
        done = target.until(time.monotonic() + seconds, seed)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        traceback.print_exc()
        again = ""
        if isinstance(error, Broken):
            _FOUND.mkdir(parents=True, exist_ok=True)
            file = _FOUND / f"{target.name}-{hashlib.sha256(error.data).hexdigest()[:16]}.bin"
            file.write_bytes(error.data)
            again = f"; again: scripts/fuzz {target.name} --replay {file}"
        print(f"{target.name}: broken (seed {seed}){again}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{target.name}: {done} in {seconds:g} s (seed {seed})", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
