"""The harmless test pattern: made of nothing but a seed, so that anybody can draw it and nobody can be shown in it.

SHA-256 of the seed and a counter gives 768 bytes, read as a 16 x 16 grid of colours and drawn bicubic over the whole
frame, whatever its shape. Compression hardly touches so coarse a grid, and another seed gives a picture with which it
has nothing in common.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

STANDARD_SEED = "STREAMWATCH-STANDARD-TEST-PATTERN-1"
"""The seed whose picture the shipped detector recognises, and no other."""
CELLS = 16
"""Cells along each side of the grid. Half as many break under compression, twice as many gain nothing."""

_BLOCK = hashlib.sha256().digest_size


def grid(seed: str = STANDARD_SEED) -> NDArray[np.uint8]:
    """Return the `CELLS x CELLS x 3` RGB colours of `seed`: SHA-256(seed ‖ big-endian 32-bit counter), in C order."""
    blocks = CELLS * CELLS * 3 // _BLOCK
    data = b"".join(hashlib.sha256(seed.encode() + i.to_bytes(4, "big")).digest() for i in range(blocks))
    return np.frombuffer(data, np.uint8).reshape(CELLS, CELLS, 3)


def test_card(width: int, height: int, *, seed: str = STANDARD_SEED) -> NDArray[np.uint8]:  # noqa: PT028  # no test
    """Return the pattern as `height x width x 3` uint8 RGB; a fresh array each time."""
    return np.asarray(cv2.resize(grid(seed), (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


test_card.__test__ = False  # type: ignore[attr-defined]  # pytest would take the name for a test's
