"""What a stream can do so that nobody sees it, in the words of alerts, and what is kept of a picture to notice it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

DETECTOR = "evasion"
"""Name of the built-in detector whose labels the signs are: rules may speak of it, no detector may be called so."""


class Sign(StrEnum):
    """Labels of the built-in detector. A closed list; the room `evasion/` defines each."""

    BLACK = "black"
    SOLID = "solid"
    FROZEN = "frozen"
    DIMENSIONS = "dimensions"
    RARE_KEYS = "rare_keys"
    UNDECODABLE = "undecodable"
    UNKNOWN_CODEC = "unknown_codec"
    SWAPPED = "swapped"
    RECONNECTS = "reconnects"
    SLATE = "slate"


@dataclass(frozen=True, slots=True)
class Glance:
    """A few numbers about a picture: enough to notice that there is nothing in it, or nothing new.

    It stays in its watcher's memory, never in a message, a log or a file.
    """

    luma: float
    """Mean brightness, 0 to 255."""
    spread: float
    """Standard deviation of the brightness."""
    plain: float
    """Share of the picture that is of its commonest colour, or nearly."""
    hash: int = field(default=0, repr=False)
    """256 bits: at which places it is brighter than at the place beside them …"""
    sure: int = field(default=0, repr=False)
    """… and at which of them so clearly, either way, that no encoder turns it round."""
