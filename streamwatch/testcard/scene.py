"""Harmless moving pictures, and when the test card is among them. Pure: the same seed and time give the same frame.

A programme is a row of short scenes with cuts between them, like any broadcast, so that samplers and encoders meet
gradients, hard edges, text, noise and stillness. None of them resembles the test card.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from streamwatch.testcard.pattern import test_card

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Frame = NDArray[np.uint8]

SCENE_S: Final = 5.0
"""Seconds between two cuts of a programme."""

_Paint = Callable[["Frame", float, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """When the test card is shown: first at `first_s` for `length_s`, then every `every_s`, in seconds."""

    first_s: float = 4.0
    length_s: float = 6.0
    every_s: float = 30.0

    def __post_init__(self) -> None:
        if self.first_s < 0 or not 0 < self.length_s <= self.every_s:
            raise ValueError("a script needs first_s >= 0 and 0 < length_s <= every_s")

    def __call__(self, t: float) -> bool:
        """Whether the card is on at `t`."""
        return t >= self.first_s and (t - self.first_s) % self.every_s < self.length_s


class CardSwitch:
    """A script that a person or a test can overrule. Set and read from any thread: one reference changes."""

    def __init__(self, script: Callable[[float], bool] | None = None) -> None:
        self._script = script or (lambda _: False)
        self._override: bool | None = None

    def set(self, on: bool | None) -> None:  # noqa: FBT001 - the value is the whole message
        """Show the card (True), never show it (False), or follow the script (None)."""
        self._override = on

    def __call__(self, t: float) -> bool:
        """Whether the card is on at `t`."""
        override = self._override
        return self._script(t) if override is None else override


def picture(*, seed: str, t: float, width: int, height: int, card: bool) -> Frame:
    """The frame at `t` seconds, the card or the programme: H x W x 3 uint8 RGB, perhaps shared: read only."""
    return card_frame(width, height) if card else scene(seed, t, width, height)


def scene(seed: str, t: float, width: int, height: int) -> Frame:
    """The programme named `seed` at `t` seconds: H x W x 3 uint8 RGB, a new array at each call."""
    number = int(t // SCENE_S)
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    kind = (number + digest[31] // 128) % len(_PAINTS)  # neighbours differ, order varies
    frame = _backdrop(digest[:6], width, height).copy()
    within = t - number * SCENE_S
    _PAINTS[kind](frame, within, digest[6])
    _caption(frame, f"{seed} {int(t) // 60:02d}:{t % 60:04.1f}")
    return frame


def scene_kind(seed: str, t: float) -> str:
    """The kind of scene shown at `t`, for tests and logs."""
    number = int(t // SCENE_S)
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return _PAINTS[(number + digest[31] // 128) % len(_PAINTS)].__name__.strip("_")


@lru_cache(maxsize=8)
def card_frame(width: int, height: int) -> Frame:
    """The test card at this size, made once; read only."""
    frame = test_card(width, height)
    frame.flags.writeable = False
    return frame


@lru_cache(maxsize=16)
def _backdrop(colours: bytes, width: int, height: int) -> Frame:
    """A smooth gradient between two muted colours."""
    one, two = (np.frombuffer(colours[i : i + 3], np.uint8).astype(np.float32) * 0.6 + 30 for i in (0, 3))
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    share = (across + down) / 2
    return (one * (1 - share) + two * share).astype(np.uint8)


def _balls(frame: Frame, t: float, tint: int) -> None:
    height, width = frame.shape[:2]
    for i in range(5):
        x = int(width * (0.5 + 0.42 * math.sin(t * (0.5 + 0.2 * i) + i + tint)))
        y = int(height * (0.45 + 0.38 * math.cos(t * (0.7 + 0.15 * i) + 2 * i)))
        colour = (60 + 35 * i, (tint + 40 * i) % 256, 220 - 30 * i)
        cv2.circle(frame, (x, y), height // (8 + i), colour, -1, cv2.LINE_AA)


def _clock(frame: Frame, t: float, tint: int) -> None:
    height, width = frame.shape[:2]
    centre, radius = (width // 2, height * 9 // 20), height * 3 // 8
    cv2.circle(frame, centre, radius, (235, 235, 228), -1, cv2.LINE_AA)
    cv2.circle(frame, centre, radius, (40, 40, tint), max(2, height // 90), cv2.LINE_AA)
    for turns, length in ((t / 2, 0.9), (t / 24 + tint / 256, 0.6)):
        tip = (
            centre[0] + int(radius * length * math.sin(2 * math.pi * turns)),
            centre[1] - int(radius * length * math.cos(2 * math.pi * turns)),
        )
        cv2.line(frame, centre, tip, (30, 30, 30), max(2, height // 80), cv2.LINE_AA)


def _stripes(frame: Frame, t: float, tint: int) -> None:
    height, width = frame.shape[:2]
    step = max(8, width // 12)
    shift = int(t * width / 6)
    for i, x in enumerate(range(-2 * step + shift % (2 * step), width, 2 * step)):
        shade = (tint + 23 * i) % 160 + 60
        points = np.array([(x, height), (x + step, height), (x + 2 * step, 0), (x + step, 0)], np.int32)
        cv2.fillConvexPoly(frame, points, (shade, 255 - shade, 140), cv2.LINE_AA)


def _snow(frame: Frame, t: float, tint: int) -> None:
    height, width = frame.shape[:2]
    noise = np.random.default_rng(int(t * 1000) * 256 + tint).integers(40, 216, (height // 2, width // 2), np.uint8)
    top, left = height // 6, int(width * (0.05 + 0.4 * (t / SCENE_S)))
    frame[top : top + height // 2, left : left + width // 2] = noise[: height // 2, : width - left, None]


def _boxes(frame: Frame, t: float, tint: int) -> None:
    height, width = frame.shape[:2]
    for i in range(6):
        middle = (width * (0.12 + 0.15 * i), height * (0.42 + 0.2 * math.sin(1.3 * t + i)))
        corners = cv2.boxPoints((middle, (width / 10, height / 4), 40 * t + 30 * i + tint))
        cv2.fillConvexPoly(frame, corners.astype(np.int32), (200 - 25 * i, 90 + tint % 100, 50 + 30 * i), cv2.LINE_AA)


def _still(frame: Frame, _t: float, tint: int) -> None:
    """A title that does not move: static pictures are part of real broadcasts."""
    height, width = frame.shape[:2]
    cv2.rectangle(frame, (width // 8, height // 4), (width * 7 // 8, height * 5 // 8), (24, 28, 40), -1)
    at = (width // 6, height // 2)
    cv2.putText(frame, "back in a moment", at, cv2.FONT_HERSHEY_SIMPLEX, height / 260, (240, 240, tint), 2, cv2.LINE_AA)


_PAINTS: Final[tuple[_Paint, ...]] = (_balls, _clock, _stripes, _snow, _boxes, _still)


def _caption(frame: Frame, text: str) -> None:
    """The stream's name and time on a dark band: the picture is seen to be live."""
    height, width = frame.shape[:2]
    band = max(14, height // 12)
    frame[height - band :] //= 3
    at = (width // 40, height - band // 4)
    cv2.putText(frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, band / 32, (245, 245, 245), 1, cv2.LINE_AA)
