"""Text and numbers on their way out of a watcher, brought down to what people need. Pure.

Applied by the types themselves, so at both ends: an honest watcher loses nothing by it, and one that was taken over
cannot pack a picture into the digits of a score or the letters of an explanation.
"""

from __future__ import annotations

import re

from streamwatch.domain.urls import printable

MAX_RUN = 40
MAX_PATH = 120
"""Letters and digits in a row that a sentence may hold, without slashes and with: words, labels, paths; no base64."""
_RUN = re.compile(rf"[A-Za-z0-9+/=_-]{{{MAX_PATH + 1},}}|[A-Za-z0-9+=_-]{{{MAX_RUN + 1},}}")
_TOKEN = re.compile(r"[a-z0-9_.-]{1,20}")
_SPACES = re.compile(r"\s{2,}")


def words(text: str, limit: int = 300) -> str:
    """Printable, without long runs of what could be coded bytes, and one blank where there are several."""
    return _SPACES.sub(" ", _RUN.sub("…", printable(text, limit)))


def token(text: str) -> str:
    """A short lower-case name as codecs have them; anything else is `other`."""
    return text if not text or _TOKEN.fullmatch(text) else "other"


def pixels(value: int) -> int:
    """A side of a picture; what no picture has is cut to the largest that a codec can say."""
    return min(value, 65_535)


def thousandths(value: float) -> float:
    """Milliseconds, where `value` is seconds."""
    return round(value, 3)


def rough(value: float) -> float:
    """Four digits after the point: a score for people, and finer than any threshold."""
    return round(value, 4)
