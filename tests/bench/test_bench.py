"""The bench itself, small: everything real, four streams, some seconds."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from streamwatch.bench import programs, run
from streamwatch.bench.scenarios import Scenario
from tests.integration.process import Child, alive, children_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in run.PROGRAMS) or programs.rtmp_module() is None,
        reason="not installed: nginx with RTMP, ffmpeg or mosquitto",
    ),
]
ROOT = Path(__file__).parents[2]
SMALL = Scenario("small", "180p", 2, 4, 6, "small", marker_s=6)


def family(pid: int) -> set[int]:
    """All that a process started, and what those started."""
    found = set(children_of(pid))
    return found.union(*(family(child) for child in found))


def left(folder: Path, pattern: str) -> int:
    """Files that were not taken away."""
    return len(list(folder.rglob(pattern)))


async def test_four_streams_are_measured_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cores = os.sched_getaffinity(0)
    told: list[str] = []

    document = await run.run(run.Options([SMALL], publishers=4), told=told.append)

    figures = document["scenarios"][0]["median"]
    assert 0.05 < figures["cpu"] < 3
    assert figures["cpu_decode"] > 0
    assert figures["looks_per_min"] == pytest.approx(30, rel=0.4)  # a look more or less at the window's ends
    assert figures["gap_p50_s"] == pytest.approx(2, abs=0.5)
    assert figures["restarts"] == 0
    assert figures["alerts"] >= 1
    assert 0 < figures["alert_p50_s"] < 2
    assert 50 < figures["watcher_base_mb"] < 400
    assert figures["to_bound"] > 1
    assert document["contents"]["180p"]["key_kilobytes"] > 5
    assert "small: measuring 4 streams, 6 s to go" in told
    assert os.sched_getaffinity(0) == cores
    assert left(tmp_path, "*.flv") == 1  # for the next run
    assert left(tmp_path, "nginx.conf") == 0


async def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamwatch", "bench", "--size", "180p", "--gap", "2s", "--publishers", "2"]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    async with Child("bench", command, env=env) as bench:
        await bench.err.until(lambda line: "streams covered" in line, limit=30, what="it watches")
        started = family(bench.pid)
        assert len(started) >= 5  # nginx, mosquitto, its subscriber, publishers, daemon
        bench.send(signal.SIGINT)
        assert await bench.wait(20) == 130
    assert [pid for pid in started if alive(pid)] == []
    assert left(tmp_path, "nginx.conf") == 0
