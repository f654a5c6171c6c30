"""The books: for every second that a stream is live, was it watched as promised, and if not, why not. Pure.

A second is covered while the newest examined frame is at most `max_gap` old; the seconds beyond that, until the next
frame arrives, are uncovered, each with one reason. Books are closed `SETTLE_S` behind the present, because a frame that
arrived in time is scored and reported a little later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from streamwatch.domain.streams import Reason, State, StreamId, StreamState

SETTLE_S = 1.0
"""Decoding, scoring and reporting take less than this on a machine that keeps up; else it is overload anyway."""

_MINUTE_S = 60


@dataclass(slots=True)
class _Account:
    """What is known of one stream. Monotonic seconds."""

    max_gap_s: float
    booked: float
    live_since: float | None = None
    ended: bool = False
    reason: Reason | None = None
    detail: str = ""
    session: str = ""
    last_sample: float | None = None
    gap_s: float | None = None
    live_s: float = 0.0
    uncovered_s: dict[Reason, float] = field(default_factory=dict)
    state: StreamState = field(default_factory=lambda: StreamState(State.CONNECTING, Reason.CONNECTING, 0.0))

    @property
    def deadline(self) -> float | None:
        """When the promise breaks unless a frame is examined before."""
        return None if self.live_since is None else self.watched_since + self.max_gap_s

    @property
    def watched_since(self) -> float:
        """Arrival of the newest examined frame, or the beginning of the live time."""
        since = self.booked if self.live_since is None else self.live_since
        return since if self.last_sample is None else max(since, self.last_sample)


@dataclass(frozen=True, slots=True)
class Uncovered:
    """One stream that is not covered now."""

    stream: StreamId
    reason: Reason
    since: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The node at a glance."""

    live: int
    covered: int
    ratio_1m: float
    """Covered share of the live stream-seconds of the last minute; 1 where nothing was live."""
    worst_gap_s: float
    """The longest time since an examined frame among live streams, now."""
    uncovered: tuple[Uncovered, ...]
    connecting: int = 0
    """Streams that shall be watched and were never live: not uncovered, unknown."""


class Books:
    """Coverage of all streams of a node. One thread; times are monotonic seconds and never go back."""

    def __init__(self) -> None:
        self._accounts: dict[StreamId, _Account] = {}
        self._minute: deque[tuple[int, float, float]] = deque()
        self.uncovered_total: dict[Reason, float] = dict.fromkeys(Reason, 0.0)
        """Uncovered live seconds since start, by reason; a counter."""

    def watch(self, stream: StreamId, *, max_gap_s: float, now: float, live: bool = False) -> None:
        """Open an account, or change its promise. `live`: an origin says that the stream is live already."""
        account = self._accounts.get(stream)
        if account is not None:
            self._book(account, now)
            account.max_gap_s = max_gap_s
            return
        account = _Account(max_gap_s=max_gap_s, booked=now)
        account.state = StreamState(State.CONNECTING, Reason.CONNECTING, now)
        if live:
            account.live_since = now
        self._accounts[stream] = account

    def forget(self, stream: StreamId, now: float) -> None:
        """Close the account of a stream that shall not be watched any more."""
        account = self._accounts.pop(stream, None)
        if account is not None:
            self._book(account, now)

    def level(
        self,
        stream: StreamId,
        *,
        session: str,
        live: bool,
        ended: bool,
        reason: Reason | None,
        detail: str = "",
        now: float,
    ) -> None:
        """Take a watcher's word about a stream."""
        account = self._accounts.get(stream)
        if account is None:
            return
        self._book(account, now)
        if ended:
            account.live_since = None
        elif live and account.live_since is None:
            account.live_since = now
            account.last_sample = None
        # A watcher that is still connecting knows nothing of what was live before it: live until it ended.
        account.ended = ended
        account.session = session
        account.reason = reason
        account.detail = detail

    def sampled(self, stream: StreamId, *, arrival: float, gap_s: float | None, now: float) -> None:
        """A frame that arrived then was examined."""
        account = self._accounts.get(stream)
        if account is None:
            return
        arrival = min(arrival, now)
        self._book_until(account, arrival)  # what came before this frame is now known for certain
        if account.last_sample is None or arrival > account.last_sample:
            account.last_sample = arrival
            account.gap_s = gap_s

    def hindered(self, streams: Iterable[StreamId], reason: Reason, now: float) -> None:
        """These streams cannot be looked at for a reason on our side (their watcher died, say)."""
        for stream in streams:
            account = self._accounts.get(stream)
            if account is not None and not account.ended:
                self._book(account, now)
                account.reason = reason
                account.detail = ""

    def judge(self, now: float) -> tuple[tuple[StreamId, StreamState, str], ...]:
        """Book up to now and return the streams whose state or reason changed since the last call."""
        changed = []
        for stream, account in self._accounts.items():
            self._book(account, now)
            state, reason = _judge(account, now)
            before = account.state
            if (state, reason, account.session) == (before.state, before.reason, before.session):
                continue
            since = now if state is not before.state else before.since
            account.state = StreamState(state, reason, since, account.session, account.gap_s)
            changed.append((stream, account.state, account.detail))
        return tuple(changed)

    def state(self, stream: StreamId) -> tuple[StreamState, str] | None:
        """State and detail of a stream as last judged, with its newest gap."""
        account = self._accounts.get(stream)
        if account is None:
            return None
        state = account.state
        return StreamState(state.state, state.reason, state.since, state.session, account.gap_s), account.detail

    def streams(self) -> tuple[StreamId, ...]:
        """All streams with an account."""
        return tuple(self._accounts)

    def live_session(self, stream: StreamId) -> str:
        """The session of a stream that is live; empty where it is not."""
        account = self._accounts.get(stream)
        return account.session if account is not None and account.live_since is not None else ""

    def ended(self, stream: StreamId) -> bool:
        """Whether a stream's newest word was that it ended."""
        account = self._accounts.get(stream)
        return account is not None and account.ended

    def last_sample(self, stream: StreamId) -> float | None:
        """Arrival of the newest examined frame."""
        account = self._accounts.get(stream)
        return account.last_sample if account else None

    def summary(self, now: float) -> Summary:
        """The node at a glance."""
        live = [(stream, a) for stream, a in self._accounts.items() if a.live_since is not None]
        for _, account in live:
            self._book(account, now)
        self._drop_old(now)
        live_s = sum(part[1] for part in self._minute)
        covered_s = sum(part[2] for part in self._minute)
        gaps = [now - a.watched_since for _, a in live]
        uncovered = tuple(
            Uncovered(stream, a.state.reason or Reason.CONNECTING, a.state.since)
            for stream, a in live
            if a.state.state is State.UNCOVERED
        )
        return Summary(
            live=len(live),
            covered=sum(1 for _, a in live if a.state.state is State.COVERED),
            ratio_1m=covered_s / live_s if live_s > 0 else 1.0,
            worst_gap_s=max(gaps, default=0.0),
            uncovered=uncovered,
            connecting=sum(1 for a in self._accounts.values() if a.live_since is None and not a.ended),
        )

    def counts(self) -> dict[State, int]:
        """Streams per state, as last judged."""
        counts = dict.fromkeys(State, 0)
        for account in self._accounts.values():
            counts[account.state.state] += 1
        return counts

    def _book(self, account: _Account, now: float) -> None:
        """Book the time from where the account stands to `SETTLE_S` before now."""
        self._book_until(account, now - SETTLE_S)

    def _book_until(self, account: _Account, until: float) -> None:
        if until <= account.booked:
            return
        start, account.booked = account.booked, until
        deadline = account.deadline
        if account.live_since is None or deadline is None:
            return
        start = max(start, account.live_since)
        if until <= start:
            return
        uncovered = max(until - max(start, deadline), 0.0)
        account.live_s += until - start
        if uncovered > 0:
            reason = account.reason or Reason.OVERLOAD
            account.uncovered_s[reason] = account.uncovered_s.get(reason, 0.0) + uncovered
            self.uncovered_total[reason] += uncovered
        self._remember(until, until - start, until - start - uncovered)

    def _remember(self, at: float, live_s: float, covered_s: float) -> None:
        second = int(at)
        if self._minute and self._minute[-1][0] == second:
            _, live_before, covered_before = self._minute.pop()
            live_s, covered_s = live_s + live_before, covered_s + covered_before
        self._minute.append((second, live_s, covered_s))
        self._drop_old(at)

    def _drop_old(self, now: float) -> None:
        while self._minute and self._minute[0][0] < now - _MINUTE_S:
            self._minute.popleft()


def _judge(account: _Account, now: float) -> tuple[State, Reason | None]:
    if account.ended:
        return State.ENDED, account.reason
    deadline = account.deadline
    if account.live_since is None or deadline is None:
        return State.CONNECTING, account.reason or Reason.CONNECTING
    if account.reason is not None:
        return State.UNCOVERED, account.reason
    if now > deadline + SETTLE_S:
        return State.UNCOVERED, Reason.OVERLOAD
    if account.last_sample is None:
        return State.CONNECTING, Reason.CONNECTING
    return State.COVERED, None
