"""What is found wrong, before it is known in which file and line: the small change of this room."""

from __future__ import annotations

from typing import NamedTuple

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document: `("streams", 0, "url")`."""

VALUE = "{value}"
"""Stands in `Finding.wrong` for the value as written; the loader alone decides whether it may be shown."""

MAX_PROBLEMS = 200
"""A person mends no more than this at once, and a hostile file must not cost minutes of explaining."""


class Finding(NamedTuple):
    """One thing wrong at a place in the document."""

    path: Path
    wrong: str
    right: str = ""
    line: int | None = None
    """Where the path does not lead to a line, the line itself."""
    given: tuple[Path, ...] = ()
    """It is said only if nothing is wrong at these places: a key that is mistyped must not also be called missing."""


def dotted(path: Path) -> str:
    """`streams.0.url`."""
    return ".".join(str(part) for part in path)
