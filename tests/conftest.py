"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# A busy machine is no failure, and no test here shows speed by its own duration.
settings.register_profile("streamwatch", deadline=None)
settings.load_profile("streamwatch")


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A command that is run inside a test sends the log to streams that end with it: the next test begins anew."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
