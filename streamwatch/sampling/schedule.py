"""Which look comes next: earliest deadline first over all streams of a watcher, in two queues with a share each. Pure.

Every live stream of a watcher has a *floor*: the promise that no more than `max_gap` passes. Some have *suspicion* on
top, and want looks far more often. While there is room for all, the earliest deadline decides. Where both queues are
late, each gets at least its share of the workers' time, so that neither a wave of suspicion starves the calm streams
nor a crowd of streams the suspicious ones (fair queueing by virtual time, between two classes). A suspicious stream
stands in the floor's queue too: being suspected never makes it worse off.
"""

from __future__ import annotations

import heapq
import math
from typing import Generic, NamedTuple, TypeVar

from streamwatch.sampling.capacity import CALM, RESERVED, Claim, Plan

CREDIT_S = 0.25
"""A queue that had nothing to do is owed so much worker time at most, or its return would stop the other one."""

_SAME = 1.05
"""A plan whose factors differ by no more changes nobody's turn."""


class Wish(NamedTuple):
    """One look that a stream wants, in seconds. Its turn follows from the plan in force, not from that when it came."""

    claim: Claim
    since: float
    """Arrival of the newest frame examined, monotonic; of its first packet where there was none."""
    gap_s: float
    """From then to the look that suspicion asks for; 0 for a look that goes before all others of its queue."""
    promise_s: float
    """From then to the look that keeps the promise; 0 where the stream was never looked at."""
    weight: float = 1.0

    def floor(self, plan: Plan) -> float:
        """When its turn comes among all streams: the end of the promise, stretched as far as it must be."""
        return self.since + self.promise_s * plan.floor(self.weight)

    def due(self, plan: Plan) -> float:
        """When its turn comes among the suspicious ones."""
        return self.since + self.gap_s * plan.suspicion_stretch if self.gap_s > 0 else -math.inf


Item = TypeVar("Item")


class Taken(NamedTuple, Generic[Item]):
    """A look that is to be taken now."""

    item: Item
    claim: Claim
    """From whose share it is paid."""


class _Entry(Generic[Item]):
    __slots__ = ("item", "wish")

    def __init__(self, wish: Wish, item: Item) -> None:
        self.wish = wish
        self.item: Item | None = item


class Schedule(Generic[Item]):
    """The looks that wait. One caller at a time; a call takes microseconds, a new plan as many for each that waits."""

    def __init__(self) -> None:
        self._plan = CALM
        self._queues: dict[Claim, list[tuple[float, int, _Entry[Item]]]] = {claim: [] for claim in Claim}
        self._used: dict[Claim, float] = dict.fromkeys(Claim, 0.0)
        """Worker time divided by share: whoever has less is next where both are late."""
        self._order = 0
        self._waiting = dict.fromkeys(Claim, 0)
        """Looks that wait, by for what they were wished."""

    def __len__(self) -> int:
        return sum(self._waiting.values())

    def put(self, wish: Wish, item: Item) -> None:
        """Let a look wait for its turn."""
        self._order += 1
        if not self._waiting[wish.claim]:  # it had nothing to do: what it did not use is not owed, but for a little
            most = max(self._used.values())
            self._used[wish.claim] = max(self._used[wish.claim], most - CREDIT_S / RESERVED[wish.claim])
        self._waiting[wish.claim] += 1
        entry = _Entry(wish, item)
        heapq.heappush(self._queues[Claim.FLOOR], (wish.floor(self._plan), self._order, entry))
        if wish.claim is Claim.SUSPICION:
            heapq.heappush(self._queues[Claim.SUSPICION], (wish.due(self._plan), self._order, entry))

    def take(self, now: float) -> Taken[Item] | None:
        """Take the look whose turn it is; None where none waits."""
        heads = {claim: due for claim in Claim if (due := self._head(claim)) is not None}
        if not heads:
            return None
        claim = min(heads, key=heads.__getitem__)
        if len(heads) > 1 and max(heads.values()) < now:  # both are late
            claim = min(heads, key=self._used.__getitem__)
        _, _, entry = heapq.heappop(self._queues[claim])
        item, entry.item = entry.item, None
        self._waiting[entry.wish.claim] -= 1
        assert item is not None  # noqa: S101 - `_head` removed those that were taken from the other queue
        return Taken(item, claim)

    def spent(self, claim: Claim, seconds: float) -> None:
        """Charge worker time to a share: a prediction when the look begins, the difference when it is over."""
        self._used[claim] += seconds / RESERVED[claim]

    def press(self, plan: Plan) -> None:
        """Put all that waits into the order of another plan."""
        if _alike(plan.floor_stretch, self._plan.floor_stretch) and _alike(
            plan.suspicion_stretch, self._plan.suspicion_stretch
        ):
            return
        self._plan = plan
        floor = [entry for entry in self._queues[Claim.FLOOR] if entry[2].item is not None]
        suspicion = [entry for entry in self._queues[Claim.SUSPICION] if entry[2].item is not None]
        self._queues[Claim.FLOOR] = [(entry.wish.floor(plan), order, entry) for _, order, entry in floor]
        self._queues[Claim.SUSPICION] = [(entry.wish.due(plan), order, entry) for _, order, entry in suspicion]
        for queue in self._queues.values():
            heapq.heapify(queue)

    def clear(self) -> None:
        """Forget all that waits."""
        for queue in self._queues.values():
            queue.clear()
        self._waiting = dict.fromkeys(Claim, 0)

    def _head(self, claim: Claim) -> float | None:
        queue = self._queues[claim]
        while queue and queue[0][2].item is None:
            heapq.heappop(queue)
        return queue[0][0] if queue else None


def _alike(one: float, other: float) -> bool:
    return one <= other * _SAME and other <= one * _SAME
