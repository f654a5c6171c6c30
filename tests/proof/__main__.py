"""`scripts/prove-no-footage`: live through everything with a marker on screen, then look for it everywhere.

Exit 0: nothing was found. 1: something was; what and where is said. 3: something is missing to make the proof.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.proof import life, marker, verdict

_KEPT = Path(__file__).resolve().parents[2] / ".cache" / "proof"
_NEEDED = ("nginx", "ffmpeg", "mosquitto", "mosquitto_sub", "strace")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's output


def missing() -> str | None:
    """What stands in the way of a proof, if anything does."""
    absent = [name for name in _NEEDED if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    tried = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=write", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"strace may not trace here: {tried.stderr.strip()[:300]}" if tried.returncode else None


async def prove(folder: Path) -> tuple[verdict.Verdict, life.Lived]:
    """One whole life and its verdict."""
    begun = time.monotonic()

    def tell(phase: str) -> None:
        say(f"  {time.monotonic() - begun:5.1f} s  {phase}")

    made = await marker.make()
    say("a stream with a marker is watched; every process of ours is traced")
    lived = await life.whole(folder, made, tell)
    say("now it is looked for")
    return verdict.reach(lived, made), lived


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove-no-footage", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep traces, logs and folders; says where")
    parser.add_argument("--attestation", type=Path, metavar="FILE", help="where it goes (default: below .cache/proof)")
    chosen = parser.parse_args()
    if (lacking := missing()) is not None:
        print(f"no proof can be made: {lacking}", file=sys.stderr)  # noqa: T201
        return 3
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="streamwatch-proof-"))
    try:
        reached, lived = asyncio.run(prove(folder))
    except AssertionError as error:  # a server did not start, a phase did not come: there is no verdict
        print(f"no proof was made: {error}", file=sys.stderr)  # noqa: T201
        return 3
    finally:
        if chosen.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    document = verdict.attestation(reached, lived, time.monotonic() - begun)
    path = chosen.attestation or _KEPT / f"attestation-{document['at'].replace(':', '')}.json"
    verdict.write(document, path)
    for found in reached.findings:
        say(f"FOUND  {found.place}: {found.what}" + (f" ({found.pieces} pieces)" if found.pieces > 1 else ""))
    say(
        f"{reached.judged.calls} calls of {sum(reached.processes.values())} processes, {reached.searched >> 20} MiB in "
        f"{reached.tally.changed} changed files and all that was said, {reached.patterns} pieces of "
        f"{len(reached.forms)} forms"
    )
    say(f"attestation: {path}")
    say("proved: no footage" if reached.proved else f"NOT proved: {len(reached.findings)} findings")
    return 0 if reached.proved else 1


if __name__ == "__main__":
    sys.exit(main())
