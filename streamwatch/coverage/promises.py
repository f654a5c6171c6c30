"""Which promises are being broken now: deadlines, and what is told when one passes. Pure.

A stream's deadline moves with every frame. It is looked at again only when something is said of the stream, or when the
deadline that was known last has passed: a thousand streams that are looked at cost nothing here.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

from streamwatch.coverage.account import PATIENCE_S, Account
from streamwatch.coverage.breaches import NAMELESS_S, SHORT_S, Breach, BreachEvent, EndedBy, OnBreach, WallOf
from streamwatch.domain.streams import Reason, StreamId


def _nobody(_: BreachEvent) -> None:
    """Hear nothing."""


class Promises:
    """Opens and closes breaches of accounts. Monotonic seconds."""

    def __init__(self, on_breach: OnBreach | None, wall: WallOf | None) -> None:
        self._tell = on_breach or _nobody
        self._wall = wall
        self._due: list[tuple[float, StreamId]] = []

    def passed(self, accounts: Mapping[StreamId, Account], now: float) -> Iterator[StreamId]:
        """Streams whose deadline, as it was known last, has passed."""
        while self._due and self._due[0][0] < now:
            at, stream = heapq.heappop(self._due)
            account = accounts.get(stream)
            if account is not None and account.due == at:
                account.due = None
                yield stream

    def judge(self, stream: StreamId, account: Account, now: float) -> None:
        """Whether the promise is broken, and when to ask again."""
        deadline = account.deadline
        if deadline is None:
            return
        tell_at = deadline + (PATIENCE_S if account.reason is not None else NAMELESS_S)
        if now <= tell_at:
            if now <= deadline:
                self._close(stream, account, now, "promise")  # it was changed meanwhile
            # First its state becomes uncovered, then the breach is told.
            next_at = min(deadline + PATIENCE_S, tell_at) if now <= deadline + PATIENCE_S else tell_at
            if account.due is None or account.due > next_at:
                account.due = next_at
                heapq.heappush(self._due, (account.due, stream))
        elif account.breach is None:
            account.breach = account.broken(deadline, self._wall, now)
            self._tell(account.breach.begun(stream, now))

    def sampled(
        self, stream: StreamId, account: Account, *, arrival: float, now: float, deadline: float | None
    ) -> None:
        """A frame was examined; `deadline` is that which held before it."""
        if account.breach is not None:
            self._contradict(stream, account, account.breach, arrival, now)
        elif deadline is not None:
            self._missed(stream, account, deadline, arrival, "frame")

    def over(self, stream: StreamId, account: Account, now: float) -> None:
        """The stream's live time is over, and with it what was promised."""
        deadline = account.deadline
        if account.breach is not None:
            self._close(stream, account, now, "end")
        elif deadline is not None:
            self._missed(stream, account, deadline, now, "end")

    def named(self, account: Account, reason: Reason, now: float) -> None:
        """The watcher says what stands in the way."""
        if account.breach is not None:
            account.breach.name(reason, now)

    def _close(self, stream: StreamId, account: Account, at: float, by: EndedBy) -> None:
        breach, account.breach = account.breach, None
        if breach is not None:
            self._tell(breach.ended(stream, at, by))

    def _missed(self, stream: StreamId, account: Account, deadline: float, at: float, by: EndedBy) -> None:
        """A breach that began after streams were judged last is over already: tell both."""
        if at - deadline >= SHORT_S:
            breach = account.broken(deadline, self._wall, at)
            self._tell(breach.begun(stream, at))
            self._tell(breach.ended(stream, at, by))

    def _contradict(self, stream: StreamId, account: Account, breach: Breach, arrival: float, now: float) -> None:
        """A frame was examined during a breach: it ended then; reported late, it shows a later beginning or none."""
        deadline = account.deadline
        if arrival > breach.started or deadline is None or now <= deadline:
            self._close(stream, account, arrival, "frame")
        else:
            breach.started = max(breach.started, deadline)
            breach.watched_until = deadline - account.max_gap_s
