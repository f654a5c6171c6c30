"""The fuzz targets of HLS, bounded; `scripts/fuzz` runs them for as long as one likes."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from tests.fuzz import fmp4, hls, playlist, ts


def targets(*modules: ModuleType) -> list[Callable[[], None]]:
    return [value for module in modules for name, value in vars(module).items() if name.startswith("fuzz_")]


@pytest.mark.parametrize("target", targets(playlist, ts, fmp4, hls), ids=lambda target: target.__name__)
def test_target(target):
    target()
