"""The contracts of the fleet: which slot holds which stream, and who hears what the watchers say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from streamwatch.domain.decisions import Standing
from streamwatch.domain.streams import StreamId
from streamwatch.link.messages import Beat, Failed, Found, Layer, Ready, RuleLevel, Sampled, StreamLevel

Command = Callable[[int], Sequence[str]]
"""The command line of a watcher, given the number of the descriptor that is its end of the link."""

StandingOf = Callable[[StreamId], tuple[Standing, ...]]
"""Where the rules of a stream stand now: asked whenever a stream is given to a watcher again."""

Report = Beat | StreamLevel | Sampled | RuleLevel | Found | Failed
"""What the handler hears."""


class Assigner(Protocol):
    """Decides which slot holds a stream. Pure: no clock, no process.

    A stream stays where it is when others come and go, and when its watcher dies: so a stream that kills watchers
    never travels through the healthy ones.
    """

    def assign(self, stream: StreamId, weight: float, *, avoid: Collection[int] = ()) -> int:
        """The slot of `stream`: as before if it has one, else chosen, not among `avoid` if there is any other.

        `weight` is its share of work relative to other streams, over 0; a changed weight counts for later choices.
        """
        ...

    def release(self, stream: StreamId) -> None:
        """Forget a stream; one that is not held is no error."""
        ...

    def slot_of(self, stream: StreamId) -> int | None:
        """Where a stream is held."""
        ...

    def held_by(self, slot: int) -> tuple[StreamId, ...]:
        """The streams of a slot, in the order in which they were assigned."""
        ...


class FleetHandler(Protocol):
    """Hears the watchers. Called on the event loop, one call a slot at a time; while it works, its slot waits.

    Streams in messages are as the daemon named them, and only of streams that this slot holds in the current epoch.
    What it raises about a report costs the watcher that said it its life (`violation`); from the first `on_ready` of a
    slot and from `on_lost` it ends the fleet.
    """

    async def on_ready(self, slot: int, ready: Ready) -> None:
        """A watcher is configured; its streams are being assigned to it."""
        ...

    async def on_message(self, slot: int, message: Report) -> None:
        """A watcher said something."""
        ...

    async def on_lost(self, slot: int, reason: str) -> None:
        """A watcher is gone, and with it every look at its streams, until the next `on_ready` of this slot.

        `reason` is a metric label: `exit`, `signal:NAME`, `violation`, `silent`, `hung`, `memory`, `start`, `failed` or
        `renewed`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLimits:
    """How long the fleet waits for what, in seconds. Not settings: the promises of the interface follow from them."""

    ready_s: float = 60.0
    """From start or reconfiguration to `Ready`: models of hundreds of megabytes load from slow disks."""
    beat_s: float = 3.0
    """Without a beat, which comes every second, a watcher is `silent`."""
    busy_s: float = 10.0
    """One look that takes longer is `hung`: a key picture decodes in milliseconds."""
    stuck_s: float = 2.0
    """One call of a decoder that takes longer is `hung`: its streams shall be looked at again within 5 s."""
    stuck_readers: int = 8
    """Connections that a watcher cannot let go of; with so many it is `hung`, since new streams find no place."""
    memory_bytes: int = 2**30
    """Resident memory of a watcher; one that holds more is `memory`: a decoder leaks, or a bomb went off."""
    healthy_s: float = 60.0
    """A watcher that was ready for so long starts with a clean slate."""
    backoff_s: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    """Before each restart in a row: at once first, since its streams shall be looked at again within 5 s."""
    attempts: int = 3
    """Starts without one `Ready`, from the beginning, after which the fleet gives up."""


class SlotStatistics(NamedTuple):
    """One slot now."""

    slot: int
    pid: int | None
    ready: bool
    streams: tuple[StreamId, ...]
    restarts: Mapping[str, int]
    """By reason, since the start of the daemon."""
    sandbox: tuple[Layer, ...]
    """As reported by the newest watcher that was ready."""
    rss_bytes: int
    busy_s: float
    stale: int
    """Reports that were not about a stream that the slot holds, or of an earlier epoch: dropped."""
