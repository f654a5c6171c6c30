"""Detectors that need no model."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
from numpy.typing import NDArray

from streamwatch.detectors.base import DetectorInfo
from streamwatch.domain.errors import ScoreFailed
from streamwatch.domain.media import Scores


class BrightnessDetector:
    """Scores how bright a picture is, from 0 to 1, under the one label `bright`. Thread-safe; counts its calls."""

    def __init__(self, *, name: str = "brightness", width: int = 32, height: int = 32) -> None:
        digest = hashlib.sha256(b"brightness").hexdigest()
        self._info = DetectorInfo(
            name=name, version="1.0.0", sha256=digest, labels=("bright",), width=width, height=height
        )
        self._lock = threading.Lock()
        self._closed = False
        self.calls = 0

    @property
    def info(self) -> DetectorInfo:
        return self._info

    def score(self, picture: NDArray[np.uint8]) -> Scores:
        if self._closed:
            raise ScoreFailed("closed")
        if picture.shape != (self._info.height, self._info.width, 3) or picture.dtype != np.uint8:
            raise ScoreFailed(f"a picture of {picture.shape} {picture.dtype}")
        with self._lock:
            self.calls += 1
        return Scores(self._info.name, (("bright", float(picture.mean()) / 255),))

    def close(self) -> None:
        self._closed = True


class BrokenDetector(BrightnessDetector):
    """Loads well and never has a score."""

    def score(self, picture: NDArray[np.uint8]) -> Scores:
        super().score(picture)
        raise ScoreFailed("answered with what is no number")
