"""What stands behind the colon of a playlist's tag: attributes, numbers, byte ranges. Pure and bounded."""

from __future__ import annotations

import re
from itertools import islice

# Each step takes a run whole, so that a long one is read once. Steps are counted, the ones between attributes too.
_STEP = re.compile(r'([A-Z0-9-]++)(?:=("[^"]*+"|[^",]*+))?|[^A-Z0-9-]++')
_MAX_STEPS = 120
_MAX_DIGITS = 32
_MAX_SIDE = 1 << 16
_BLOCK_BITS = 128
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,32}")

Span = tuple[int, int]
"""Offset and length of a part of a file."""


def attributes(text: str) -> dict[str, str]:
    """The attributes of a list, unquoted; of those beyond any honest number nothing is read."""
    steps = islice(_STEP.finditer(text), _MAX_STEPS)
    return {step[1]: step[2].strip('"') for step in steps if step[2] is not None}


def whole(text: str) -> int:
    """A whole number. Raises ValueError."""
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number of too many digits")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds, which may be infinite or no number at all. Raises ValueError."""
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number of too many digits")
    return float(text)


def size(text: str) -> tuple[int, int]:
    """Width and height, (0, 0) where none is written or nobody could mean it. Raises ValueError."""
    width, _, height = text.partition("x")
    found = whole(width or "0"), whole(height or "0")
    return found if all(0 < side < _MAX_SIDE for side in found) else (0, 0)


def span(text: str, after: int) -> Span:
    """A byte range; one that names no offset begins where the last one ended, `after`. Raises ValueError."""
    length, _, offset = text.partition("@")
    start, count = whole(offset) if offset else after, whole(length)
    if start < 0 or count <= 0:
        raise ValueError("a byte range outside the file")
    return start, count


def initial_vector(text: str | None, number: int) -> bytes:
    """As written, else the segment's number, in 16 bytes. Raises ValueError."""
    if text is None:
        return (number % (1 << _BLOCK_BITS)).to_bytes(16)
    if not _HEX.fullmatch(text):
        raise ValueError("an initialisation vector that cannot be read")
    return int(text, 16).to_bytes(16)
