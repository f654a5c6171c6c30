"""The site of the integration tests, for attacks on the real daemon and its real watchers."""

from __future__ import annotations

from tests.integration.conftest import make_clips, site

__all__ = ["make_clips", "site"]
