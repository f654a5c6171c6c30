"""What no sound watcher says, however well formed it is. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from streamwatch.domain.errors import LinkViolation
from streamwatch.link.messages import Configure, RuleLevel, Sampled, StreamLevel

FUTURE_S = 5.0
"""More than any rounding."""


def detectors_of(*configured: Configure) -> frozenset[str]:
    """The names that samples may bear."""
    return frozenset(detector.name for configure in configured for detector in configure.detectors)


def check(message: StreamLevel | Sampled | RuleLevel, *, detectors: AbstractSet[str], now: float) -> None:
    """Raise LinkViolation for a sample of an unknown detector, or anything seen later than `now`, monotonic seconds.

    Watcher and daemon read the same clock, so nothing is seen before it arrives: a stream with samples from the future
    would read covered with nobody looking. Pass infinity for fast streams, which are stamped by their own time.
    Names become labels of metrics, so they must be as few as the configured ones.
    """
    match message:
        case Sampled():
            if not detectors >= {line.detector for line in message.scores}:
                raise LinkViolation("a sample of a detector that is not configured")
            newest = message.arrival
        case RuleLevel():
            seen = (*message.hits, message.first_seen, message.last_seen)
            newest = max((hit.arrival for hit in seen if hit is not None), default=now)
        case _:
            return
    if newest > now + FUTURE_S:
        raise LinkViolation("a look in the future")
