"""What is counted for ever: settled seconds, in totals and in rings, of the node and of each origin. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection

from streamwatch.coverage.account import Account
from streamwatch.coverage.breaches import TRIFLE_S
from streamwatch.coverage.rings import DAY, STEP_S, Ratios, Rings, Sums
from streamwatch.coverage.timeline import Span
from streamwatch.domain.streams import Reason

SETTLE_S = 10.0
"""A look may take a key picture that is a key interval old (10 s is long), and wait for a worker under overload.
A frame that is reported later still changes nothing that was counted: it was not examined when it mattered."""

_ROUNDING_S = 1e-6


class Tally:
    """The sums over all streams. Moments are monotonic seconds, counters go on over restarts."""

    def __init__(self, offset: float) -> None:
        """`offset`: from monotonic to book time."""
        self.offset = offset
        self.node = Rings()
        self.origins: dict[str, Rings] = {}
        self.live_s = 0.0
        self.uncovered_s: dict[Reason, float] = dict.fromkeys(Reason, 0.0)
        self.breaches: dict[Reason, int] = dict.fromkeys(Reason, 0)
        """By the reason of their first second."""
        self._settled = -math.inf
        """Up to when every account is settled; none is where there are none."""

    def boundary(self, now: float) -> float:
        """Up to where accounts are settled now: whole steps of book time."""
        return math.floor((now + self.offset - SETTLE_S) / STEP_S) * STEP_S - self.offset

    def settle(self, accounts: Collection[Account], now: float) -> None:
        """Close what is older than `SETTLE_S` of all accounts; costs nothing where no step has passed."""
        until = self.boundary(now)
        if until <= self._settled:
            return
        self._settled = until
        step = round((until + self.offset) / STEP_S) - 1
        sums: dict[str, tuple[float, float, int]] = {}
        for account in accounts:
            start = account.line.settled
            if start >= until:
                continue
            if start < until - STEP_S - _ROUNDING_S:  # the loop was held up
                self.settle_one(account, until)
                continue
            live_s = uncovered_s = 0.0
            breaches = 0
            for span in account.line.settle(until):
                lasted = span[1] - span[0]
                live_s += lasted
                if span[2] is not None:
                    breaches += self._count(account, span)
                    uncovered_s += lasted
            if live_s:
                account.live_s += live_s
                account.rings.add_step(step, live_s, uncovered_s, breaches)
                before = sums.get(account.origin, (0.0, 0.0, 0))
                sums[account.origin] = (before[0] + live_s, before[1] + uncovered_s, before[2] + breaches)
        for origin, (live_s, uncovered_s, breaches) in sums.items():
            self.live_s += live_s
            self.node.add_step(step, live_s, uncovered_s, breaches)
            self.origins[origin].add_step(step, live_s, uncovered_s, breaches)

    def settle_one(self, account: Account, until: float) -> None:
        """Close one account's time up to a moment, whatever its length."""
        every = (account.rings, self.node, self.origins[account.origin])
        for span in account.line.settle(until):
            lasted = span.end - span.start
            account.live_s += lasted
            self.live_s += lasted
            start, end = span.start + self.offset, span.end + self.offset
            for rings in every:
                rings.add(start, end, covered=span.reason is None)
            if span.reason is not None and self._count(account, span):
                for rings in every:
                    rings.add_breach(start)

    def ratios(self, rings: Rings, open_part: Sums, until: float) -> Ratios:
        """Covered shares of the last minute, hour and day: what is settled and what is open."""
        minute, hour, day = (rings.sums(window, until + self.offset).plus(open_part).ratio for window in range(3))
        return minute, hour, day

    def forget_origins(self, present: Collection[str], now: float) -> None:
        """Drop those that have no streams and had none for a day."""
        for name in [name for name in self.origins if name not in present]:
            if self.origins[name].sums(DAY, now + self.offset).live_s <= 0:
                del self.origins[name]

    def _count(self, account: Account, span: Span) -> int:
        """Add an uncovered span to the totals; 1 where a breach begins with it."""
        start, end, reason = span
        if reason is None:
            return 0
        account.uncovered_s[reason] = account.uncovered_s.get(reason, 0.0) + end - start
        self.uncovered_s[reason] += end - start
        begins = start > account.uncovered_until + _ROUNDING_S
        if begins and end - start < TRIFLE_S - _ROUNDING_S:
            return 0  # if it goes on, it begins with what comes next
        account.uncovered_until = end
        if begins:
            self.breaches[reason] += 1
        return int(begins)
