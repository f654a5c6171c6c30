"""Names of alerts: ULIDs, which sort by the time at which they were made."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from streamwatch.domain.clock import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BYTES = 10
_LENGTH = 26
PATTERN = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$"
"""A ULID in Crockford's base 32, upper case: 48 bits of milliseconds, 80 bits of randomness."""


class Ulids:
    """Makes ULIDs that only ever grow, also within a millisecond and when the wall clock steps back."""

    def __init__(self, clock: Clock, *, randomness: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._clock = clock
        self._randomness = randomness
        self._last = 0

    def new(self) -> str:
        """The next name."""
        millis = int(self._clock.now().timestamp() * 1000)
        value = (millis << (8 * _RANDOM_BYTES)) | int.from_bytes(self._randomness(_RANDOM_BYTES))
        self._last = max(value, self._last + 1)
        return _encoded(self._last)


def _encoded(value: int) -> str:
    return "".join(_ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(_LENGTH)))


def earliest(at: float) -> str:
    """The first name that could be made at `at` (wall seconds since the epoch); names of later alerts sort after it."""
    return _encoded(min(max(int(at * 1000), 0), 2**48 - 1) << (8 * _RANDOM_BYTES))


def seconds(name: str) -> float:
    """When a ULID was made, in wall seconds since the epoch; 0 where it is none."""
    try:
        return sum(_ALPHABET.index(letter) << (5 * place) for place, letter in enumerate(reversed(name[:10]))) / 1000
    except ValueError:
        return 0.0
