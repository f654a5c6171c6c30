"""The books as a record, and back: what a restart must know. Pure.

A restart is uncovered time: streams that were live at the last word are taken to have been live all the time since, and
every second beyond their promise is uncovered with the reason `restart` until a watcher speaks of them again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamwatch.coverage.account import Account
from streamwatch.coverage.breaches import Breach
from streamwatch.coverage.rings import STEP_S, WINDOWS, Rings
from streamwatch.coverage.tally import SETTLE_S, Tally
from streamwatch.coverage.timeline import Mark, Timeline
from streamwatch.domain.coverage import BooksRecord, Page, PageKind
from streamwatch.domain.streams import Reason, State, StreamId, StreamState

LONGEST_DOWN_S = 86400.0
"""The longest time away that is believed where only the wall clock tells it, which may have been set meanwhile."""
_KEPT_MARKS = 64
_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_STREAM_BUCKETS_S, _NODE_BUCKETS_S = 60, STEP_S
"""Finest buckets that are kept: those of a minute of each stream would be most of the record, and are soon old."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer streamwatch may have written more


class _Mark(_Facts):
    at: float
    live_since: float | None
    reason: Reason
    max_gap_s: float = Field(gt=0)


class _Breach(_Facts):
    started: float
    reason: Reason
    session: str
    max_gap_s: float
    watched_until: float
    told: float | None = None
    began_at: float | None = Field(None, ge=0, le=2.5e11)
    """Seconds since the epoch that the calendar has."""


class StreamFacts(_Facts):
    """One stream. Moments are book time."""

    told: float
    """When this was written: our last word."""
    live: bool
    session: str
    seen: bool
    settled: float
    base: float | None
    arrivals: tuple[float, ...]
    marks: tuple[_Mark, ...] = Field(min_length=1)
    live_s: float
    uncovered_s: dict[Reason, float]
    uncovered_until: float | None
    uncovered_since: float | None
    """Since when its state is `uncovered`; None where it is not."""
    breach: _Breach | None


class _NodeFacts(_Facts):
    live_s: float
    uncovered_s: dict[Reason, float]
    breaches: dict[Reason, int]


AnyFacts = TypeVar("AnyFacts", bound=_Facts)


@dataclass(frozen=True, slots=True)
class Kept:
    """One stream's page, read and not yet claimed by the roster."""

    facts: StreamFacts
    rings: Rings


def stream_page(stream: StreamId, account: Account, tally: Tally, *, now: float, since: float) -> Page:
    """One stream, as `StreamFacts` reads it, with its buckets changed since then (book time).

    Written without models, which would be most of a record's cost.
    """
    line, offset, breach = account.line, tally.offset, account.breach
    line.thin()
    facts = {
        "told": _book(now, offset),
        "live": account.live_since is not None,
        "session": account.session,
        "seen": account.seen,
        "settled": _book(line.settled, offset),
        "base": _book_or_none(line.base, offset),
        "arrivals": [_book(arrival, offset) for arrival in line.arrivals],
        "marks": [
            {
                "at": _book(mark.at, offset),
                "live_since": _book_or_none(mark.live_since, offset),
                "reason": mark.reason,
                "max_gap_s": mark.max_gap_s,
            }
            for mark in line.marks[-_KEPT_MARKS:]
        ],
        "live_s": round(account.live_s, 3),
        "uncovered_s": {reason: round(seconds, 3) for reason, seconds in account.uncovered_s.items()},
        "uncovered_until": _book_or_none(account.uncovered_until, offset),
        "uncovered_since": _book(account.state.since, offset) if account.state.state is State.UNCOVERED else None,
        "breach": None
        if breach is None
        else {
            "started": _book(breach.started, offset),
            "reason": breach.reason,
            "session": breach.session,
            "max_gap_s": breach.max_gap_s,
            "watched_until": _book(breach.watched_until, offset),
            "told": _book(breach.told, offset),
            "began_at": breach.began_at,
        },
    }
    return _page("stream", stream, _JSON(facts), account.rings, since=since, finest=_STREAM_BUCKETS_S)


def node_pages(tally: Tally, *, since: float) -> list[Page]:
    """The node and its origins."""
    facts = _NodeFacts(live_s=tally.live_s, uncovered_s=tally.uncovered_s, breaches=tally.breaches)
    pages = [_page("node", "", facts.model_dump_json(), tally.node, since=since, finest=_NODE_BUCKETS_S)]
    pages.extend(
        _page("origin", name, "{}", rings, since=since, finest=_NODE_BUCKETS_S) for name, rings in tally.origins.items()
    )
    return pages


def oldest(book: float) -> tuple[tuple[int, int], ...]:
    """Per width the lowest bucket that still counts."""
    return tuple((window.width_s, int(book // window.width_s) - window.size) for window in WINDOWS)


def offset_after(record: BooksRecord, *, now: float, wall: float, boot: str) -> float:
    """From monotonic to book time, so that book time went on while we were away.

    While the machine ran, its monotonic clock tells how long that was; else the wall clock does, as far as it can be
    believed.
    """
    if boot and boot == record.boot and now >= record.monotonic:
        return record.at - record.monotonic
    away_s = min(max(wall - record.wall, 0.0), LONGEST_DOWN_S)
    return record.at + away_s - now


def load(record: BooksRecord, tally: Tally) -> dict[StreamId, Kept]:
    """Take over totals and rings; return what is known of streams. What cannot be read is left out."""
    kept: dict[StreamId, Kept] = {}
    for page in record.pages:
        match page.kind:
            case "node" if node := _read(_NodeFacts, page.facts):
                tally.node.load(page.buckets)
                tally.live_s = node.live_s
                tally.uncovered_s |= node.uncovered_s
                tally.breaches |= node.breaches
            case "origin":
                tally.origins.setdefault(page.name, Rings()).load(page.buckets)
            case "stream" if facts := _read(StreamFacts, page.facts):
                rings = Rings()
                rings.load(page.buckets)
                kept[StreamId(page.name)] = Kept(facts, rings)
            case _:
                pass
    return kept


def revive(
    kept: Kept, *, origin: str, max_gap_s: float, now: float, offset: float, new_session: Callable[[], str]
) -> Account:
    """The account of a stream that is on the roster again.

    Where it was live it is taken to be so still, in a session of its own: nobody saw whether the publication of before
    the restart is the one of after it, and what one person did must not be put on another's account. Its watcher finds
    out whether it has ended.
    """
    facts = kept.facts
    mono = [
        Mark(
            mark.at - offset,
            None if mark.live_since is None else mark.live_since - offset,
            mark.reason,
            mark.max_gap_s,
        )
        for mark in facts.marks
    ]
    settled = min(facts.settled - offset, now)
    line = Timeline(mono[0], settled=settled, base=-math.inf if facts.base is None else facts.base - offset)
    for mark in mono[1:]:
        line.mark(mark)
    for arrival in facts.arrivals:
        line.arrived(min(arrival - offset, now))
    told = min(facts.told - offset, now)
    live_since = mono[-1].live_since if facts.live else None
    since = told if facts.uncovered_since is None else min(facts.uncovered_since - offset, told)
    account = Account(
        line=line,
        max_gap_s=max_gap_s,
        origin=origin,
        state=StreamState(State.CONNECTING, None, now)
        if live_since is None
        else StreamState(State.UNCOVERED, None, since),
        live_since=live_since,
        reason=Reason.CONNECTING if live_since is None else Reason.RESTART,
        detail="" if live_since is None else "the daemon was started again",
        unnamed=Reason.OVERLOAD if live_since is None else Reason.CONNECTING,
        session="" if live_since is None else new_session(),
        seen=facts.seen and live_since is not None,
        live_s=facts.live_s,
        uncovered_s=dict(facts.uncovered_s),
        uncovered_until=-math.inf if facts.uncovered_until is None else facts.uncovered_until - offset,
        rings=kept.rings,
    )
    if facts.breach is not None and live_since is not None:
        before = facts.breach
        account.breach = Breach(
            started=before.started - offset,
            reason=before.reason,
            session=before.session,
            max_gap_s=before.max_gap_s,
            watched_until=before.watched_until - offset,
            told=(before.started if before.told is None else before.told) - offset,
            began_at=before.began_at,
        )
    line.mark(Mark(told, live_since, account.fault, mono[-1].max_gap_s))
    account.mark(now)
    return account


def saved_until(record: BooksRecord) -> float:
    """Book time before which no bucket changes any more after this record, whose accounts are settled.

    But for those of streams that are claimed later.
    """
    return record.at - SETTLE_S - STEP_S


def _page(kind: PageKind, name: str, facts: str, rings: Rings, *, since: float, finest: int) -> Page:
    return Page(kind, name, facts, tuple(rings.changed(since, finest=finest)))


def _read(model: type[AnyFacts], text: str) -> AnyFacts | None:
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None


def _book(monotonic: float, offset: float) -> float:
    return round(monotonic + offset, 3)


def _book_or_none(monotonic: float | None, offset: float) -> float | None:
    return None if monotonic is None or math.isinf(monotonic) else _book(monotonic, offset)
