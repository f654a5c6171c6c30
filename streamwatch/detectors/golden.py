"""Pictures that a manifest can name: drawn with integers only, so that every machine draws the same ones."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from streamwatch.detectors.spec import FlatPicture, SeedPicture


def draw(picture: SeedPicture | FlatPicture, width: int, height: int) -> NDArray[np.uint8]:
    """Return the picture as `height x width x 3` uint8 RGB."""
    if isinstance(picture, FlatPicture):
        return np.full((height, width, 3), picture.level, np.uint8)
    cells = picture.cells
    size = cells * cells * 3
    counters = range(-(-size // hashlib.sha256().digest_size))
    data = b"".join(hashlib.sha256(picture.seed.encode() + i.to_bytes(4, "big")).digest() for i in counters)
    grid = np.frombuffer(data, np.uint8, count=size).reshape(cells, cells, 3)
    rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
    return grid[rows[:, None], columns[None, :]]
