"""What was acknowledged last, found without a trustworthy clock. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_Key = TypeVar("_Key")


def lately(acknowledged: Iterable[tuple[_Key, float]], within_s: float) -> list[_Key]:
    """Keys of what was acknowledged at most `within_s` before the newest. `acknowledged`: newest first, wall seconds.

    A wall clock may have been set in between: going back counts as no time, and no single gap as more than half of
    `within_s`. So a few too many are found after a quiet hour, and none too few after a jump.
    """
    found: list[_Key] = []
    passed_s, later = 0.0, None
    for key, at in acknowledged:
        if later is not None:
            passed_s += min(max(later - at, 0.0), within_s / 2)
        if passed_s > within_s:
            break
        later = at
        found.append(key)
    return found
