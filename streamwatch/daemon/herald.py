"""What the node says of itself and its streams: retained states, coverage, status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal

import structlog

from streamwatch.bus.base import Incoming, Outgoing
from streamwatch.bus.topics import Topics
from streamwatch.coverage.books import Books
from streamwatch.coverage.documents import (
    LayerEntry,
    StateDocument,
    StatusDocument,
    coverage_document,
)
from streamwatch.daemon.setup import Setup
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.errors import BusRefused, BusUnavailable
from streamwatch.domain.streams import State, StreamId, StreamState
from streamwatch.domain.urls import printable
from streamwatch.telemetry.health import Health

log = structlog.get_logger(__name__)

COVERAGE_EVERY_S = 10.0
"""Public interface; a pager may take 30 s of silence for the daemon's death."""

_DETAIL = 200


class Herald:
    """Publishes levels: of what cannot be said now, the newest is said later."""

    def __init__(
        self,
        *,
        publish: Callable[[Outgoing], Awaitable[None]],
        topics: Topics,
        books: Books,
        health: Health,
        setup: Callable[[], Setup],
        clock: Clock,
        boot_id: str,
        version: str,
        recall: Callable[[str], Awaitable[Sequence[Incoming]]],
    ) -> None:
        self._publish = publish
        self._topics = topics
        self._books = books
        self._health = health
        self._setup = setup
        self._clock = clock
        self._boot_id = boot_id
        self._version = version
        self._recall = recall
        self._since = rfc3339(clock.now())
        self._layers: tuple[LayerEntry, ...] = ()
        self._unsaid: dict[StreamId, tuple[StreamState, str] | None] = {}
        """Newest state per stream that was not published yet; None: the stream is gone. At most one entry a stream."""
        self._covered_at = 0.0

    def sandbox(self, layers: Iterable[tuple[str, bool, str]]) -> None:
        """Take note of what the watchers' sandbox gives."""
        entries = tuple(LayerEntry(name=n, in_force=f, detail=printable(d, _DETAIL)) for n, f, d in layers)
        if entries != self._layers:
            self._layers = entries
            self._health.changed = True

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The watchers' sandbox, as last reported."""
        return [entry.model_dump() for entry in self._layers]

    def birth(self) -> Outgoing:
        """The retained status, published when a connection begins and on every change."""
        return self._status(self._health.state)

    def testament(self) -> Outgoing:
        """The same saying `offline`: the Last Will, and the last word of an orderly exit."""
        return self._status("offline")

    def _status(self, state: Literal["online", "degraded", "offline"]) -> Outgoing:
        document = StatusDocument(
            state=state,
            boot_id=self._boot_id,
            version=self._version,
            since=self._since,
            reasons=tuple(printable(reason, _DETAIL) for reason in self._health.reasons[:10])
            if state != "offline"
            else (),
            sandbox=self._layers,
        )
        return Outgoing(topic=self._topics.status, payload=document.payload(), retain=True)

    async def speak(self, changed: Iterable[tuple[StreamId, StreamState, str]], gone: Iterable[StreamId]) -> None:
        """Say what changed, and what could not be said before. Called a few times a second."""
        self._unsaid.update({stream: (state, detail) for stream, state, detail in changed})
        self._unsaid.update(dict.fromkeys(gone))
        try:
            while self._unsaid:
                await self._say(next(iter(self._unsaid)))
            if self._health.changed:
                self._health.changed = False
                await self._publish(self.birth())
            now = self._clock.monotonic()
            if now - self._covered_at >= COVERAGE_EVERY_S:
                self._covered_at = now
                await self._coverage(now)
        except BusUnavailable:
            self._health.changed = True
        except BusRefused as error:
            self._health.degrade("mqtt-rights", f"the broker refuses what we say of ourselves: {error}")

    async def say_everything(self) -> None:
        """After a connection began, which the bus announced: every state and coverage. Raises BusUnavailable."""
        self._health.mend("mqtt-rights")
        for stream in self._books.streams():
            known = self._books.state(stream)
            if known is not None and known[0].state is not State.ENDED:
                self._unsaid[stream] = known
        while self._unsaid:
            await self._say(next(iter(self._unsaid)))
        self._covered_at = self._clock.monotonic()
        await self._coverage(self._covered_at)

    async def _say(self, stream: StreamId) -> None:
        """Say how a stream stands, or that it is gone. Raises BusUnavailable: it stays unsaid."""
        what = self._unsaid[stream]
        try:
            if what is None:
                await self._clear(self._setup().sid(stream))
            else:
                await self._state(stream, *what)
        except BusRefused as error:
            self._health.degrade("mqtt-rights", f"the broker refuses states: {error}")
        if self._unsaid.get(stream) is what:
            del self._unsaid[stream]

    async def clear_stale(self) -> None:
        """Read our own retained states back and clear those of streams that no longer exist. Raises BusUnavailable."""
        setup = self._setup()
        here = {
            self._topics.state(setup.sid(stream))
            for stream in self._books.streams()
            if (known := self._books.state(stream)) is not None and known[0].state is not State.ENDED
        }
        stale = [m.topic for m in await self._recall(self._topics.states) if m.payload and m.topic not in here]
        for topic in stale:
            await self._publish(Outgoing(topic, b"", retain=True))
        if stale:
            log.info("cleared retained states of streams that are gone", states=len(stale))

    async def _state(self, stream: StreamId, state: StreamState, detail: str) -> None:
        setup = self._setup()
        sid = setup.sid(stream)
        document = StateDocument(
            stream=setup.shown(stream),
            state=state.state,
            reason=state.reason,
            since=self._wall(state.since),
            gap_s=None if state.gap_s is None else round(state.gap_s, 3),
            session=state.session,
            detail=printable(detail, _DETAIL),
        )
        retain = state.state is not State.ENDED
        await self._publish(Outgoing(self._topics.state(sid), document.payload(), retain=retain))
        if not retain:
            await self._clear(sid)

    async def _clear(self, sid: str) -> None:
        await self._publish(Outgoing(self._topics.state(sid), b"", retain=True))

    async def _coverage(self, now: float) -> None:
        summary = self._books.summary(now)
        setup = self._setup()
        document = coverage_document(
            summary,
            at=rfc3339(self._clock.now()),
            sid={entry.stream: setup.sid(entry.stream) for entry in summary.uncovered},
            since={entry.stream: self._wall(entry.since) for entry in summary.uncovered},
        )
        await self._publish(Outgoing(self._topics.coverage, document.payload(), retain=True))

    def _wall(self, monotonic: float) -> str:
        ago = timedelta(seconds=max(self._clock.monotonic() - monotonic, 0.0))
        return rfc3339(self._clock.now() - ago)
