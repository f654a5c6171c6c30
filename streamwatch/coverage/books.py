"""The books: for every second that a stream is live, was it watched as promised, and if not, why not. Pure.

A second is covered while the newest examined frame is at most `max_gap` old; the seconds beyond that, until the next
frame arrives, are uncovered, each with one reason. What is counted for ever (totals, rings, records) is settled
`SETTLE_S` behind the present, because a frame that arrived in time may be reported late; what is read now (states,
ratios) takes the open part as it looks, `PATIENCE_S` behind the present.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from streamwatch.coverage import recall
from streamwatch.coverage.account import Account
from streamwatch.coverage.breaches import OnBreach, WallOf
from streamwatch.coverage.promises import Promises
from streamwatch.coverage.rings import Rings
from streamwatch.coverage.summary import Standing, Summary, stand, summarise, worst_first
from streamwatch.coverage.tally import Tally
from streamwatch.coverage.timeline import Mark, Timeline
from streamwatch.domain.coverage import BooksRecord
from streamwatch.domain.streams import Reason, State, StreamId, StreamState

STATIC = "static"
"""The origin of streams that are named in the configuration."""

CLAIM_S = 120.0
"""After a restart, how long the roster may take to name a stream again: origins are asked within their `poll`, and
asked again where they do not answer. Later it is another stream."""


class Books:
    """Coverage of all streams of a node. One thread; times are monotonic seconds and never go back."""

    def __init__(self, *, offset: float = 0.0, on_breach: OnBreach | None = None, wall: WallOf | None = None) -> None:
        """`offset`: from monotonic to book time (see `BooksRecord`); `on_breach` hears of promises broken and kept.

        `wall`: the clock that names when they broke.
        """
        self._accounts: dict[StreamId, Account] = {}
        self._promises = Promises(on_breach, wall)
        self._said: dict[StreamId, None] = {}
        """Streams of which something was said since they were judged, in order."""
        self._kept: dict[StreamId, recall.Kept] = {}
        self._new_session: Callable[[], str] = str
        self._claim_until = math.inf
        self._gone: dict[StreamId, None] = {}
        self._saved = -math.inf
        self._late: dict[StreamId, float] = {}
        """Streams claimed since the last record that holds them: the book time from which their time was open."""
        self.tally = Tally(offset)

    def __len__(self) -> int:
        """How many streams have an account."""
        return len(self._accounts)

    @property
    def uncovered_total(self) -> dict[Reason, float]:
        """Uncovered live seconds by reason, settled; a counter that goes on over restarts."""
        return self.tally.uncovered_s

    # --- what is said ------------------------------------------------------------------------------------------------

    def watch(
        self, stream: StreamId, *, max_gap_s: float, now: float, live: bool = False, origin: str = STATIC
    ) -> None:
        """Open an account, or change its promise. `live`: an origin says that the stream is live already."""
        self.tally.origins.setdefault(origin, Rings())
        self._said[stream] = None
        account = self._accounts.get(stream)
        if account is not None:
            if account.max_gap_s != max_gap_s:
                account.max_gap_s, account.promised_at = max_gap_s, now
            account.origin = origin
            account.mark(now)
            return
        self._gone.pop(stream, None)
        kept = self._kept.pop(stream, None)
        if kept is not None:
            self._late[stream] = kept.facts.settled
            self._accounts[stream] = account = recall.revive(
                kept,
                origin=origin,
                max_gap_s=max_gap_s,
                now=now,
                offset=self.tally.offset,
                new_session=self._new_session,
            )
            self.tally.settle_one(account, self.tally.boundary(now))
            return
        since = now if live else None
        self._accounts[stream] = Account(
            line=Timeline(Mark(now, since, Reason.OVERLOAD, max_gap_s)),
            max_gap_s=max_gap_s,
            origin=origin,
            state=StreamState(State.CONNECTING, Reason.CONNECTING, now),
            live_since=since,
        )

    def forget(self, stream: StreamId, now: float) -> None:
        """Close the account of a stream that shall not be watched any more: all that is open is settled."""
        account = self._accounts.pop(stream, None)
        if account is not None:
            self._said.pop(stream, None)
            self._gone[stream] = None
            self._promises.over(stream, account, now)
            self.tally.settle_one(account, now)

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
        if ended:
            self._promises.over(stream, account, now)
            account.live_since = None
        elif live and account.live_since is None:
            account.live_since = now
            account.seen = False
            account.unnamed = Reason.OVERLOAD
        # A watcher that is still connecting knows nothing of what was live before it: live until it ended.
        account.ended = ended
        account.session = session
        if reason is not None and account.reason is None:
            self._promises.named(account, reason, now)
        account.reason = reason
        account.detail = detail
        self._mark(stream, account, now)

    def sampled(self, stream: StreamId, *, arrival: float, gap_s: float | None, now: float) -> None:
        """A frame that arrived then was examined. Not for pictures that show nothing: nobody saw what was streamed."""
        account = self._accounts.get(stream)
        if account is None:
            return
        arrival = min(arrival, now)
        deadline, newest = account.deadline, account.line.newest
        account.line.arrived(arrival)
        account.seen = True
        if arrival > newest:
            account.gap_s = gap_s
        if account.unnamed is not Reason.OVERLOAD:
            account.unnamed = Reason.OVERLOAD  # this watcher sees the stream
            account.mark(now)
        self._promises.sampled(stream, account, arrival=arrival, now=now, deadline=deadline)
        if account.state.state is not State.COVERED:
            self._said[stream] = None

    def hindered(self, streams: Iterable[StreamId], reason: Reason, now: float) -> None:
        """These streams cannot be looked at for a reason on our side (their watcher died, say)."""
        for stream in streams:
            account = self._accounts.get(stream)
            if account is not None and not account.ended:
                account.reason = reason
                account.detail = ""
                account.unnamed = Reason.CONNECTING  # until the next watcher has examined a frame
                self._mark(stream, account, now)

    # --- what is asked -----------------------------------------------------------------------------------------------

    def judge(self, now: float) -> tuple[tuple[StreamId, StreamState, str], ...]:
        """Return the streams whose state or reason changed since the last call; settle what is old enough."""
        self.tally.settle(self._accounts.values(), now)
        said, self._said = self._said, {}
        said |= dict.fromkeys(self._promises.passed(self._accounts, now))
        changed = []
        for stream in said:
            account = self._accounts.get(stream)
            if account is not None and self._judge(stream, account, now):
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
        return account.line.newest if account is not None and account.seen else None

    def counts(self) -> dict[State, int]:
        """Streams per state, as last judged."""
        counts = dict.fromkeys(State, 0)
        for account in self._accounts.values():
            counts[account.state.state] += 1
        return counts

    def summary(self, now: float) -> Summary:
        """The node at a glance."""
        return summarise(self._accounts, self.tally, now)

    def standing(self, stream: StreamId, now: float) -> Standing | None:
        """One stream at a glance."""
        account = self._accounts.get(stream)
        return None if account is None else stand(stream, account, self.tally, now)

    def worst_first(self, now: float) -> list[StreamId]:
        """All streams, those first that need somebody's eyes."""
        return worst_first(self._accounts, now)

    # --- restarts ----------------------------------------------------------------------------------------------------

    def record(self, now: float, *, wall: float, boot: str) -> BooksRecord:
        """All that a restart must know, with the buckets changed since the record before that was `recorded`."""
        self.tally.settle(self._accounts.values(), now)  # whoever judges may be held up, and what is saved stays closed
        if now > self._claim_until:
            self._gone |= dict.fromkeys(self._kept)
            self._kept = {}
        self.tally.forget_origins({account.origin for account in self._accounts.values()}, now)
        book = now + self.tally.offset
        pages = recall.node_pages(self.tally, since=min([self._saved, *self._late.values()]))
        pages.extend(
            recall.stream_page(stream, account, self.tally, now=now, since=self._late.get(stream, self._saved))
            for stream, account in self._accounts.items()
        )
        gone = tuple(self._gone)
        return BooksRecord(book, wall, now, boot, tuple(pages), gone, recall.oldest(book))

    def recorded(self, record: BooksRecord) -> None:
        """This record is kept, so the next one need not repeat it."""
        self._saved = recall.saved_until(record)
        if self._late:
            for page in record.pages:
                if page.kind == "stream":
                    self._late.pop(StreamId(page.name), None)
        for stream in record.gone:
            self._late.pop(stream, None)
            if stream not in self._accounts:
                self._gone.pop(stream, None)

    def restore(
        self, record: BooksRecord, *, now: float, wall: float, boot: str, new_session: Callable[[], str]
    ) -> int:
        """Go on where a record ends, before anything else is said; returns how many streams it knows.

        Streams come back as they are `watch`ed, those that were live in a session of `new_session`.
        """
        self.tally = Tally(recall.offset_after(record, now=now, wall=wall, boot=boot))
        self._kept = recall.load(record, self.tally)
        self._new_session = new_session
        self._claim_until = now + CLAIM_S
        self._saved = recall.saved_until(record)
        return len(self._kept)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _mark(self, stream: StreamId, account: Account, now: float) -> None:
        account.mark(now)
        if (early := account.line.overfull()) is not None:
            self.tally.settle_one(account, early)
        self._said[stream] = None

    def _judge(self, stream: StreamId, account: Account, now: float) -> bool:
        """Judge one stream; whether people see a difference."""
        self._promises.judge(stream, account, now)
        state, reason = account.judged(now)
        before = account.state
        if (state, reason, account.session) == (before.state, before.reason, before.session):
            return False
        since = now if state is not before.state else before.since
        account.state = StreamState(state, reason, since, account.session, account.gap_s)
        return True
