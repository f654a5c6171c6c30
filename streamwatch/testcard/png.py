"""The test card as a picture file: the only picture we ever write, and it shows nobody."""

from __future__ import annotations

from pathlib import Path

import cv2

from streamwatch.testcard.pattern import test_card


def write_png(path: Path, width: int, height: int) -> None:
    """Write the card, `width` x `height` pixels, as PNG. Raises OSError."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(test_card(width, height), cv2.COLOR_RGB2BGR))
    if not encoded:
        raise OSError("the picture could not be encoded")
    path.write_bytes(data.tobytes())
