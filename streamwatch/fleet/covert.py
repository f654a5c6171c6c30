"""What a watcher that was taken over could still tell, in bits per second: computed from the bounds. Pure.

Upper bounds, for the threat model. A watcher can always say what scores and times can say; what it cannot do is to say
it as text at any speed, under names of its own, or past what the daemon publishes of scores.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from streamwatch.fleet.output import CHARACTERS_PER_SECOND
from streamwatch.fleet.plausible import Wording
from streamwatch.link.allowance import HEARD

_TOKEN = 36
"""Letters and digits: the richest of what a message holds beside explanations; numbers have ten."""
_PRINTABLE = 95
"""The characters that our programs use; others cost as many bytes more as they are more."""
_TEXT = 300
_PIPES = 2


class Capacity(NamedTuple):
    """Bits per second at most, sustained."""

    link: float
    """Into the daemon's memory, by numbers and tokens. Most of it ends there, in sums and newest values."""
    explanations: float
    """Into `status` and documents, as text."""
    printed: float
    """Into the log."""


def capacity() -> Capacity:
    """Of one watcher."""
    return Capacity(
        link=HEARD.bytes_per_s * math.log2(_TOKEN),
        explanations=Wording.NEW_PER_S * _TEXT * math.log2(_PRINTABLE),
        printed=_PIPES * CHARACTERS_PER_SECOND * math.log2(_PRINTABLE),
    )
