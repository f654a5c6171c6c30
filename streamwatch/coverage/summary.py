"""Reading the books: the node, its origins and each stream at a glance, the open part included. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from streamwatch.coverage.account import PATIENCE_S, Account
from streamwatch.coverage.breaches import Breach
from streamwatch.coverage.rings import DAY, HOUR, MINUTE, NOTHING, Ratios, Sums
from streamwatch.coverage.tally import Tally
from streamwatch.domain.streams import Reason, State, StreamId, StreamState


@dataclass(frozen=True, slots=True)
class Uncovered:
    """One stream that is not covered now."""

    stream: StreamId
    reason: Reason
    since: float


@dataclass(frozen=True, slots=True)
class OriginSummary:
    """One origin at a glance."""

    name: str
    live: int
    covered: int
    ratios: Ratios


@dataclass(frozen=True, slots=True)
class Summary:
    """The node at a glance."""

    live: int
    covered: int
    ratio_1m: float | None
    """Covered share of the live stream-seconds of the last minute; None where nothing was live."""
    worst_gap_s: float
    """The longest time since an examined frame among live streams, now."""
    uncovered: tuple[Uncovered, ...]
    connecting: int = 0
    """Streams that shall be watched and were never live: not uncovered, unknown."""
    ratio_1h: float | None = None
    ratio_24h: float | None = None
    breaches_1h: int = 0
    """Promises broken in the last hour, each counted once, also those too short to be told."""
    origins: tuple[OriginSummary, ...] = ()
    """By name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One stream at a glance. Monotonic seconds."""

    stream: StreamId
    origin: str
    state: StreamState
    detail: str
    max_gap_s: float
    gap_now_s: float | None
    """Since the newest examined frame or the beginning of the live time; None where it is not live."""
    breach: Breach | None
    ratios: Ratios
    breaches_1h: int
    live_s: float
    uncovered_s: float


class _Part:
    """Sums over the streams of one origin."""

    __slots__ = ("breaches", "covered", "live", "live_s", "uncovered_s")

    def __init__(self) -> None:
        self.live = self.covered = self.breaches = 0
        self.live_s = self.uncovered_s = 0.0

    @property
    def open(self) -> Sums:
        return Sums(self.live_s, self.uncovered_s, self.breaches)


def summarise(accounts: Mapping[StreamId, Account], tally: Tally, now: float) -> Summary:
    """The node and its origins; the ratios are judged `PATIENCE_S` behind the present."""
    until = now - PATIENCE_S
    parts = {origin: _Part() for origin in sorted(tally.origins)}
    uncovered = []
    worst_gap_s, connecting = 0.0, 0
    for stream, account in accounts.items():
        part = parts[account.origin]
        if account.live_since is not None:
            part.live += 1
            worst_gap_s = max(worst_gap_s, now - account.line.watched_since)
            if account.state.state is State.COVERED:
                part.covered += 1
            elif account.state.state is State.UNCOVERED:
                reason = account.state.reason or Reason.CONNECTING
                uncovered.append(Uncovered(stream, reason, account.state.since))
        elif not account.ended:
            connecting += 1
        live_s, uncovered_s, breaches = account.open_part(until)
        part.live_s += live_s
        part.uncovered_s += uncovered_s
        part.breaches += breaches
    whole = NOTHING
    for part in parts.values():
        whole = whole.plus(part.open)
    ratios = tally.ratios(tally.node, whole, until)
    return Summary(
        live=sum(part.live for part in parts.values()),
        covered=sum(part.covered for part in parts.values()),
        ratio_1m=ratios[MINUTE],
        worst_gap_s=worst_gap_s,
        uncovered=tuple(uncovered),
        connecting=connecting,
        ratio_1h=ratios[HOUR],
        ratio_24h=ratios[DAY],
        breaches_1h=tally.node.sums(HOUR, until + tally.offset).breaches + whole.breaches,
        origins=tuple(
            OriginSummary(name, part.live, part.covered, tally.ratios(tally.origins[name], part.open, until))
            for name, part in parts.items()
        ),
    )


def stand(stream: StreamId, account: Account, tally: Tally, now: float) -> Standing:
    """One stream."""
    until = now - PATIENCE_S
    open_part = account.open_part(until)
    return Standing(
        stream=stream,
        origin=account.origin,
        state=account.state,
        detail=account.detail,
        max_gap_s=account.max_gap_s,
        gap_now_s=None if account.live_since is None else now - account.line.watched_since,
        breach=account.breach,
        ratios=tally.ratios(account.rings, open_part, until),
        breaches_1h=account.rings.sums(HOUR, until + tally.offset).breaches + open_part.breaches,
        live_s=account.live_s + open_part.live_s,
        uncovered_s=sum(account.uncovered_s.values()) + open_part.uncovered_s,
    )


def worst_first(accounts: Mapping[StreamId, Account], now: float) -> list[StreamId]:
    """All streams: uncovered ones first, then the live ones by how long they wait for a frame, by their own measure."""

    def measure(stream: StreamId) -> tuple[int, float]:
        account = accounts[stream]
        if account.live_since is None:
            return (3 if account.ended else 2), 0.0
        late = (now - account.line.watched_since) / account.max_gap_s
        return (0 if account.state.state is State.UNCOVERED else 1), -late

    return sorted(accounts, key=measure)


def fullest_last(ratio: float | None) -> float:
    """A key to sort by coverage, the lowest first and where nothing was live last."""
    return math.inf if ratio is None else ratio
