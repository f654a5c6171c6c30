"""The first thing that anybody types."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.integration


def test_the_demo_alerts_for_both_streams_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamwatch", "demo", "--until-alert", "--timeout", "90"],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for stream in ("lobby", "hall"):
        assert f"ALERT opened: stream {stream}" in done.stdout
    assert "an alert of each stream was received" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in done.stderr
