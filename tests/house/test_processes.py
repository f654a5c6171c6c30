"""What a process of ours holds once its modules are imported."""

import subprocess
import sys

import pytest

PIXEL_LIBRARIES = ("av", "cv2", "numpy", "onnxruntime")


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["streamwatch.app.daemon", "streamwatch.cli.main"])
def test_the_daemon_and_the_command_line_load_no_decoder_and_no_engine(module: str) -> None:
    assert loaded_after(f"import {module}").isdisjoint(PIXEL_LIBRARIES)


def test_before_the_sandbox_a_watcher_has_loaded_nothing_that_starts_threads() -> None:
    loaded = loaded_after("import streamwatch.app.watcher")
    assert loaded.isdisjoint({*PIXEL_LIBRARIES, "pydantic", "structlog", "aiohttp", "asyncio"})


def test_telemetry_of_the_engine_is_off_in_every_process_of_ours() -> None:
    code = "import os; os.environ.pop('{0}', None); import streamwatch; print(os.environ['{0}'])"
    code = code.format("ORT_DISABLE_TELEMETRY")
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "1"
