"""What was promised against what came: the ledger's events on one side, a subscriber's receipts on the other. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Key = tuple[str, int]
"""`alert_id`, `seq`: what identifies a message."""


@dataclass(frozen=True, slots=True)
class Committed:
    """One event as the ledger holds it. Times: wall seconds since the epoch."""

    alert_id: str
    seq: int
    event: str
    severity: str
    body: str
    committed_at: float
    offered_at: float | None

    @property
    def key(self) -> Key:
        return self.alert_id, self.seq


@dataclass(frozen=True, slots=True)
class Receipt:
    """One message as a subscriber got it, duplicates too. `at`: wall seconds since the epoch."""

    alert_id: str
    seq: int
    digest: bytes
    at: float

    @property
    def key(self) -> Key:
        return self.alert_id, self.seq


@dataclass(frozen=True, slots=True)
class Verdict:
    """Nothing but counts where all is well; where it is not, what is wrong by key."""

    committed: int
    received: int
    again: int
    """Receipts of what had come before."""
    lost: tuple[Key, ...]
    late: tuple[Key, ...]
    """First came after a later event of the same alert."""
    two_bodies: tuple[Key, ...]
    """Came with different bodies, or with another than the ledger's."""
    unknown: tuple[Key, ...]
    """Came, and the ledger does not have it: it forgot something, or it was said before it was durable."""
    holes: tuple[str, ...]
    """Alerts whose events in the ledger are not numbered 1, 2, 3 …"""
    misclosed: tuple[Key, ...]
    """Closed for another reason than that the stream was quiet, which is the only one that was given."""

    @property
    def faults(self) -> dict[str, tuple[object, ...]]:
        """What is wrong, by the word for it."""
        found: dict[str, tuple[object, ...]] = {
            "lost": self.lost,
            "out of order": self.late,
            "two bodies under one key": self.two_bodies,
            "not in the ledger": self.unknown,
            "holes in the ledger": self.holes,
            "closed without a reason": self.misclosed,
        }
        return {word: what for word, what in found.items() if what}


def digest(body: str) -> bytes:
    """What stands for a body."""
    return hashlib.sha256(body.encode()).digest()


def reach(committed: Sequence[Committed], receipts: Sequence[Receipt]) -> Verdict:
    """Compare; `receipts` in the order in which they came."""
    owed = {event.key: digest(event.body) for event in committed}
    bodies: defaultdict[Key, set[bytes]] = defaultdict(set)
    newest: Counter[str] = Counter()
    late = []
    for receipt in receipts:
        if receipt.key not in bodies:
            if receipt.seq < newest[receipt.alert_id]:
                late.append(receipt.key)
            newest[receipt.alert_id] = max(newest[receipt.alert_id], receipt.seq)
        bodies[receipt.key].add(receipt.digest)
    return Verdict(
        committed=len(owed),
        received=len(bodies),
        again=len(receipts) - len(bodies),
        lost=tuple(key for key in owed if key not in bodies),
        late=tuple(late),
        two_bodies=tuple(key for key, came in bodies.items() if len(came | {owed.get(key, next(iter(came)))}) > 1),
        unknown=tuple(key for key in bodies if key not in owed),
        holes=tuple(_holes(committed)),
        misclosed=tuple(event.key for event in committed if event.event == "closed" and _reason(event) != "quiet"),
    )


def _holes(committed: Iterable[Committed]) -> list[str]:
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for event in committed:
        numbers[event.alert_id].append(event.seq)
    return [alert for alert, seqs in numbers.items() if sorted(seqs) != list(range(1, len(seqs) + 1))]


def _reason(event: Committed) -> object:
    return json.loads(event.body).get("close_reason")
