"""A detector that scores how bright a picture is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamwatch.detectors.base import DetectorInfo
from streamwatch.domain.media import Scores


class ShadeDetector:
    """Score of label `bright` = mean of the picture / 255."""

    def __init__(self, name: str = "shades") -> None:
        self.info = DetectorInfo(name=name, version="1", sha256="0" * 64, labels=("bright",), width=4, height=4)

    def score(self, picture: NDArray[np.uint8]) -> Scores:
        return Scores(self.info.name, (("bright", float(picture.mean()) / 255),))

    def close(self) -> None:
        pass
