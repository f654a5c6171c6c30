"""What the node says of itself and its streams: retained states, coverage, status."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal

import structlog

from streamwatch.bus.base import Incoming, Outgoing
from streamwatch.bus.topics import Topics
from streamwatch.coverage.books import Books
from streamwatch.coverage.documents import (
    MAX_LAYERS,
    LayerEntry,
    Process,
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

RETRY_S = 30.0
"""What the broker refused is said again no sooner, or at the next connection."""

STATES_AT_ONCE = 100
"""States said in one call of `speak`: judging the streams waits for it, and so does the next coverage."""

_DETAIL = 200
_NAME = 128


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
        self._sandboxes: dict[Process, tuple[LayerEntry, ...]] = {}
        self._unsaid: dict[StreamId, tuple[StreamState, str] | None] = {}
        """Newest state per stream that was not published yet; None: the stream is gone. At most one entry a stream."""
        self._covered_at = float("-inf")
        self._refused: dict[str, float] = {}
        """Topics on which the broker refuses us, and when (monotonic) to try again."""
        self._untidy = False
        """Clearing the states of streams that are gone was refused, and is to be tried again."""

    def sandbox(self, of: Process, layers: Iterable[tuple[str, bool, str]]) -> None:
        """Take note of what the sandbox of the watchers, or of the daemon, gives."""
        entries = tuple(
            LayerEntry(name=printable(name, _NAME), of=of, in_force=in_force, detail=printable(detail, _DETAIL))
            for name, in_force, detail in itertools.islice(layers, MAX_LAYERS)
        )
        if entries != self._sandboxes.get(of):
            self._sandboxes[of] = entries
            self._health.changed = True

    @property
    def _layers(self) -> tuple[LayerEntry, ...]:
        return tuple(entry for of in ("watcher", "daemon") for entry in self._sandboxes.get(of, ()))[:MAX_LAYERS]

    @property
    def layers(self) -> list[dict[str, Any]]:
        """The sandbox of both kinds of process, as last reported."""
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
        """Say what changed, and what could not be said before. Called a few times a second.

        Coverage comes first, whatever else waits: its silence means that the daemon is dead. Nothing that the broker
        refuses keeps the rest from being said.
        """
        self._unsaid.update({stream: (state, detail) for stream, state, detail in changed})
        self._unsaid.update(dict.fromkeys(gone))
        try:
            await self._coverage()
            if self._health.changed:
                self._health.changed = False
                self._health.changed = not await self._said(self.birth()) or self._health.changed
            await self._states()
            if self._untidy and self._may_try(self._topics.states):
                await self.clear_stale()
        except BusUnavailable:
            self._health.changed = True

    async def say_everything(self) -> None:
        """After a connection began, which the bus announced: coverage; `speak` says every state, 100 at a time.

        Raises BusUnavailable.
        """
        self._refused = dict.fromkeys(self._refused, 0.0)  # our rights may have changed
        for stream in self._books.streams():
            known = self._books.state(stream)
            if known is not None and known[0].state is not State.ENDED:
                self._unsaid.setdefault(stream, known)
        self._covered_at = float("-inf")
        await self._coverage()

    async def _states(self) -> None:
        """Say some of the states that are to be said. Raises BusUnavailable: they stay unsaid."""
        ready = [stream for stream in self._unsaid if self._may_try(self._topics.state(self._setup().sid(stream)))]
        for stream in ready[:STATES_AT_ONCE]:
            await self._state(stream)
            await self._coverage()

    async def _state(self, stream: StreamId) -> None:
        """Say how a stream stands, or that it is gone. Raises BusUnavailable."""
        if stream not in self._unsaid:
            return  # said meanwhile
        what = self._unsaid[stream]
        setup = self._setup()
        topic = self._topics.state(setup.sid(stream))
        words = [Outgoing(topic, b"", retain=True)]
        if what is not None and what[0].state is State.ENDED:
            words.insert(0, Outgoing(topic, self._described(stream, *what).payload()))
        elif what is not None:
            words = [Outgoing(topic, self._described(stream, *what).payload(), retain=True)]
        if not await self._said(*words):
            if what is not None:
                return
            self._allowed(topic)  # nothing of ours can be retained there, and nobody will ask again
        if self._unsaid.get(stream) is what:
            del self._unsaid[stream]

    async def clear_stale(self) -> None:
        """Read our own retained states back and clear those of streams that are gone. Raises BusUnavailable.

        For every new connection: streams end and are removed while the broker is away, and daemons die.
        """
        try:
            kept = [m.topic for m in await self._recall(self._topics.states) if m.payload]
        except BusRefused as error:
            self._untidy = True
            self._held(self._topics.states, error)
            return
        self._allowed(self._topics.states)
        cleared = 0
        for topic in kept:
            if topic not in self._here():
                await self._said(Outgoing(topic, b"", retain=True))
                self._allowed(topic)
                cleared += 1
        self._untidy = False
        if cleared:
            log.info("cleared retained states of streams that are gone", states=cleared)

    def _here(self) -> set[str]:
        """The topics on which a state of ours may be retained."""
        setup = self._setup()
        known = ((stream, self._books.state(stream)) for stream in self._books.streams())
        return {
            self._topics.state(setup.sid(stream))
            for stream, state in known
            if state is not None and state[0].state is not State.ENDED
        }

    async def _coverage(self) -> None:
        """Say coverage where it is time. Raises BusUnavailable: then it is said as soon as there is a broker."""
        now = self._clock.monotonic()
        if now - self._covered_at < COVERAGE_EVERY_S:
            return
        summary = self._books.summary(now)
        setup = self._setup()
        document = coverage_document(
            summary,
            at=rfc3339(self._clock.now()),
            sid={entry.stream: setup.sid(entry.stream) for entry in summary.uncovered},
            since={entry.stream: self._wall(entry.since) for entry in summary.uncovered},
        )
        before, self._covered_at = self._covered_at, now
        try:
            await self._said(Outgoing(self._topics.coverage, document.payload(), retain=True))
        except BusUnavailable:
            self._covered_at = before
            raise

    async def _said(self, *words: Outgoing) -> bool:
        """Publish in order, all on one topic; False: it is refused, now or not long ago. Raises BusUnavailable."""
        topic = words[0].topic
        if not self._may_try(topic):
            return False
        try:
            for one in words:
                await self._publish(one)
        except BusRefused as error:
            self._held(topic, error)
            return False
        self._allowed(topic)
        return True

    def _may_try(self, topic: str) -> bool:
        return self._refused.get(topic, 0.0) <= self._clock.monotonic()

    def _held(self, topic: str, error: BusRefused) -> None:
        if not self._refused:  # one example is enough, and stays the same: every change of it is published
            self._health.degrade("mqtt-rights", f"the broker refuses what we say of ourselves: {error}")
        self._refused[topic] = self._clock.monotonic() + RETRY_S

    def _allowed(self, topic: str) -> None:
        if self._refused.pop(topic, None) is not None and not self._refused:
            self._health.mend("mqtt-rights")

    def _described(self, stream: StreamId, state: StreamState, detail: str) -> StateDocument:
        return StateDocument(
            stream=self._setup().shown(stream),
            state=state.state,
            reason=state.reason,
            since=self._wall(state.since),
            gap_s=None if state.gap_s is None else round(state.gap_s, 3),
            session=state.session,
            detail=printable(detail, _DETAIL),
        )

    def _wall(self, monotonic: float) -> str:
        ago = timedelta(seconds=max(self._clock.monotonic() - monotonic, 0.0))
        return rfc3339(self._clock.now() - ago)
