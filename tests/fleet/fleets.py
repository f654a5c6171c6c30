"""A fleet of fake watchers in real processes, and a handler that remembers what it heard."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from streamwatch.domain.clock import Clock, SystemClock
from streamwatch.domain.decisions import Mode, Standing
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.fleet.assigner import LeastLoaded
from streamwatch.fleet.base import Command, FleetLimits, Report
from streamwatch.fleet.isolation import TRIAL_S, Isolation
from streamwatch.fleet.quarantine import Quarantine
from streamwatch.fleet.supervisor import Fleet
from streamwatch.link.messages import Configure, DetectorSettings, Ready

FAKE = Path(__file__).parents[1] / "fakes" / "watcher_process.py"
SAMPLING = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0.1, inner=0.05)
QUICK = FleetLimits(ready_s=20, beat_s=1.0, busy_s=10.0, backoff_s=(0.0, 0.05, 0.1))


def fake(*arguments: str) -> Command:
    return lambda fd: [sys.executable, str(FAKE), "--link-fd", str(fd), *arguments]


def spec(name: str, url: str = "rtmp://127.0.0.1/live/x", **changes: Any) -> StreamSpec:
    return StreamSpec(id=StreamId(name), url=SafeUrl(url), sampling=SAMPLING, name=name, **changes)


CARD = DetectorSettings(name="card", kind="onnx", folder="/m", sha256="f" * 64, labels=("test_card",), mode=Mode.ACTIVE)


def configure(max_pixels: int = 1_000_000) -> Configure:
    return Configure(detectors=(CARD,), rules=(), max_pixels=max_pixels, allow_hosts=(), decode_workers=1)


class Notes:
    """A FleetHandler that writes everything down."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Any]] = []
        self.standing: dict[str, tuple[Standing, ...]] = {}
        self.asked: list[str] = []
        self.quarantined: list[tuple[str, bool]] = []
        self._news = asyncio.Condition()

    async def on_ready(self, slot: int, ready: Ready) -> None:
        await self._note(slot, ready)

    async def on_message(self, slot: int, message: Report) -> None:
        await self._note(slot, message)

    async def on_lost(self, slot: int, reason: str) -> None:
        await self._note(slot, reason)

    def on_quarantine(self, stream: StreamId, until: float | None) -> None:
        """Said again after each restart: only changes of each stream are kept."""
        newest = next((away for name, away in reversed(self.quarantined) if name == stream), None)
        if newest != (until is not None):
            self.quarantined.append((stream, until is not None))

    def away(self) -> set[str]:
        """The streams left alone now."""
        return {name for name, away in dict(self.quarantined).items() if away}

    def standing_of(self, stream: StreamId) -> tuple[Standing, ...]:
        self.asked.append(stream)
        return self.standing.get(stream, ())

    async def _note(self, slot: int, what: Any) -> None:
        async with self._news:
            self.heard.append((slot, what))
            self._news.notify_all()

    async def until(self, found: Callable[[], Any], within_s: float = 20) -> Any:
        """Wait until `found` returns something true, judged after each note."""
        async with asyncio.timeout(within_s), self._news:
            while not (result := found()):
                await self._news.wait()
            return result

    def of(self, kind: type, stream: str | None = None, since: int = 0) -> list[Any]:
        heard = [message for _, message in self.heard[since:] if isinstance(message, kind)]
        return heard if stream is None else [message for message in heard if message.stream == stream]

    def lost(self) -> list[tuple[int, str]]:
        return [(slot, what) for slot, what in self.heard if isinstance(what, str)]


@contextlib.asynccontextmanager
async def running(
    *,
    slots: int = 1,
    command: Command | None = None,
    clock: Clock | None = None,
    limits: FleetLimits = QUICK,
    first: Sequence[StreamSpec] = (),
    settings: Configure | None = None,
    spare: bool = False,
    quarantine: Quarantine | None = None,
    trial_s: tuple[float, float] = TRIAL_S,
) -> AsyncIterator[tuple[Fleet, Notes]]:
    """A fleet that is ready; stopped at the end."""
    notes = Notes()
    fleet = Fleet(
        slots=slots,
        command=command or fake(),
        configure=settings or configure(),
        handler=notes,
        standing_of=notes.standing_of,
        assigner=LeastLoaded(slots),
        clock=clock or SystemClock(),
        limits=limits,
        spare=spare,
        quarantine=quarantine,
        isolation=lambda: Isolation(trial_s=trial_s),
        on_quarantine=notes.on_quarantine,
    )
    for one in first:
        fleet.watch(one)
    life = asyncio.create_task(fleet.run(), name="fleet")
    ready = asyncio.create_task(fleet.wait_ready(), name="ready")
    try:
        async with asyncio.timeout(30):
            await asyncio.wait([life, ready], return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            await life
        yield fleet, notes
    finally:
        ready.cancel()
        life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await life
