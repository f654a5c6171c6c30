"""What happens to a picture between a studio and a viewer: logos, captions, bars, mirrors, turns. All pure.

Pictures are `height x width x 3` uint8 RGB; every function returns a new array and leaves its argument alone.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_WHITE = (255, 255, 255)


def corner_logo(picture: Picture, *, share: float = 0.15) -> Picture:
    """A broadcaster's mark in the upper right corner: a white plate with a red disc, `share` of the width wide."""
    height, width = picture.shape[:2]
    size, margin = round(width * share), round(min(width, height) * 0.04)
    size = min(size, height - 2 * margin)
    out = picture.copy()
    left, top = width - margin - size, margin
    cv2.rectangle(out, (left, top), (left + size - 1, top + size - 1), _WHITE, cv2.FILLED)
    cv2.circle(out, (left + size // 2, top + size // 2), size // 3, (200, 16, 32), cv2.FILLED)
    return out


def lower_third(picture: Picture, *, share: float = 0.22, text: str = "LIVE  harmless test") -> Picture:
    """A caption bar of `share` of the height, a little above the lower edge, over nine tenths of the width."""
    height, width = picture.shape[:2]
    out = picture.copy()
    top, bottom = round(height * (0.95 - share)), round(height * 0.95)
    left, right = round(width * 0.05), round(width * 0.95)
    cv2.rectangle(out, (left, top), (right, bottom), (16, 32, 96), cv2.FILLED)
    scale = (bottom - top) / 60
    at = (left + (bottom - top) // 3, top + (bottom - top) * 2 // 3)
    cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, max(1, round(scale * 2)), cv2.LINE_AA)
    return out


def letterboxed(picture: Picture, share: float, *, bar: int = 0) -> Picture:
    """Bars of grey level `bar` above and below, each `share` of the height; the picture is squeezed in between."""
    height, width = picture.shape[:2]
    bars = round(height * share)
    out = np.full_like(picture, bar)
    inner = cv2.resize(picture, (width, height - 2 * bars), interpolation=cv2.INTER_AREA)
    out[bars : height - bars] = inner
    return out


def pillarboxed(picture: Picture, share: float, *, bar: int = 0) -> Picture:
    """Bars left and right, each `share` of the width."""
    return turned(letterboxed(turned(picture), share, bar=bar), quarters=3)


def mirrored(picture: Picture) -> Picture:
    """Left and right exchanged, as front cameras show themselves."""
    return np.ascontiguousarray(picture[:, ::-1])


def turned(picture: Picture, *, quarters: int = 1) -> Picture:
    """Turned counter-clockwise by `quarters` of 90°; width and height change places."""
    return np.ascontiguousarray(np.rot90(picture, quarters))


def grey(picture: Picture) -> Picture:
    """Without colour, still three channels."""
    return np.repeat(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, axis=2)
