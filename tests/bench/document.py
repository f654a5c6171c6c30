"""A small document, as `streamwatch bench --compare` writes it."""

from __future__ import annotations

from typing import Any

from streamwatch.bench import report
from streamwatch.bench.scenarios import SCENARIOS

RIVALS = {"opencv": 1.6, "pyav": 1.5, "ffmpeg": 1.4, "nokey": 0.37}


def document() -> dict[str, Any]:
    """Two steady scenarios with figures, one without, and the rivals of their size."""
    slow = {"streams": 200.0, "cpu": 0.058, "stream_mb": 0.07, "watcher_base_mb": 120.0}
    fast = {"streams": 150.0, "cpu": 0.2, "stream_mb": 0.06, "to_bound": 1.33, "strangers_share": 0.2}
    figures: dict[str, dict[str, float | None]] = {
        "360p-10s": {**slow, "vs_nokey": 6.4, "vs_opencv": 27.6},
        "360p-2s": {**fast, "vs_nokey": 1.85, "vs_opencv": 8.0},
        "limit": {},
    }
    results = [
        report.result(one, [figures[one.name]], figures[one.name], failed="" if figures[one.name] else "too few hands")
        for one in SCENARIOS
        if one.name in figures
    ]
    compared = [{"size": "360p", "name": name, "cpu": cpu, "stream_mb": 20.0} for name, cpu in RIVALS.items()]
    contents = {"360p": {"kilobits": 700, "key_kilobytes": 28.0, "key_interval_s": 2.0}}
    return report.document(results, compared, contents, publishers=32, repeat=1, shared=False)
