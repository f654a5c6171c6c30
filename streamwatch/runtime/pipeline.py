"""One stream inside a watcher: packets come in from its reader, looks go out to the workers, decisions come back.

Three threads meet here: the reader's (`put`), a decode worker's (the look itself) and the event loop's (everything
else). What they share is guarded by one lock that is never held while decoding, and what crosses to the loop is one
record without pixels at a time: a stream never has more than one look in flight.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Decision, Standing
from streamwatch.domain.errors import StreamError
from streamwatch.domain.media import CodecConfig, FrameRef, MediaInfo, Packet, Sample
from streamwatch.domain.streams import Reason, StreamSpec
from streamwatch.evasion.base import Facts
from streamwatch.evidence.base import Policy
from streamwatch.runtime.life import Life, Phase
from streamwatch.runtime.look import Outcome, Seen, Spent
from streamwatch.runtime.lookback import SecondLook
from streamwatch.runtime.looks import Aim, Begun, Chapter, Looked, Looks
from streamwatch.runtime.policies import Policies
from streamwatch.runtime.report import Report, Reporter
from streamwatch.runtime.sight import Sight
from streamwatch.runtime.timeline import Timeline
from streamwatch.runtime.turns import Station, Turns
from streamwatch.runtime.wariness import Wariness
from streamwatch.runtime.wariness import sample as of_no_picture
from streamwatch.runtime.workers import Workers
from streamwatch.sampling.base import Sampler
from streamwatch.sources.base import Appetite, PacketBuffer

log = structlog.get_logger(__name__)

PATIENCE_S = 30.0
"""How long a file read fast waits for the look in progress."""


class Tally(NamedTuple):
    """What one stream cost since it was assigned; only grows."""

    transport: str
    received: int
    spent: Spent
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
        wariness: Wariness | None = None,
    ) -> None:
        """`session`: of a stream that was live already when this watcher got it; it goes on under that name.

        Without `wariness` no picture counts as blind, and nothing as evasion.
        """
        self.spec = spec
        self.received = 0
        self._sampler = sampler
        self._policies = Policies(policies)
        self._wariness = wariness or Wariness()
        self._report = reporter
        self._clock = clock
        self._loop = loop
        self._home = threading.get_ident()
        self._lock = threading.RLock()
        self._looks = Looks(buffer=buffer, workers=workers, stations=stations, done=self._looked)
        self._closed = False
        began = clock.monotonic()
        self._life = Life(end_after_s=spec.end_after_s, live_at=began if session else None)
        self._timeline = Timeline()
        self._session = session
        self._looks.chapter = Chapter(session, self._timeline.number)
        reporter.new_session(session)
        self._info: MediaInfo | None = None
        self._config: CodecConfig | None = None
        self._sight = Sight(began)
        self._score_trouble = ""
        self._spent = Spent()
        self._second_look = SecondLook()
        self._appetite = Appetite(everything=False, key_at=-math.inf, look_at=-math.inf)
        self._calm_until = -math.inf
        """Packets between keys that arrive before then only need to be kept."""
        self._well_until = -math.inf
        """Until then a level said while all was well holds, as long as media flows."""
        self._said_size = (0, 0)
        self._stands: Report | None = None
        """As last judged; what was well then and is not judged again is well still."""
        self._plan()

    # --- called by the reader, in its own thread -------------------------------------------------------------------

    def opened(self, info: MediaInfo) -> None:
        """Note the stream's format."""
        with self._lock:
            self._info = info
            self._life.opened(info.burst_s)
        self._soon(self.report_level)

    def appetite(self) -> Appetite:
        """See `PacketSink.appetite`."""
        return self._appetite

    def skipped(self, size: int) -> None:
        """Media passed by unread."""
        with self._lock:
            self.received += size
            self._alive(self._clock.monotonic())

    def put(self, packet: Packet) -> None:
        """Take one packet; start a look if the sampler asks for one and none is in flight."""
        patient = self.spec.fast and threading.get_ident() != self._home  # the loop must be free to hear of its end
        if patient and not self._looks.wait(PATIENCE_S):
            log.warning("a look takes too long, the file goes on without it", stream=self.spec.name)
        with self._lock:
            if self._closed:
                return
            self.received += len(packet.data)
            self._alive(packet.arrival)
            if self._timeline.packet(packet) or (packet.config is not self._config and packet.config != self._config):
                self._begin_timeline(packet)
            if packet.key or self._appetite.everything:
                self._looks.buffer.put(packet)
            if not packet.key and packet.arrival < self._calm_until:
                return
            self._consider(packet)
            self._plan()

    # --- decisions under the lock ----------------------------------------------------------------------------------

    def _alive(self, now: float) -> None:
        if not self._life.media(now):
            return
        self._session = secrets.token_hex(8)
        self._sight = Sight(now)
        self._timeline = Timeline()
        self._config = None
        self._wariness.begins(now)
        self._sampler.restart()
        self._second_look.reset()
        self._looks.forget()
        self._looks.chapter = Chapter(self._session, self._timeline.number)
        self._plan()
        self._well_until = -math.inf
        self._soon(self._new_session, self._session, self._life.standing(now).session)

    def _begin_timeline(self, packet: Packet) -> None:
        """Media time jumped, or another format began: what was buffered does not belong to what comes."""
        if self._config is not None:
            self._looks.forget()
            jumped = self._timeline.number != self._looks.chapter.timeline
            self._wariness.turns(packet.arrival, jumped=jumped, reformatted=packet.config != self._config)
        self._looks.chapter = Chapter(self._session, self._timeline.number)
        self._config, self._second_look.pending = packet.config, None

    def _consider(self, packet: Packet) -> None:
        due = self._sampler.packet(
            arrival=packet.arrival,
            key=packet.key,
            size=len(packet.data),
            media_s=self._timeline.newest.seconds,
            burst_s=self._info.burst_s if self._info else 0.0,
        )
        if self._sight.hopeless(packet.config) or not self._looks.turns.stations:
            return
        deadline = packet.arrival + self._sampler.gap_s
        doubt = self._second_look.pending
        if doubt is not None and self._looks.idle and self._looks.back(doubt, deadline) is Begun.TAKEN:
            self._second_look.pending = None
        begun = Begun.NOTHING
        if self._sight.keys_useless or self._sampler.between_keys():
            begun = self._looks.feed(packet, deadline, due=due)
        else:
            self._looks.stop_between()
            if due:
                begun = self._looks.at(packet, deadline)
        if begun is not Begun.NOTHING:
            self._sight.tried(turned_away=begun is Begun.TURNED_AWAY)

    def _plan(self) -> None:
        """Say what is wanted from now on, and until when a packet between keys changes nothing."""
        due = self._sampler.due
        between = self._looks.between_keys or self._sight.keys_useless or self._sampler.between_keys()
        lookback = self.spec.sampling.lookback_s > 0
        if not self._looks.idle:  # it will most likely succeed: nobody should hurry for the next picture meanwhile
            due = due.later(self._looks.newest + self._sampler.gap_s)
        self._appetite = Appetite(between or lookback, due.key_at, due.look_at, lookback_only=not between)
        self._calm_until = -math.inf if between or self._second_look.pending else min(due.any_at, due.rare_at)

    # --- back on the event loop ------------------------------------------------------------------------------------

    def _soon(self, callback: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed: the process ends
            self._looks.over()

    def _new_session(self, session: str, number: int) -> None:
        self._report.new_session(session)
        if number > 1:  # the first one goes on where the daemon said the rules stand
            self._policies.reset()
            self._wariness.reset()
        self.report_level()

    def _looked(self, looked: Looked) -> None:
        self._soon(self._seen, looked)

    def _seen(self, looked: Looked) -> None:
        """Take the result of a look; wake a patient reader only when everything that follows from it is done."""
        try:
            if self._closed or looked.chapter.session != self._session:
                return
            for seen in looked.seen:
                with self._lock:
                    sample = self._note(seen, looked)
                if sample is None:
                    continue
                self._report.sampled(sample, seen.infer_s)
                suspicion = self._policies.judge(sample, self._report.decided)
                with self._lock:
                    self._sampler.suspect(suspicion, sample.frame.arrival)
        finally:
            with self._lock:
                self._looks.over()
                self._look_again(looked)
                self._plan()
            self.judge()

    def _note(self, seen: Seen, looked: Looked) -> Sample | None:
        self._spent = self._spent.plus(seen)
        blind = self._wariness.shown(seen)
        gap_s = self._sight.note(seen, looked.packet, lone=looked.aim is Aim.KEY, blind=blind)
        if seen.outcome is Outcome.FAILED:
            self._looks.stop_between()
        if seen.outcome is not Outcome.SCORED or seen.corrupt or blind:
            self._well_until = -math.inf
        scored = seen.packet
        if scored is None:
            return None
        if seen.detail and seen.detail != self._score_trouble:
            log.error("a detector cannot score this stream", stream=self.spec.name, why=seen.detail)
        self._score_trouble = seen.detail
        for scores in seen.scores:
            self._looks.turns.scored(scores.detector, scored.arrival)
        if not seen.corrupt:
            self._sampler.sampled(scored.arrival)
        timeline = self._timeline
        media_s = (seen.media or scored.pts or timeline.newest).seconds
        age_s = max(self._clock.monotonic() - scored.arrival, 0.0)
        frame = FrameRef(
            stream=self.spec.id,
            session=self._session,
            timeline=looked.chapter.timeline,
            media_s=round(media_s, 6),
            arrival=scored.arrival,
            at=self._clock.now() - timedelta(seconds=age_s),
            key=scored.key,
            width=seen.width,
            height=seen.height,
            corrupt=seen.corrupt,
            blind=bool(blind),
        )
        return Sample(frame=frame, scores=seen.scores, gap_s=gap_s, decode_s=seen.decode_s, infer_s=sum(seen.infer_s))

    def _look_again(self, looked: Looked) -> None:
        """At the first suspicion: look at once at what surrounds it, as far as it was received."""
        if looked.chapter != self._looks.chapter:
            return
        around = next((seen.media for seen in looked.seen if seen.media is not None), None)
        doubt = self._second_look.arises(around, *self._policies.doubt()) or self._second_look.pending
        if doubt is None or self._closed:
            return
        begun = self._looks.back(doubt, self._clock.monotonic())
        more_comes = self._info is not None and self._info.burst_s > 0  # with the rest of its segment
        self._second_look.pending = doubt if begun is Begun.NOTHING and more_comes else None

    # --- called by the supervisor, on the event loop ---------------------------------------------------------------

    def adopt(self, spec: StreamSpec, *, sampler: Sampler, reporter: Reporter) -> None:
        """Go on with changed settings that need no new connection."""
        with self._lock:
            self.spec = spec
            self._sampler = sampler
            reporter.take_over(self._report)
            self._report = reporter
            self._plan()
        self.report_level()

    def equip(self, *, policies: Sequence[Policy], stations: Sequence[Station], wary: Sequence[Policy] = ()) -> None:
        """Go on with other detectors and rules; rules that stay keep their standing. `wary`: rules about evasion."""
        with self._lock:
            self._looks.turns = Turns(tuple(stations))
        self._policies.replace(policies)
        self._wariness.replace(wary)
        self._well_until = -math.inf

    def demand(self, suspicion: float) -> None:
        """Somebody outside asks for more looks."""
        with self._lock:
            self._sampler.suspect(suspicion, self._clock.monotonic())
            self._plan()

    def restore(self, standing: Sequence[Standing]) -> None:
        """Begin, or go on, where the daemon says the rules stand."""
        self._policies.restore(standing)
        self._wariness.restore(standing)
        self._report.expect(state.rule for state in standing if state.open)

    def decisions(self) -> tuple[Decision, ...]:
        """Where every rule stands."""
        return self._policies.decisions() + self._wariness.decisions()

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
            return Tally(transport, self.received, self._spent, self._looks.missed, self._looks.buffer.dropped)

    def report_level(self) -> None:
        """Say how the stream stands; the reporter sends it only when it changed or is due again."""
        with self._lock:
            self._plan()
            report = self._standing()
            self._said_size = self._sight.size
            well_until = self._sight.seen_until(self.spec.sampling.max_gap_s)
        self._stands = report
        repeat_at = self._report.level(report)
        self._well_until = min(well_until, repeat_at) if report.live and report.reason is None else -math.inf

    def judge(self) -> None:
        """Do as `report_level`, but for nothing where all was well and can only still be so."""
        now = self._now()
        if now >= self._well_until or self._sight.size != self._said_size or not self._life.flowing(now):
            self.report_level()
        self._be_wary(now)

    def _be_wary(self, now: float) -> None:
        """Weigh the signs of evasion, about once a second; of an ended stream nothing is left to say."""
        stands = self._stands
        if stands is None or stands.ended or not self._wariness.due(now):
            return
        with self._lock:
            scores = self._wariness.weigh(self._facts(stands, now))
            media_s = self._timeline.newest.seconds
        if scores is None:
            return
        found = of_no_picture(
            scores,
            stream=self.spec.id,
            session=self._session,
            timeline=self._timeline.number,
            arrival=now,
            at=self._clock.now(),
            media_s=media_s,
            size=self._sight.size,
        )
        self._wariness.judge(found, self._report.decided)

    def _facts(self, stands: Report, now: float) -> Facts:
        info = self._info
        width, height = self._sight.size
        if not width and info is not None:
            width, height = info.config.width, info.config.height
        return Facts(
            now=now,
            live=stands.live,
            reason=stands.reason,
            media_at=self._life.last_media,
            received=self.received,
            steady=info is not None and not info.burst_s and not info.on_demand and not self.spec.fast,
            width=width,
            height=height,
        )

    def close(self) -> None:
        """Take no more packets."""
        with self._lock:
            self._closed = True
            self._looks.over()
            self._looks.forget()

    def _now(self) -> float:
        """A file read fast has a time of its own: that of its newest packet."""
        return self._life.last_media if self.spec.fast else self._clock.monotonic()

    def _standing(self) -> Report:
        now = self._now()
        standing = self._life.standing(now)
        reason, detail = standing.reason, standing.detail
        if reason is None and standing.phase is Phase.LIVE:
            reason, detail = self._sight.obstacle(
                now,
                max_gap_s=self.spec.sampling.max_gap_s,
                flowing=self._life.flowing(now),
                waits_s=None if self._looks.idle else now - self._looks.newest,
            )
            if not self._looks.turns.stations:
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
