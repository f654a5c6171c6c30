"""Which streams are kept from the watchers, and why: the convicted wait, halves are held back to convict. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from streamwatch.domain.streams import StreamId
from streamwatch.fleet.isolation import Isolation
from streamwatch.fleet.quarantine import Quarantine, is_grave


@dataclass(frozen=True, slots=True)
class Loss:
    """What follows from the loss of a watcher."""

    quarantined: dict[StreamId, float] = field(default_factory=dict)
    """And until when, monotonic seconds."""
    held: int = 0
    """Streams held back now that were not before."""
    free: frozenset[StreamId] = frozenset()
    """Streams that were held back and are not any more."""
    searching: bool = False
    """The next life is a trial."""


class Custody:
    """Of all streams of a fleet. Time is monotonic seconds, given by the caller."""

    def __init__(self, slots: int, *, quarantine: Quarantine, isolation: Callable[[], Isolation]) -> None:
        self._quarantine = quarantine
        self._isolations = tuple(isolation() for _ in range(slots))

    def until(self, stream: StreamId, slot: int, now: float) -> float | None:
        """When a stream may be looked at again, as far as that is known; None: it may be now."""
        until, isolation = self._quarantine.until(stream), self._isolations[slot]
        if until is None and stream in isolation.held:
            return now + isolation.trial_s
        return until

    def ready(self, slot: int, now: float) -> None:
        """A new watcher was given the streams that may be looked at."""
        self._isolations[slot].ready(now)

    def lost(
        self,
        slot: int,
        given: Sequence[StreamId],
        looked_at: Collection[StreamId],
        *,
        reason: str,
        lived_s: float,
        now: float,
    ) -> Loss:
        """A watcher that had been `given` these streams was lost while some of them were being `looked_at`."""
        isolation, quarantined = self._isolations[slot], dict[StreamId, float]()
        if not isolation.searching:  # else the black box has been of no use
            quarantined = self._quarantine.blame(looked_at, grave=is_grave(reason), now=now)
        held = isolation.held
        verdict = isolation.lost(given, reason=reason, lived_s=lived_s, explained=bool(quarantined))
        if verdict.culprit is not None:
            quarantined |= self._quarantine.blame([verdict.culprit], grave=True, now=now)
        return Loss(
            quarantined=quarantined,
            held=len(isolation.held - held),
            free=held - isolation.held - quarantined.keys(),
            searching=verdict.searching,
        )

    def forget(self, stream: StreamId, slot: int) -> frozenset[StreamId]:
        """A stream is no longer watched; returns those who may be looked at because of that."""
        isolation = self._isolations[slot]
        held = isolation.held
        isolation.forget(stream)
        return self._free(held - isolation.held - {stream})

    def passed(self, now: float) -> frozenset[StreamId]:
        """Streams that may be looked at because a trial of others is over, each told once."""
        free: set[StreamId] = set()
        for isolation in self._isolations:
            held = isolation.held
            if isolation.passed(now):
                free |= held - isolation.held
        return self._free(free)

    def freed(self, now: float) -> tuple[StreamId, ...]:
        """Streams whose quarantine is over, each told once: tell `probation` of those that are tried again."""
        return self._quarantine.freed(now)

    def probation(self, stream: StreamId, slot: int, now: float) -> None:
        """A stream is tried again."""
        self._isolations[slot].probation(stream, now)

    def _free(self, streams: Collection[StreamId]) -> frozenset[StreamId]:
        return frozenset(stream for stream in streams if self._quarantine.until(stream) is None)
