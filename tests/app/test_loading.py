"""What loading a model takes while freed memory is overwritten: no more than without."""

from __future__ import annotations

import subprocess
import sys

from tests.sandbox.children import REPOSITORY

CODE = """
from pathlib import Path
from streamwatch.app import workbench
from streamwatch.domain.decisions import Mode
from streamwatch.link.messages import DetectorSettings
from streamwatch.sandbox import memory
memory.wipe_freed()
settings = DetectorSettings(name="c", kind="onnx", folder="models/test-card", sha256="", mode=Mode.ACTIVE)
workbench._load(settings).close()
[line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(line.split()[1]) // 1024)
"""


def test_a_model_that_is_loaded_while_streams_are_watched_takes_no_gigabyte():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "ORT_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(done.stdout.splitlines()[-1]) < 600
