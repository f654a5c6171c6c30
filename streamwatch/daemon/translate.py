"""Messages from watchers as values of the domain."""

from __future__ import annotations

from streamwatch.domain.decisions import Decision, Hit
from streamwatch.link.messages import HitSeen, RuleLevel


def decision_of(message: RuleLevel) -> Decision:
    """The standing decision that a watcher reports."""
    return Decision(
        rule=message.rule,
        level=message.level,
        suspicion=message.suspicion,
        score=message.score,
        hits=tuple(_hit(hit) for hit in message.hits),
        first_seen=_hit(message.first_seen) if message.first_seen else None,
        last_seen=_hit(message.last_seen) if message.last_seen else None,
    )


def _hit(seen: HitSeen) -> Hit:
    return Hit(at=seen.at, arrival=seen.arrival, media_s=seen.media_s, score=seen.score, look=seen.look)
