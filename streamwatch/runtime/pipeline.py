"""One stream inside a watcher: packets come in from its reader, looks go out to the workers, decisions come back.

Three threads meet here: the reader's (`put`), a decode worker's (the look itself) and the event loop's (everything
else). What they share is guarded by one lock that is never held while decoding, and what crosses to the loop is one
record without pixels at a time: a stream never has more than one look in flight.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Decision, Standing
from streamwatch.domain.errors import StreamError
from streamwatch.domain.media import FrameRef, MediaInfo, Packet, Sample
from streamwatch.domain.streams import Reason, StreamSpec
from streamwatch.evidence.base import Policy
from streamwatch.runtime import look
from streamwatch.runtime.contiguous import Stretch
from streamwatch.runtime.life import Life, Phase
from streamwatch.runtime.look import Outcome, Seen
from streamwatch.runtime.policies import Policies
from streamwatch.runtime.report import Report, Reporter
from streamwatch.runtime.sight import Sight
from streamwatch.runtime.timeline import Timeline
from streamwatch.runtime.turns import Station, Turns
from streamwatch.runtime.workers import DecoderCache, Workers
from streamwatch.sampling.base import Sampler
from streamwatch.sources.base import Appetite, PacketBuffer

log = structlog.get_logger(__name__)

PATIENCE_S = 30.0
"""How long a file read fast waits for the look in progress."""


class Tally(NamedTuple):
    """What one stream cost since it was assigned; only grows."""

    transport: str
    received: int
    decode_s: float
    looks_missed: int
    packets_dropped: int


class StreamPipeline:
    """Sink of one stream's packets and owner of its sampler, policies and life."""

    def __init__(
        self,
        spec: StreamSpec,
        *,
        sampler: Sampler,
        policies: Sequence[Policy],
        stations: Sequence[Station],
        buffer: PacketBuffer,
        workers: Workers,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        session: str = "",
    ) -> None:
        """`session`: of a stream that was live already when this watcher got it; it goes on under that name."""
        self.spec = spec
        self.received = 0
        self._sampler = sampler
        self._policies = Policies(policies)
        self._turns = Turns(tuple(stations))
        self._buffer = buffer
        self._workers = workers
        self._report = reporter
        self._clock = clock
        self._loop = loop
        self._lock = threading.RLock()
        self._idle = threading.Event()
        self._idle.set()
        self._closed = False
        began = clock.monotonic()
        self._life = Life(end_after_s=spec.end_after_s, live_at=began if session else None)
        self._timeline = Timeline()
        self._session = session
        reporter.new_session(session)
        self._info: MediaInfo | None = None
        self._sight = Sight(began)
        self._missed = 0
        self._score_trouble = ""
        self._decode_s = 0.0
        self._stretch: Stretch | None = None

    # --- called by the reader, in its own thread -------------------------------------------------------------------

    def opened(self, info: MediaInfo) -> None:
        """Note the stream's format."""
        with self._lock:
            self._info = info
            self._life.opened(info.burst_s)
        self._soon(self.report_level)

    def appetite(self) -> Appetite:
        """See `PacketSink.appetite`."""
        with self._lock:
            due = self._sampler.due
            between = self._stretch is not None or self._sight.keys_useless or self._sampler.between_keys()
            return Appetite(between or self.spec.sampling.lookback_s > 0, due.key_at, due.look_at)

    def skipped(self, size: int) -> None:
        """A packet passed by unread."""
        with self._lock:
            self.received += size
            self._alive(self._clock.monotonic())

    def put(self, packet: Packet) -> None:
        """Take one packet; start a look if the sampler asks for one and none is in flight."""
        if self.spec.fast and not self._idle.wait(PATIENCE_S):
            log.warning("a look takes too long, the file goes on without it", stream=self.spec.name)
        with self._lock:
            if self._closed:
                return
            self.received += packet.size
            self._alive(packet.arrival)
            if self._timeline.packet(packet):
                self._forget_pictures()
            self._buffer.put(packet)
            due = self._sampler.packet(arrival=packet.arrival, key=packet.key, size=packet.size)
            if self._sight.hopeless(packet.config) or not self._turns.stations:
                return
            if self._sight.keys_useless or self._sampler.between_keys():
                self._feed(packet, due=due)
                return
            self._stretch = None
            if due:
                self._look_at(packet)

    # --- decisions under the lock ----------------------------------------------------------------------------------

    def _alive(self, now: float) -> None:
        if not self._life.media(now):
            return
        self._session = secrets.token_hex(8)
        self._sight = Sight(now)
        self._timeline = Timeline()
        self._sampler.restart()
        self._forget_pictures()
        self._soon(self._new_session, self._session, self._life.standing(now).session)

    def _forget_pictures(self) -> None:
        """Media time jumped or a new publisher came: what was buffered belongs to another timeline."""
        self._buffer.clear()
        self._stretch = None

    def _look_at(self, packet: Packet) -> None:
        if packet.key:
            detectors = self._turns.at(packet.arrival)
            self._submit(
                packet, lambda cache: look.at_key(lambda: cache.get(packet.config), packet, detectors), lone=True
            )
            return
        packets = self._buffer.tail()
        if packets:  # an inner look: from the key picture up to this packet, once
            stretch = Stretch(packets)
            self._submit(packet, self._through(stretch, stretch.take(packet.arrival), score=True))

    def _feed(self, packet: Packet, *, due: bool) -> None:
        """Decode on, packet by packet, since keys alone cannot keep the gap."""
        if self._stretch is None:
            beginning = self._buffer.tail()
            if not beginning:
                return  # nothing to begin with before the next key
            self._stretch = Stretch(beginning)
        elif not self._stretch.add(packet):
            self._missed += 1
            self._forget_pictures()
            return
        if self._idle.is_set() and (due or self._stretch.ready(packet.arrival)):
            packets = self._stretch.take(packet.arrival)
            self._submit(packet, self._through(self._stretch, packets, score=due))

    def _through(self, stretch: Stretch, packets: Sequence[Packet], *, score: bool) -> Callable[[DecoderCache], Seen]:
        recent, detectors = stretch.recent(), self._turns.at(packets[-1].arrival)
        return lambda cache: look.contiguous(
            lambda: stretch.decoder(cache, packets[0]), packets, detectors, recent=recent, score=score
        )

    def _submit(self, packet: Packet, work: Callable[[DecoderCache], Seen], *, lone: bool = False) -> None:
        if not self._idle.is_set():
            self._missed += 1
            return
        self._sight.tried(turned_away=False)
        self._idle.clear()
        session = self._session

        def job(cache: DecoderCache) -> None:
            seen = Seen(Outcome.FAILED, detail="the look broke off")
            try:
                seen = work(cache)
            finally:
                self._soon(self._seen, seen, packet, session, lone)

        if not self._workers.submit(packet.arrival + self._sampler.gap_s, job):
            self._missed += 1
            self._sight.tried(turned_away=True)
            self._idle.set()

    # --- back on the event loop ------------------------------------------------------------------------------------

    def _soon(self, callback: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed: the process ends
            self._idle.set()

    def _new_session(self, session: str, number: int) -> None:
        self._report.new_session(session)
        if number > 1:  # the first one goes on where the daemon said the rules stand
            self._policies.reset()
        self.report_level()

    def _seen(self, seen: Seen, packet: Packet, session: str, lone: bool) -> None:  # noqa: FBT001
        """Take the result of a look; wake a patient reader only when everything that follows from it is done."""
        try:
            if self._closed or session != self._session:
                return
            with self._lock:
                sample = self._note(seen, packet, lone=lone)
            if sample is not None:
                self._report.sampled(sample, seen.infer_s)
                suspicion = self._policies.judge(sample, self._report.decided)
                with self._lock:
                    self._sampler.suspect(suspicion, sample.frame.arrival)
        finally:
            self._idle.set()
            self.report_level()

    def _note(self, seen: Seen, packet: Packet, *, lone: bool) -> Sample | None:
        self._decode_s += seen.decode_s
        gap_s = self._sight.note(seen, packet, lone=lone)
        if seen.outcome is Outcome.FAILED:
            self._stretch = None
        scored = seen.packet
        if scored is None:
            return None
        if seen.detail and seen.detail != self._score_trouble:
            log.error("a detector cannot score this stream", stream=self.spec.name, why=seen.detail)
        self._score_trouble = seen.detail
        for scores in seen.scores:
            self._turns.scored(scores.detector, scored.arrival)
        if not seen.corrupt:
            self._sampler.sampled(scored.arrival)
        frame = FrameRef(
            stream=self.spec.id,
            session=self._session,
            timeline=self._timeline.number,
            media_s=round((seen.media or scored.pts or self._timeline.newest).seconds, 6),
            arrival=scored.arrival,
            at=self._clock.now() - timedelta(seconds=max(self._clock.monotonic() - scored.arrival, 0.0)),
            key=scored.key,
            width=seen.width,
            height=seen.height,
            corrupt=seen.corrupt,
        )
        return Sample(frame=frame, scores=seen.scores, gap_s=gap_s, decode_s=seen.decode_s, infer_s=sum(seen.infer_s))

    # --- called by the supervisor, on the event loop ---------------------------------------------------------------

    def adopt(self, spec: StreamSpec, *, sampler: Sampler, reporter: Reporter) -> None:
        """Go on with changed settings that need no new connection."""
        with self._lock:
            self.spec = spec
            self._sampler = sampler
            reporter.take_over(self._report)
            self._report = reporter
        self.report_level()

    def equip(self, *, policies: Sequence[Policy], stations: Sequence[Station]) -> None:
        """Go on with other detectors and rules; rules that stay keep their standing."""
        with self._lock:
            self._turns = Turns(tuple(stations))
        self._policies.replace(policies)

    def demand(self, suspicion: float) -> None:
        """Somebody outside asks for more looks."""
        with self._lock:
            self._sampler.suspect(suspicion, self._clock.monotonic())

    def restore(self, standing: Sequence[Standing]) -> None:
        """Begin, or go on, where the daemon says the rules stand."""
        self._policies.restore(standing)
        self._report.expect(state.rule for state in standing if state.open)

    def decisions(self) -> tuple[Decision, ...]:
        """Where every rule stands."""
        return self._policies.decisions()

    def finished(self) -> None:
        """The server said that the stream ended."""
        with self._lock:
            self._life.finished()
        self.report_level()

    def failed(self, error: StreamError) -> None:
        """The reader gave up."""
        with self._lock:
            self._life.failed(error, self._clock.monotonic())
        self.report_level()

    @property
    def tally(self) -> Tally:
        """What this stream cost so far."""
        with self._lock:
            transport = self._info.transport if self._info else "file"
            return Tally(transport, self.received, self._decode_s, self._missed, self._buffer.dropped)

    def report_level(self) -> None:
        """Say how the stream stands; the reporter sends it only when it changed or is due again."""
        with self._lock:
            report = self._standing()
        self._report.level(report)

    def close(self) -> None:
        """Take no more packets."""
        with self._lock:
            self._closed = True
            self._idle.set()
            self._forget_pictures()

    def _standing(self) -> Report:
        now = self._clock.monotonic()
        standing = self._life.standing(now)
        reason, detail = standing.reason, standing.detail
        if reason is None and standing.phase is Phase.LIVE:
            reason, detail = self._sight.obstacle(
                now,
                max_gap_s=self.spec.sampling.max_gap_s,
                flowing=self._life.flowing(now),
                busy=not self._idle.is_set(),
            )
            if not self._turns.stations:
                reason, detail = Reason.BLIND, "no detector is configured"
        return Report(
            session=self._session,
            live=standing.phase is Phase.LIVE,
            ended=standing.phase is Phase.ENDED,
            reason=reason,
            detail=detail,
            codec=self._info.config.codec if self._info else "",
            width=self._sight.size[0],
            height=self._sight.size[1],
            gap_aim_s=round(self._sampler.gap_s, 3),
        )
