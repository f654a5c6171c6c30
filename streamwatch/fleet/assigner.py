"""The least loaded slot gets the next stream. Pure."""

from __future__ import annotations

from collections.abc import Collection

from streamwatch.domain.streams import StreamId


class LeastLoaded:
    """An `Assigner` by sums of weights; of equal ones the lowest slot."""

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError("a fleet has at least one slot")
        self._held: tuple[dict[StreamId, float], ...] = tuple({} for _ in range(slots))
        self._slot: dict[StreamId, int] = {}

    def assign(self, stream: StreamId, weight: float, *, avoid: Collection[int] = ()) -> int:
        """See `Assigner`."""
        slot = self._slot.get(stream)
        if slot is None:
            everywhere = range(len(self._held))
            choice = [slot for slot in everywhere if slot not in avoid] or everywhere
            slot = min(choice, key=self._load)
            self._slot[stream] = slot
        self._held[slot][stream] = weight
        return slot

    def release(self, stream: StreamId) -> None:
        """See `Assigner`."""
        slot = self._slot.pop(stream, None)
        if slot is not None:
            del self._held[slot][stream]

    def slot_of(self, stream: StreamId) -> int | None:
        """See `Assigner`."""
        return self._slot.get(stream)

    def held_by(self, slot: int) -> tuple[StreamId, ...]:
        """See `Assigner`."""
        return tuple(self._held[slot])

    def _load(self, slot: int) -> float:
        """Summed anew: a running sum of floats drifts over months."""
        return sum(self._held[slot].values())
