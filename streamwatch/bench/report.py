"""The result as one document: every figure, what it was measured on and with, and the goals beside it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from streamwatch import __version__
from streamwatch.bench import proc
from streamwatch.bench.clip import FPS, KEY_INTERVAL_S, Clip
from streamwatch.bench.measure import Figures
from streamwatch.bench.scenarios import Goal, Scenario
from streamwatch.domain.clock import rfc3339

SCHEMA: Final = "streamwatch.bench/1"
_PACKAGES: Final = ("av", "onnxruntime", "opencv-python-headless", "numpy", "aiohttp")
_SAYS_ITS_VERSION: Final = {"ffmpeg": "-version", "nginx": "-v", "mosquitto": "-h"}
_ANSWER_S: Final = 5.0


def content(made: Clip) -> dict[str, Any]:
    """What was shown, in numbers."""
    spec = made.spec
    return {
        "width": spec.width,
        "height": spec.height,
        "fps": FPS,
        "seconds": spec.seconds,
        "key_interval_s": KEY_INTERVAL_S,
        "key_kilobytes": round(made.key_bytes / 1000, 1),
        "kilobits": round(made.bits_per_s / 1000),
        "encoder": "x264 veryfast, High, 3 B pictures, capped rate; AAC 128 kbit/s",
    }


def result(scenario: Scenario, runs: Sequence[Figures], median: Figures, *, failed: str = "") -> dict[str, Any]:
    """One scenario's part of the document; `failed` says why a run of it came to nothing."""
    return {
        "name": scenario.name,
        "says": scenario.says,
        "kind": scenario.kind.value,
        "transport": "hls" if scenario.hls else "rtmp",
        "reader": "fallback" if scenario.fallback else "own",
        "size": scenario.size,
        "gap_s": scenario.gap_s,
        "lookback_s": scenario.lookback_s,
        "inference": scenario.infer,
        "median": _rounded(median),
        "runs": [_rounded(run) for run in runs],
        "failed": failed,
        "goals": [goal(one, median.get(one.figure)) for one in scenario.goals],
    }


def goal(wanted: Goal, value: float | None) -> dict[str, Any]:
    """A goal beside what was measured; `missed_by` is a share of the goal, negative where it is met."""
    return {
        "figure": wanted.figure,
        "limit": wanted.limit,
        "at_least": wanted.at_least,
        "says": wanted.says,
        "value": _round(value),
        "met": wanted.met(value),
        "missed_by": None if value is None else _round(wanted.miss(value)),
    }


def document(
    results: Sequence[Mapping[str, Any]],
    compared: Sequence[Mapping[str, Any]],
    contents: Mapping[str, Any],
    *,
    publishers: int,
    repeat: int,
    shared: bool,
) -> dict[str, Any]:
    """The whole document."""
    return {
        "schema": SCHEMA,
        "at": rfc3339(datetime.now(UTC)),
        "version": __version__,
        "machine": machine(),
        "versions": versions(),
        "method": {
            "publishers": publishers,
            "repeat": repeat,
            "one_core": shared,
            "says": (
                "Real nginx-rtmp and mosquitto on loopback, real time. The daemon and its watcher share one core, all "
                "else runs on the others. Processor time of both, user and system, in steady state; watched streams "
                "are spread over the publishers. One hit opens an alert, and an alarm asks for no further looks."
            ),
        },
        "contents": dict(contents),
        "scenarios": list(results),
        "rivals": [
            {name: _round(value) if isinstance(value, float) else value for name, value in one.items()}
            for one in compared
        ],
    }


def machine() -> dict[str, Any]:
    """What it ran on."""
    return {
        "cpu": proc.cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Of the libraries and programs."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name, option in _SAYS_ITS_VERSION.items():
        if (path := shutil.which(name)) is not None:
            done = subprocess.run(  # noqa: S603 - a program that was just used
                [path, option], capture_output=True, text=True, check=False, timeout=_ANSWER_S
            )
            found[name] = ((done.stdout or done.stderr).splitlines() or [""])[0][:80]
    return found


def _rounded(figures: Figures) -> dict[str, float | None]:
    return {name: _round(value) for name, value in figures.items()}


def _round(value: float | None) -> float | None:
    """Four digits: more than the measurement holds."""
    return None if value is None else float(f"{value:.4g}")
