"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure, and no test here shows speed by its own duration.
settings.register_profile("streamwatch", deadline=None)
settings.load_profile("streamwatch")
