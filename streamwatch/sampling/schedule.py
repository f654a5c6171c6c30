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
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

RESERVED = {"floor": 0.6, "suspicion": 0.4}
"""Shares of the workers' time while both queues are late. The floor is the promise, so it has the larger one."""

CREDIT_S = 0.25
"""A queue that had nothing to do is owed so much worker time at most, or its return would stop the other one."""

LOOK_BACK_FIRST = -math.inf
"""Deadline of a second look: a suspicion is confirmed or cleared before looks that only come round."""


class Claim(StrEnum):
    """For what a look is taken, and so from which share it is paid."""

    FLOOR = "floor"
    SUSPICION = "suspicion"


class Wish(NamedTuple):
    """One look that a stream wants. Times are monotonic seconds, stretched where the machine is too small."""

    claim: Claim
    due: float
    """The end of the gap aimed at; for a calm stream the same as `floor`."""
    floor: float
    """The end of the longest gap: from then on the look counts as the floor's, whoever wished for it."""


Item = TypeVar("Item")


class Taken(NamedTuple, Generic[Item]):
    """A look that is to be taken now."""

    item: Item
    claim: Claim
    """From whose share it is paid."""


class _Entry(Generic[Item]):
    __slots__ = ("item",)

    def __init__(self, item: Item) -> None:
        self.item: Item | None = item


class Schedule(Generic[Item]):
    """The looks that wait. One caller at a time; every call takes microseconds."""

    def __init__(self) -> None:
        self._queues: dict[Claim, list[tuple[float, int, _Entry[Item]]]] = {claim: [] for claim in Claim}
        self._used: dict[Claim, float] = dict.fromkeys(Claim, 0.0)
        """Worker time divided by share: whoever has less is next where both are late."""
        self._order = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, wish: Wish, item: Item) -> None:
        """Let a look wait for its turn."""
        self._order += 1
        self._waiting += 1
        entry = _Entry(item)
        heapq.heappush(self._queues[Claim.FLOOR], (wish.floor, self._order, entry))
        if wish.claim is Claim.SUSPICION:
            heapq.heappush(self._queues[Claim.SUSPICION], (wish.due, self._order, entry))

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
        self._waiting -= 1
        assert item is not None  # noqa: S101 - `_head` removed those that were taken from the other queue
        return Taken(item, claim)

    def spent(self, claim: Claim, seconds: float) -> None:
        """Charge worker time to a share: a prediction when the look begins, the difference when it is over."""
        self._used[claim] += seconds / RESERVED[claim]
        most = max(self._used.values())
        for each in Claim:
            self._used[each] = max(self._used[each], most - CREDIT_S / RESERVED[each])

    def clear(self) -> None:
        """Forget all that waits."""
        for queue in self._queues.values():
            queue.clear()
        self._waiting = 0

    def _head(self, claim: Claim) -> float | None:
        queue = self._queues[claim]
        while queue and queue[0][2].item is None:
            heapq.heappop(queue)
        return queue[0][0] if queue else None
