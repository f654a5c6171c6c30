"""Durations and sizes as people write them: a number and its unit in one word."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

DURATION_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h|d)$"
"""Also the pattern in the JSON Schema; the bounded digits keep every duration finite."""
SIZE_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?(B|kB|MB|GB|KiB|MiB|GiB)$"

DURATION_FORM = "a number and its unit: 500ms, 10s, 5m, 2h, 7d"
SIZE_FORM = "a number and its unit: 64MiB, 1GiB"

_DURATION = re.compile(DURATION_PATTERN.removesuffix("$"), re.ASCII)
_SIZE = re.compile(SIZE_PATTERN.removesuffix("$"), re.ASCII)


def seconds(text: str) -> float:
    """`500ms` → 0.5. Raises ValueError where number or unit is missing."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("is not a duration")
    unit = match[2]
    number = float(text.removesuffix(unit))
    # Milliseconds divide, so that 100ms is exactly the float that people write as 0.1.
    return number / 1000 if unit == "ms" else number * _SECONDS[unit]


def duration(value: float) -> str:
    """Seconds in the largest unit that stays whole: 90.0 → `90s`, 3600.0 → `1h`."""
    if value == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if value % _SECONDS[unit] == 0:
            return f"{value / _SECONDS[unit]:.0f}{unit}"
    return f"{value * 1000:.15g}ms"


def size(text: str) -> int:
    """`1GiB` → bytes, rounded down. Raises ValueError where number or unit is missing."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("is not a size")
    unit = match[2]
    return int(float(text.removesuffix(unit)) * _BYTES[unit])


def size_text(value: int) -> str:
    """Bytes in the largest binary unit that stays whole: 1073741824 → `1GiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value}B"
