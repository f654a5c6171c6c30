"""The contract of this room: what is told of a stream, and what is answered. Times are monotonic seconds."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from streamwatch.domain.evasion import Glance
from streamwatch.domain.streams import Reason


class Shown(NamedTuple):
    """What one look at a sound picture showed."""

    arrival: float
    glance: Glance
    width: int
    height: int


class Facts(NamedTuple):
    """How a stream stands, about once a second."""

    now: float
    live: bool
    reason: Reason | None
    """Why it is not seen; None while it is."""
    media_at: float
    """When the newest media arrived."""
    received: int
    """Bytes of media since it was assigned."""
    steady: bool
    """Bytes come as they are made: neither in bursts, nor only as far as we ask for them."""
    width: int
    height: int
    """Of the newest picture, or as its format says; 0 where neither is known."""


class Signs(Protocol):
    """One stream's. One caller at a time."""

    def shown(self, shown: Shown) -> str:
        """Take what a look showed. Returns why there is nothing to see in it, in words for people; else nothing."""
        ...

    def begins(self, now: float) -> None:
        """A new session begins."""
        ...

    def turns(self, now: float, *, jumped: bool, reformatted: bool) -> None:
        """Inside a session media time jumped, or another format began."""
        ...

    def scores(self, facts: Facts) -> tuple[tuple[str, float], ...]:
        """(label, score) of every sign that can be judged now; a sign that cannot is left out, not 0."""
        ...
