"""One target run in a process of its own, and what was tried so far: in `.cache/fuzz`, and for all in TRIED.md."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fuzz.engine import CORPUS, Broken, Done, Target, targets
from tests.fuzz.guide import Guide
from tests.fuzz.watch import peak

_ROOT = Path(__file__).parents[2]
FOUND = _ROOT / ".cache" / "fuzz"
_TOTALS = FOUND / "totals.json"
_TRIED = Path(__file__).parent / "TRIED.md"
_SHORT, _FEW = 700, 16
"""Bytes of an input in the corpus of the tests, and inputs that one run adds to it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one run of one target."""

    target: str
    inputs: int
    seconds: float
    per_second: int
    corpus: int
    lines: int
    peak_mib: int
    seed: int
    commit: str
    date: str
    failure: str = ""
    """Empty, or what was broken and how to see it again."""

    def line(self) -> str:
        """For a terminal."""
        if self.failure:
            return f"{self.target}: BROKEN (seed {self.seed}): {self.failure}"
        return (
            f"{self.target}: {self.inputs:,} inputs in {self.seconds:.0f} s ({self.per_second:,}/s), corpus "
            f"{self.corpus}, {self.lines} lines reached, {self.peak_mib} MiB at most (seed {self.seed})"
        )


def fuzz(name: str, *, seed: int, seconds: float, most: float, guided: bool) -> Outcome:
    """Run one target; what it found is saved, and begun with the next time."""
    target, failure, began = targets()[name], "", time.monotonic()
    folder = FOUND / "corpus" / name
    more = [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []
    done = Done(0, 0.0)
    try:
        done = target.until(began + seconds, seed, most=most, more=more, guided=guided)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        failure = traceback.format_exc()
        if isinstance(error, Broken):
            file = _save(FOUND / "broken", name, error.data)
            failure += f"again: scripts/fuzz {name} --replay {file}"
    for data in done.kept:
        if data not in more:
            _save(folder, "", data)
    took = done.seconds or time.monotonic() - began
    return Outcome(
        target=name, inputs=done.inputs, seconds=round(took, 1), per_second=round(done.inputs / max(took, 0.001)),
        corpus=done.corpus, lines=done.lines, peak_mib=peak() >> 20, seed=seed, commit=_commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}", failure=failure,
    )  # fmt: skip


def promote(target: Target) -> int:
    """Put what was found into the corpus of the tests: the shortest inputs that reach what seeds do not; how many."""
    guide, folder = Guide(target.reads), CORPUS / target.name
    for known in (*target.seeds(), *target.corpus()):
        guide.follow(target.check, known)
    found = sorted((FOUND / "corpus" / target.name).glob("*"), key=lambda path: (path.stat().st_size, path.name))
    taken = 0
    for path in found:
        data = path.read_bytes()
        if len(data) <= _SHORT and taken < _FEW and guide.follow(target.check, data):
            _save(folder, "found", data)
            taken += 1
    return taken


def inputs_so_far() -> dict[str, int]:
    """Inputs tried without a failure, of each target, over all runs in this checkout."""
    return {name: total["inputs"] for name, total in _totals().items()}


def add_up(outcome: Outcome) -> None:
    """Add a run to the totals."""
    totals = _totals()
    before = totals.get(outcome.target, {})
    total: dict[str, Any] = asdict(outcome) | {
        "inputs": before.get("inputs", 0) + outcome.inputs,
        "seconds": round(before.get("seconds", 0.0) + outcome.seconds, 1),
        "peak_mib": max(before.get("peak_mib", 0), outcome.peak_mib),
        "lines": max(before.get("lines", 0), outcome.lines),
        "corpus": max(before.get("corpus", 0), outcome.corpus),
    }
    total["per_second"] = round(total["inputs"] / max(total["seconds"], 0.001))
    FOUND.mkdir(parents=True, exist_ok=True)
    new = _TOTALS.with_suffix(".new")
    new.write_text(json.dumps(totals | {outcome.target: total}, indent=1))
    new.replace(_TOTALS)


def record() -> None:
    """Write the totals down where they are kept with the code."""
    head = (
        "# Inputs tried\n\nWritten by `scripts/fuzz --record`: what one machine tried over all its runs, the last of\n"
        "them on the day and at the commit named. A failure ends a run and is not counted as tried.\n\n"
    )
    _TRIED.write_text(head + as_markdown([total for _, total in sorted(_totals().items())]))


def as_json(outcomes: Sequence[Outcome]) -> str:
    """A report for programs."""
    return json.dumps([asdict(one) for one in outcomes], indent=1) + "\n"


def as_markdown(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """A report for people."""
    rows = [
        f"| {one['target']} | {one['inputs']:,} | {one['per_second']:,} | {one['corpus']} | {one['lines']} "
        f"| {one['peak_mib']} | {one['seconds']:.0f} | {one['date']} {one['commit']} "
        f"| {'yes' if one['failure'] else 'none'} |"
        for one in outcomes
    ]
    head = (
        "| target | inputs | inputs/s | corpus | lines reached | peak MiB | seconds | last run | failures |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _totals() -> dict[str, dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError):
        totals: dict[str, dict[str, Any]] = json.loads(_TOTALS.read_text())
        return totals
    return {}


def _save(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}{'-' if name else ''}{hashlib.sha256(data).hexdigest()[:16]}"
    file.write_bytes(data)
    return file


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, capture_output=True, text=True,
                           check=False)  # fmt: skip
    return asked.stdout.strip()
