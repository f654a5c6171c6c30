"""Numbers about numbers. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed; None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def middle(runs: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The median of every figure over the runs that have it."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: _median([value for run in runs if (value := run.get(name)) is not None]) for name in names}


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
