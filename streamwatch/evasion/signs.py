"""All signs of one stream. Pure."""

from __future__ import annotations

from streamwatch.domain.evasion import Sign
from streamwatch.domain.streams import Reason
from streamwatch.evasion.base import Facts, Shown
from streamwatch.evasion.bitrate import BitRate
from streamwatch.evasion.lasting import Lasting
from streamwatch.evasion.picture import Pictures, nothing_to_see, odd_size
from streamwatch.evasion.sessions import Sessions

DIMENSIONS_S = 10.0
"""A server that changes renditions may show odd sizes for a moment."""
RARE_KEYS_S = UNDECODABLE_S = 30.0
"""On top of `max_gap`, after which the reason is given at all: a bad line heals, or ends, sooner."""
UNKNOWN_CODEC_S = 10.0
"""It does not change by itself; an encoder that is being set up is changed within seconds."""
FLOWING_S = 2.0
"""Media counts as flowing while its newest packet is not older than this, as in the life of a stream."""


class StreamSigns:
    """`Signs` of one stream: see `evasion/base.py`."""

    def __init__(self, *, window_s: float) -> None:
        """`window_s`: longest time that a suspicion takes to be confirmed; sessions that stay under it are short."""
        self._sessions = Sessions(window_s)
        self._media_at = 0.0
        self._forget()

    def _forget(self) -> None:
        self._pictures = Pictures()
        self._rate = BitRate()
        self._odd = Lasting(DIMENSIONS_S)
        self._rare = Lasting(RARE_KEYS_S)
        self._undecodable = Lasting(UNDECODABLE_S)
        self._unknown = Lasting(UNKNOWN_CODEC_S)

    def shown(self, shown: Shown) -> str:
        """See `Signs.shown`."""
        self._media_at = max(self._media_at, shown.arrival)
        self._pictures.shown(shown)
        return nothing_to_see(shown)

    def begins(self, now: float) -> None:
        """See `Signs.begins`."""
        self._sessions.begins(now, self._media_at)
        unknown = self._unknown
        self._forget()
        self._unknown = unknown  # a codec that nobody can read may make a session of every attempt to read it
        self._media_at = now

    def turns(self, now: float, *, jumped: bool, reformatted: bool) -> None:
        """See `Signs.turns`."""
        self._sessions.turns(now, jumped=jumped, reformatted=reformatted)

    def scores(self, facts: Facts) -> tuple[tuple[str, float], ...]:
        """See `Signs.scores`."""
        now, reason = facts.now, facts.reason
        self._unknown.at(now, holds=reason is Reason.CODEC)
        found: list[tuple[str, float]] = [(Sign.UNKNOWN_CODEC, self._unknown.score)]
        if not facts.live:
            return tuple(found)
        self._media_at = max(self._media_at, facts.media_at)
        self._rare.at(now, holds=reason is Reason.NO_KEYS)
        self._undecodable.at(now, holds=reason is Reason.DECODE)
        self._odd.at(now, holds=odd_size(facts.width, facts.height))
        found += (
            (Sign.RARE_KEYS, self._rare.score),
            (Sign.UNDECODABLE, self._undecodable.score),
            (Sign.DIMENSIONS, self._odd.score),
            (Sign.SWAPPED, self._sessions.swapped(now)),
            (Sign.RECONNECTS, self._sessions.reconnects(now)),
        )
        pictures = self._pictures
        if pictures.seen:
            found += (
                (Sign.BLACK, pictures.black.score),
                (Sign.SOLID, pictures.solid.score),
                (Sign.FROZEN, pictures.frozen.score),
            )
        if facts.steady:
            self._rate.at(now, facts.received, flowing=now - facts.media_at <= FLOWING_S)
            if self._rate.known:
                found.append((Sign.SLATE, self._rate.score))
        return tuple(found)
