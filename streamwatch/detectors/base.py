"""The contract of detection: anything that turns frames into scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streamwatch.domain.media import Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """What alerts and status say about a detector."""

    name: str
    """The operator's name for it, unique in a configuration."""
    version: str
    sha256: str
    """Of the model file, 64 hex digits."""
    labels: tuple[str, ...]
    width: int
    height: int
    """Size of the RGB picture it wants."""


class Detector(Protocol):
    """Scores pictures. Built and called inside a watcher, from decode workers, several threads at a time."""

    @property
    def info(self) -> DetectorInfo:
        """Name, version, hash, labels and input size; constant."""
        ...

    def score(self, picture: NDArray[np.uint8]) -> Scores:
        """Score one picture, `height x width x 3` uint8 RGB of the size in `info`. Never keeps a reference to it."""
        ...

    def close(self) -> None:
        """Give back what it holds. Idempotent."""
        ...
