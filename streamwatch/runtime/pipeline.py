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
from streamwatch.domain.media import Aim, CodecConfig, FrameRef, MediaInfo, Packet, Sample
from streamwatch.domain.streams import Reason, StreamSpec
from streamwatch.evidence.base import Policy
from streamwatch.runtime.burden import Burden
from streamwatch.runtime.life import Life, Phase
from streamwatch.runtime.look import Outcome, Seen, Spent
from streamwatch.runtime.lookback import Doubt, SecondLook
from streamwatch.runtime.looks import Begun, Chapter, Looked, Looks
from streamwatch.runtime.policies import Policies
from streamwatch.runtime.report import Report, Reporter
from streamwatch.runtime.sight import Sight
from streamwatch.runtime.timeline import Timeline
from streamwatch.runtime.turns import Station, Turns
from streamwatch.runtime.wariness import Wariness, facts_of, sample_of, steady
from streamwatch.runtime.workers import Workers
from streamwatch.sampling.base import Sampler
from streamwatch.sampling.capacity import CALM, Load, Plan, Prices
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
        prices: Prices,
        reporter: Reporter,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        session: str = "",
        wariness: Wariness | None = None,
        make_burden: Callable[[Prices, float], Burden] = Burden,
    ) -> None:
        """`session`: of a stream that was live already when this watcher got it; it goes on under that name.

        Without `wariness` no picture counts as blind, and nothing as evasion. `make_burden`: for simulations, in which
        looks do not take what the clock says.
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
        self._closed = False
        began = clock.monotonic()
        self._burden = make_burden(prices, began)
        self._looks = Looks(
            buffer=buffer,
            workers=workers,
            stations=stations,
            done=self._looked,
            lock=self._lock,
            prices=self._burden,
            clock=clock,
        )
        self._life = Life(end_after_s=spec.end_after_s, live_at=began if session else None)
        self._timeline = Timeline()
        self._session = session
        self._looks.chapter = Chapter(session, self._timeline.number)
        reporter.new_session(session)
        self._info: MediaInfo | None = None
        self._config: CodecConfig | None = None
        self._sight = Sight(began)
        self._score_trouble = ""
        self._second_look = SecondLook()
        self._appetite = Appetite(everything=False, key_at=-math.inf, look_at=-math.inf)
        self._calm_until = -math.inf
        """Packets between keys that arrive before then only need to be kept."""
        self._well_until = -math.inf
        """Until then a level said while all was well holds, as long as media flows."""
        self._said_size = (0, 0)
        self._stands: Report | None = None
        """As last judged; what was well then and is not judged again is well still."""
        self._pressed = CALM
        """The plan that the sampler was told last."""
        self._blind = False
        """Whether the newest picture showed nothing."""
        self._shown = -1
        """The latest presentation time so far, in ticks; a packet beyond it is an anchor."""
        self._hints = False
        """Whether anchors are looked through for signs of novelty."""
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
            anchor = self._hints and self._is_anchor(packet)
            if packet.key:
                self._burden.key(len(packet.data))
            elif packet.arrival < self._calm_until:
                if not anchor or self._sampler.passed(len(packet.data)):
                    return
                anchor = False  # it was told
                self._sampler.novel(packet.arrival)
            self._consider(packet, anchor=anchor)
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
        """Media time jumped, or another format began: what was seen before is not compared with what comes.

        What was buffered goes with the next key picture: decoding goes on over a jump of the clock, and whoever could
        make us forget by jumping would be safe from all looks but those at his key pictures.
        """
        if self._config is not None:
            if packet.key or packet.config != self._config:
                self._looks.forget()
            jumped = self._timeline.number != self._looks.chapter.timeline
            self._wariness.turns(packet.arrival, jumped=jumped, reformatted=packet.config != self._config)
        self._looks.chapter = Chapter(self._session, self._timeline.number)
        self._config, self._second_look.pending = packet.config, None
        self._shown = -1

    def _is_anchor(self, packet: Packet) -> bool:
        """Whether it is shown after all that came before it; of one group of pictures, since a key begins anew."""
        if packet.pts is None:
            return False
        ticks = packet.pts.ticks
        if packet.key or ticks > self._shown:
            self._shown = ticks
            return True
        return False

    def _consider(self, packet: Packet, *, anchor: bool) -> None:
        due = self._sampler.packet(
            arrival=packet.arrival,
            key=packet.key,
            size=len(packet.data),
            media_s=self._timeline.newest.seconds,
            burst_s=self._info.burst_s if self._info else 0.0,
            anchor=anchor,
        )
        if self._sight.hopeless(packet.config) or not self._looks.turns.stations:
            return
        doubt = self._second_look.pending
        if doubt is not None and self._looks.idle:
            if not _may_tell(doubt, packet):
                self._second_look.give_up(packet.arrival)
            elif self._begin_back(doubt) is Begun.TAKEN:
                self._second_look.pending = None
            else:
                self._second_look.give_up(packet.arrival)
        begun = Begun.NOTHING
        if self._sight.keys_useless or self._sampler.between_keys():
            begun = self._looks.feed(packet, self._sampler.wish(packet.arrival), due=due)
        else:
            self._looks.stop_between()
            if due:
                wish = self._sampler.wish(packet.arrival)
                begun = self._looks.at(packet, wish, promise_until=self._sampler.promise_until)
        if begun is not Begun.NOTHING:
            self._sight.tried(turned_away=begun is Begun.TURNED_AWAY)

    def _plan(self) -> None:
        """Say what is wanted from now on, and until when a packet between keys changes nothing."""
        due = self._sampler.due
        sampling = self.spec.sampling
        self._hints = sampling.novelty and sampling.lookback_s > 0 and not (self._info and self._info.burst_s)
        between = self._looks.between_keys or self._sight.keys_useless or self._sampler.between_keys()
        lookback = sampling.lookback_s > 0
        if not self._looks.idle:  # it will most likely succeed: nobody should hurry for the next picture meanwhile
            due = due.later(self._looks.newest + self._sampler.gap_s)
        urgent = self._second_look.pending is not None
        self._appetite = Appetite(between or lookback, due.key_at, due.look_at, not between, urgent, due.any_at)
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
                    if looked.chapter.session != self._session:
                        return  # another publisher began meanwhile
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
        self._burden.looked(seen, looked)
        blind = self._wariness.shown(seen)
        gap_s = self._sight.note(seen, looked.packet, lone=looked.aim is Aim.KEY, blind=blind)
        if seen.outcome is Outcome.FAILED:
            self._looks.stop_between()
        if seen.outcome is not Outcome.SCORED or seen.corrupt or blind:
            self._well_until = -math.inf
        scored = seen.packet
        if looked.asked and looked.aim is not Aim.BACK and (scored is None or seen.corrupt):
            self._sampler.tried((scored or looked.packet).arrival)
        if scored is None:
            return None
        if seen.detail and seen.detail != self._score_trouble:
            log.error("a detector cannot score this stream", stream=self.spec.name, why=seen.detail)
        self._score_trouble = seen.detail
        for scores in seen.scores:
            self._looks.turns.scored(scores.detector, scored.arrival)
        if not seen.corrupt:
            up_to = scored.arrival if looked.aim is Aim.BACK else looked.packet.arrival
            self._sampler.sampled(scored.arrival, up_to=up_to)
        if blind and not self._blind:
            self._sampler.novel(scored.arrival)  # perhaps just a fade: nobody should stay blind for it
        self._blind = bool(blind)
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
            aim=looked.aim,
        )
        return Sample(frame=frame, scores=seen.scores, gap_s=gap_s, decode_s=seen.decode_s, infer_s=sum(seen.infer_s))

    def _begin_back(self, doubt: Doubt) -> Begun:
        return self._looks.back(doubt, self._sampler.wish(self._clock.monotonic()))

    def _look_again(self, looked: Looked) -> None:
        """At the first suspicion: look at once at what lies around it as far as it was received, then at what comes."""
        if looked.chapter != self._looks.chapter or self._closed:
            return
        second = self._second_look
        doubts = self._policies.doubts()
        around = next((seen.media for seen in looked.seen if seen.media is not None), None)
        onward = second.looked(doubts) if looked.aim is Aim.BACK else None
        doubt = second.arises(around, doubts) or onward or second.pending
        if doubt is None:
            return
        if self._begin_back(doubt) is Begun.TAKEN:
            second.pending = None
        else:
            burst_s = self._info.burst_s if self._info else 0.0
            second.wait(doubt, now=self._clock.monotonic(), burst_s=burst_s)

    # --- called by the supervisor, on the event loop ---------------------------------------------------------------

    def adopt(self, spec: StreamSpec, *, reporter: Reporter) -> None:
        """Go on with changed settings that need no new connection."""
        with self._lock:
            self.spec = spec
            self._sampler.tune(spec.sampling, weight=spec.weight)
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

    def demand(self, suspicion: float, for_s: float = 0.0) -> None:
        """Somebody outside asks for more looks: for so many seconds, or at once and fading."""
        with self._lock:
            now = self._clock.monotonic()
            if for_s > 0:
                self._sampler.demand(suspicion, until=now + for_s, now=now)
            else:
                self._sampler.suspect(suspicion, now)
            self._plan()

    def load(self) -> Load | None:
        """What this stream asks of the workers; None while nothing of it comes."""
        with self._lock:
            now = self._clock.monotonic()
            self._burden.rate(self.received, now)
            if self._config is None or not self._life.flowing(now) or self._sight.hopeless(self._config):
                return None
            return self._burden.load(self._sampler.pace, self.spec.sampling, self._config.codec)

    def press(self, plan: Plan) -> None:
        """The plan of the whole watcher from now on."""
        if plan is self._pressed:
            return
        self._pressed = plan
        with self._lock:
            self._sampler.press(plan)
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
            return Tally(transport, self.received, self._burden.spent, self._looks.missed, self._looks.buffer.dropped)

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
        stands, wariness = self._stands, self._wariness
        if stands is None or stands.ended or not wariness.due(now):
            return
        with self._lock:
            media_at, received, time = self._life.last_media, self.received, self._timeline
            made = steady(self._info) and not self.spec.fast
            facts = facts_of(stands, self._info, now=now, media_at=media_at, received=received, steady=made)
            if self._sight.unscored:
                facts = facts._replace(reason=None)
            scores = wariness.weigh(facts)
        if scores is not None:
            at, media_s, session = self._clock.now(), time.newest.seconds, self._session
            wariness.judge(
                sample_of(scores, facts, stream=self.spec.id, session=session, timeline=time.number, at=at,
                          media_s=media_s), self._report.decided,
            )  # fmt: skip

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


def _may_tell(doubt: Doubt, packet: Packet) -> bool:
    """Whether a packet's picture lies far enough after a suspicious one to say more about it."""
    return packet.pts is not None and packet.pts.seconds >= doubt.around.seconds + doubt.spacing_s
