"""How an alert document is made to fit: what is shortened first, what as a whole goes, what never changes. Pure."""

from __future__ import annotations

import json
from typing import Any

from streamwatch.domain.urls import printable

MAX_BYTES = 4096
"""Of one document in UTF-8."""
LATENCY_RESERVE = 24
"""Bytes kept free: `latency_ms` grows from `null` to a number, and `seq` by digits, after the document was fitted."""
MAX_TEXT = 200
"""Characters of any one text."""
_SHORTER = ((4, 4, MAX_TEXT), (4, 4, 100), (2, 2, 50), (1, 1, 24))
"""Steps by which a document is shortened: evidence lines, signals and characters of each text that are kept.

The last step fits whatever the texts hold: 15 texts of 24 characters and a name of 128, 4 bytes each, leave a third
of the room.
"""
_LINKS = frozenset({"watch_url"})
"""Texts that are of no use when cut: they go as a whole."""
_WHOLE = frozenset(
    {"schema", "alert_id", "sha256", "at", "from", "to", "moderator", "deadline", "escalated", "until", "since"}
)
"""Never shortened. `moderator` decides who the second person is: two names must not become one, nor one two."""


def fitted(data: dict[str, Any]) -> str:
    """A document as JSON of at most `MAX_BYTES - LATENCY_RESERVE`. `data` is cut where it must be."""
    trace = data["trace"]
    body = compact(data)
    for lines, signals, text in _SHORTER:
        if len(body.encode()) <= MAX_BYTES - LATENCY_RESERVE:
            break
        data["evidence"] = data["evidence"][:lines]
        if "signals" in trace:
            trace["signals"] = trace["signals"][:signals]
        body = compact(_shortened(data, text))
    return body


def compact(data: dict[str, Any]) -> str:
    """JSON with no character to spare."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _shortened(data: Any, limit: int, key: str = "") -> Any:
    if isinstance(data, dict):
        return {name: _shortened(value, limit, name) for name, value in data.items()}
    if isinstance(data, list):
        return [_shortened(value, limit) for value in data]
    if not isinstance(data, str) or key in _WHOLE:
        return data
    if key in _LINKS:
        return data if len(data.encode()) <= limit else None
    return printable(data, limit)
