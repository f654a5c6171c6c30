"""A stream's pipeline with real threads for reader and worker, a scripted decoder and a clock that stands still."""

import asyncio
import random
import threading
from dataclasses import replace
from fractions import Fraction

import pytest
import structlog

from streamwatch.domain.decisions import CloseWhen, Kind, Level, OpenWhen, RuleSpec, Severity, Standing
from streamwatch.domain.errors import NotPublished
from streamwatch.domain.media import Aim, CodecConfig, MediaInfo, MediaTime, Packet
from streamwatch.domain.streams import Reason, SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.evidence.kofn import KOfN
from streamwatch.link.messages import FromWatcher, RuleLevel, Sampled, StreamLevel
from streamwatch.runtime.pipeline import StreamPipeline
from streamwatch.runtime.report import Reporter
from streamwatch.runtime.turns import Station
from streamwatch.runtime.workers import DecodeWorkers, Job
from streamwatch.sampling.adaptive import AdaptiveSampler
from streamwatch.sampling.capacity import Claim, Plan, Prices
from streamwatch.sampling.schedule import Wish
from streamwatch.sources.gop import GopBuffer
from tests.fakes.clock import FakeClock
from tests.fakes.decoder import FakeDecoder
from tests.fakes.shade import ShadeDetector

H264 = CodecConfig("h264", b"", 64, 36)
RULE = RuleSpec(
    name="bright",
    detector="shades",
    label="bright",
    severity=Severity.HIGH,
    kind=Kind.CLASSIFIER,
    open=OpenWhen(score=0.8, hits=2, within_s=10, spacing_s=0.4),
    close=CloseWhen(score=0.5, for_s=30),
    cooldown_s=0,
)
SAMPLING = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0, inner=0)
FIRST = Wish(Claim.FLOOR, 0, 0, 0)


class NoRoom:
    """Workers that are too busy."""

    def submit(self, wish: Wish, job: Job, *, cost_s: float) -> bool:
        del wish, job, cost_s
        return False


class Stage:
    """A pipeline with everything round it."""

    def __init__(self) -> None:
        self.clock = FakeClock(start=1000.0)
        self.said: list[FromWatcher] = []
        self.decoded: list[tuple[str, int]] = []
        self.workers = DecodeWorkers(1, lambda config: FakeDecoder(config, self.decoded), clock=self.clock)
        spec = StreamSpec(id=StreamId("lobby"), url=SafeUrl("rtmp://h/live/lobby"), sampling=SAMPLING, name="lobby",
                          end_after_s=300)  # fmt: skip
        self.pipeline = StreamPipeline(
            spec,
            sampler=AdaptiveSampler(SAMPLING, rng=random.Random(1)),
            policies=[KOfN(RULE)],
            stations=[Station(ShadeDetector())],
            buffer=GopBuffer(max_seconds=4, max_bytes=1 << 20),
            workers=self.workers,
            prices=Prices(),
            reporter=Reporter(stream=spec.id, epoch=1, emit=self.said.append, clock=self.clock),
            clock=self.clock,
            loop=asyncio.get_running_loop(),
        )
        self.media_s = 0.0

    async def put(self, data: str, *, key: bool = True, after: float = 2.0, config: CodecConfig = H264) -> None:
        """One packet, `after` seconds after the last; wait until the look it may cause is over."""
        self.clock.advance(after)
        self.media_s += after
        time = MediaTime.of(round(self.media_s * 90_000), Fraction(1, 90_000))
        packet = Packet(config, data.encode(), time, time, key, self.clock.monotonic())
        await asyncio.to_thread(self.pipeline.put, packet)
        await self.settled()

    async def settled(self) -> None:
        """Every look that was begun is over."""
        await asyncio.to_thread(self.pipeline._looks.wait, 5)
        for _ in range(5):
            await asyncio.sleep(0)

    def of(self, kind: type[FromWatcher]) -> list[FromWatcher]:
        return [message for message in self.said if isinstance(message, kind)]

    @property
    def scores(self) -> list[float]:
        return [round(message.scores[0].values[0][1], 2) for message in self.of(Sampled)]

    @property
    def level(self) -> StreamLevel:
        return self.of(StreamLevel)[-1]


@pytest.fixture
async def stage():
    staged = Stage()
    yield staged
    staged.pipeline.close()
    await asyncio.to_thread(staged.workers.close)


async def test_the_first_key_is_scored_and_the_stream_is_live(stage: Stage) -> None:
    stage.pipeline.opened(MediaInfo(H264, "rtmp"))
    await stage.put("shade:51")
    assert stage.scores == [0.2]
    assert (stage.level.live, stage.level.reason, stage.level.codec) == (True, None, "h264")
    assert (stage.level.width, stage.level.height) == (64, 36)


async def test_when_calm_keys_are_skipped_as_long_as_the_promise_allows(stage: Stage) -> None:
    for _ in range(30):
        await stage.put("shade:0")
    gaps = [message.gap_s for message in stage.of(Sampled)[1:]]
    assert gaps
    assert all(gap == 8.0 for gap in gaps)


async def test_a_bright_picture_brings_looks_between_the_keys_and_then_an_alarm(stage: Stage) -> None:
    for _ in range(8):
        await stage.put("shade:0")
    assert len(stage.scores) == 2
    before = stage.clock.monotonic()
    await stage.put("shade:250")
    assert stage.scores[2] > 0.8
    for _ in range(10):
        await stage.put("shade:250", key=False, after=0.1)
    levels = [message.level for message in stage.of(RuleLevel)]
    assert levels[:2] == [Level.SUSPECTED, Level.ALARM]
    alarm = next(message for message in stage.of(RuleLevel) if message.level is Level.ALARM)
    assert len(alarm.hits) == 2
    assert alarm.hits[1].arrival - alarm.hits[0].arrival == pytest.approx(0.5, abs=0.11)
    assert stage.clock.monotonic() - before < 12
    assert any(word == "feed" for word, _ in stage.decoded)


async def test_a_first_suspicion_is_confirmed_at_once_from_what_was_received_before_it(stage: Stage) -> None:
    for _ in range(8):
        await stage.put("shade:0")
    for _ in range(19):
        await stage.put("shade:250", key=False, after=0.1)
    assert stage.of(RuleLevel) == []
    await stage.put("shade:250", after=0.1)
    await stage.settled()
    levels = stage.of(RuleLevel)
    assert [message.level for message in levels[:2]] == [Level.SUSPECTED, Level.ALARM]
    suspected, alarm = levels[:2]
    assert alarm.hits[0] == suspected.hits[0]
    assert [hit.look for hit in alarm.hits] == [Aim.KEY, Aim.BACK]
    assert stage.of(Sampled)[-1].look is Aim.BACK
    assert 0.4 <= alarm.hits[0].media_s - alarm.hits[1].media_s <= 2
    assert alarm.first_seen.media_s < suspected.first_seen.media_s
    gaps = [message.gap_s for message in stage.of(Sampled)]
    assert gaps[0] is None
    assert gaps[-1] is None  # a look back is no gap kept


async def test_a_suspicion_that_nothing_before_it_bears_out_is_not_looked_back_at_twice(stage: Stage) -> None:
    for _ in range(8):
        await stage.put("shade:0")
    for _ in range(19):
        await stage.put("shade:0", key=False, after=0.1)
    await stage.put("shade:250", after=0.1)
    await stage.put("shade:0", key=False, after=0.1)
    assert [message.level for message in stage.of(RuleLevel)] == [Level.SUSPECTED]
    assert [word for word, _ in stage.decoded].count("pictures") == 1


async def test_a_suspicion_is_confirmed_by_the_first_picture_that_counts_as_soon_as_it_is_received(
    stage: Stage,
) -> None:
    for _ in range(4):
        await stage.put("shade:0")
    await stage.put("shade:250", after=8)
    begin = stage.clock.monotonic()
    for _ in range(30):
        await stage.put("shade:250", key=False, after=0.04)
        if stage.of(RuleLevel)[-1].level is Level.ALARM:
            break
    assert stage.clock.monotonic() - begin == pytest.approx(0.44, abs=0.05)


async def test_where_media_comes_in_bursts_the_rest_of_the_segment_confirms(stage: Stage) -> None:
    stage.pipeline.opened(MediaInfo(H264, "hls", burst_s=4, on_demand=True))
    await stage.put("shade:250")
    assert stage.pipeline.appetite().everything
    assert not stage.pipeline.appetite().lookback_only
    stage.clock.advance(0.05)
    for _ in range(20):
        stage.media_s += 0.1
        await stage.put("shade:250", key=False, after=0)
    await stage.settled()
    assert stage.of(RuleLevel)[-1].level is Level.ALARM
    assert stage.clock.monotonic() < 1003


async def test_calm_between_keys_only_the_buffer_is_fed(stage: Stage) -> None:
    await stage.put("shade:0")
    appetite = stage.pipeline.appetite()
    assert (appetite.everything, appetite.lookback_only) == (True, True)
    assert appetite.look_at == pytest.approx(stage.clock.monotonic() + 9.5)
    assert appetite.key_at == pytest.approx(stage.clock.monotonic() + 7.5)
    for _ in range(10):
        await stage.put("shade:255", key=False, after=0.1)
    assert stage.scores == [0.0]
    assert [word for word, _ in stage.decoded] == ["key"]


async def test_nobody_hurries_for_the_next_picture_while_one_is_looked_at(stage: Stage) -> None:
    arrival = stage.clock.monotonic()
    hold = threading.Event()
    stage.workers.submit(FIRST, lambda _: hold.wait(5), cost_s=0)
    stage.pipeline.put(Packet(H264, b"shade:0", None, None, key=True, arrival=arrival))
    assert stage.pipeline.appetite().look_at == arrival + 10
    hold.set()
    await stage.settled()
    assert stage.pipeline.appetite().look_at == arrival + 9.5


async def test_another_format_is_not_looked_back_across(stage: Stage) -> None:
    for index in range(20):
        await stage.put("shade:250" if index else "shade:0", key=index == 0, after=0.1)
    await stage.put("shade:0", after=8, config=CodecConfig("h264", b"other", 64, 36))
    await stage.put("shade:250", after=8, config=CodecConfig("h264", b"other", 64, 36))
    await stage.settled()
    assert all(level.level is not Level.ALARM for level in stage.of(RuleLevel))


async def test_a_damaged_picture_is_reported_and_never_counts(stage: Stage) -> None:
    await stage.put("torn:255")
    await stage.put("torn:255")
    assert [message.corrupt for message in stage.of(Sampled)] == [True, True]
    assert stage.of(RuleLevel) == []


async def test_nothing_but_damage_for_longer_than_the_promise_is_decode(stage: Stage) -> None:
    for _ in range(7):
        await stage.put("torn:255")
    stage.pipeline.judge()
    assert stage.level.reason is Reason.DECODE
    for _ in range(2):
        await stage.put("shade:0")
    assert stage.level.reason is None


async def test_bytes_that_are_no_picture_are_decode_too_and_cost_nothing_else(stage: Stage) -> None:
    for _ in range(7):
        await stage.put("bad")
    stage.pipeline.judge()
    assert stage.level.reason is Reason.DECODE
    assert "no picture" in stage.level.detail


async def test_an_unknown_codec_is_said_at_once_and_not_tried_again(stage: Stage) -> None:
    strange = CodecConfig("unknown", b"", 64, 36)
    await stage.put("shade:0", config=strange)
    assert stage.level.reason is Reason.CODEC
    await stage.put("shade:0", config=strange)
    assert stage.decoded == []
    await stage.put("shade:0")
    assert stage.level.reason is None


async def test_two_keys_without_a_picture_turn_to_contiguous_decoding(stage: Stage) -> None:
    await stage.put("none")
    await stage.put("none")
    await stage.put("shade:9", key=True)
    assert stage.decoded[-1][0] == "feed"
    assert stage.scores


async def test_silence_is_a_stall_and_ends_the_stream_only_after_its_time(stage: Stage) -> None:
    await stage.put("shade:0")
    stage.clock.advance(5.5)
    stage.pipeline.judge()
    assert stage.level.reason is Reason.STALLED
    stage.pipeline.failed(NotPublished("nothing comes"))
    stage.clock.advance(300)
    stage.pipeline.judge()
    assert (stage.level.ended, stage.level.reason) == (True, Reason.SILENT)


async def test_silence_that_breaks_the_promise_first_is_never_laid_on_pictures_or_keys(stage: Stage) -> None:
    for _ in range(4):
        await stage.put("shade:0", after=1.9)
    assert len(stage.scores) == 1  # the other keys were not worth a look yet
    stage.clock.advance(4.5)  # over the promise, not yet a stall by its own measure
    stage.pipeline.judge()
    assert stage.of(StreamLevel)[-1].reason is Reason.STALLED


async def test_media_without_keys_is_no_keys(stage: Stage) -> None:
    await stage.put("shade:0")
    for _ in range(11):
        await stage.put("shade:0", key=False, after=1)
    stage.pipeline.judge()
    assert stage.of(StreamLevel)[-1].reason is Reason.NO_KEYS


async def test_keys_that_were_not_worth_a_look_are_no_failure_of_the_decoder(stage: Stage) -> None:
    await stage.put("shade:0")
    await stage.put("shade:0", after=1)
    for _ in range(10):
        await stage.put("shade:0", key=False, after=1)
    stage.pipeline.judge()
    assert len(stage.scores) == 1
    assert stage.of(StreamLevel)[-1].reason is Reason.NO_KEYS


async def test_a_group_of_pictures_without_end_keeps_the_promise(stage: Stage) -> None:
    stage.pipeline._looks.buffer = GopBuffer(max_seconds=4, max_bytes=1 << 20, group_seconds=14.5)
    await stage.put("shade:0")
    for _ in range(100):
        await stage.put("shade:0", key=False, after=0.5)
    assert max(message.gap_s for message in stage.of(Sampled)[1:]) <= SAMPLING.max_gap_s
    assert stage.level.reason is None
    assert len(stage.scores) >= 5


async def test_media_time_going_back_is_a_new_timeline(stage: Stage) -> None:
    await stage.put("shade:0")
    stage.media_s = -12.0
    for _ in range(6):
        await stage.put("shade:0")
    assert stage.pipeline._timeline.number == 1
    assert stage.of(Sampled)[-1].media_s < 20


async def test_a_new_session_forgets_the_alarm_of_the_old_one(stage: Stage) -> None:
    stage.pipeline.restore([Standing(rule="bright", open=True)])
    await stage.put("shade:0")
    assert stage.pipeline.decisions()[0].level is Level.ALARM
    stage.pipeline.finished()
    first = stage.level
    assert first.ended
    await stage.put("shade:0")
    assert stage.pipeline.decisions()[0].level is Level.CALM
    assert stage.level.session not in {"", first.session}


async def test_a_suspicion_against_one_publisher_is_none_against_the_next(stage: Stage) -> None:
    await stage.put("shade:250")
    assert stage.pipeline.decisions()[0].level is Level.SUSPECTED
    stage.pipeline.finished()
    await stage.put("shade:250")
    assert stage.pipeline.decisions()[0].level is Level.SUSPECTED
    assert all(level.level is not Level.ALARM for level in stage.of(RuleLevel))


async def test_what_was_seen_of_one_publisher_is_not_laid_to_the_next(stage: Stage) -> None:
    hold = threading.Event()
    stage.workers.submit(FIRST, lambda _: hold.wait(5), cost_s=0)
    stage.pipeline.put(Packet(H264, b"shade:250", None, None, key=True, arrival=stage.clock.monotonic()))
    stage.pipeline.finished()
    stage.clock.advance(1)
    stage.pipeline.put(Packet(H264, b"shade:0", None, None, key=False, arrival=stage.clock.monotonic()))
    hold.set()
    await stage.settled()
    assert stage.scores == []
    assert stage.of(RuleLevel) == []


async def test_a_look_that_waits_is_at_the_newest_key_and_in_its_timeline(stage: Stage) -> None:
    await stage.put("shade:0")
    hold = threading.Event()
    stage.workers.submit(FIRST, lambda _: hold.wait(5), cost_s=0)
    for media_s in (60, 20):
        stage.clock.advance(8)
        time = MediaTime.of(media_s, Fraction(1))
        stage.pipeline.put(Packet(H264, b"shade:250", time, time, key=True, arrival=stage.clock.monotonic()))
    seen: list[int] = []
    judge = stage.pipeline._policies.judge
    stage.pipeline._policies.judge = lambda sample, told: seen.append(sample.frame.timeline) or judge(sample, told)
    hold.set()
    await stage.settled()
    assert seen == [1]


async def kept_waiting(stage: Stage, *, key_times: list[float], until: float) -> float:
    """A look at the first of these keys waits until then, seconds after a scored picture. When what it saw arrived."""
    await stage.put("shade:0")
    begin = stage.clock.monotonic()
    hold = threading.Event()
    stage.workers.submit(FIRST, lambda _: hold.wait(5), cost_s=0)
    for at in key_times:
        stage.clock.advance(begin + at - stage.clock.monotonic())
        stage.pipeline.put(Packet(H264, b"shade:0", None, None, key=True, arrival=stage.clock.monotonic()))
    stage.clock.advance(begin + until - stage.clock.monotonic())
    hold.set()
    await stage.settled()
    return stage.of(Sampled)[-1].arrival - begin


async def test_a_newer_key_that_keeps_the_promise_too_takes_the_place_of_an_older_one(stage: Stage) -> None:
    assert await kept_waiting(stage, key_times=[8, 9.5], until=9.6) == pytest.approx(9.5)


async def test_a_picture_in_time_is_not_given_up_for_one_that_breaks_the_promise(stage: Stage) -> None:
    assert await kept_waiting(stage, key_times=[8, 10.5], until=10.6) == pytest.approx(8)


async def test_where_the_promise_is_broken_already_what_is_looked_at_is_not_old(stage: Stage) -> None:
    assert await kept_waiting(stage, key_times=[8, 12, 20, 30], until=31) == pytest.approx(30)


async def test_on_the_event_loop_nobody_waits_for_a_look(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.pipeline.spec = replace(stage.pipeline.spec, fast=True)
    monkeypatch.setattr("streamwatch.runtime.pipeline.PATIENCE_S", 0.2)
    hold = threading.Event()
    stage.workers.submit(FIRST, lambda _: hold.wait(5), cost_s=0)
    with structlog.testing.capture_logs() as said:
        for _ in range(2):
            stage.pipeline.put(Packet(H264, b"shade:0", None, None, key=True, arrival=stage.clock.monotonic()))
    hold.set()
    await stage.settled()
    assert said == []


async def test_a_look_in_progress_is_overload_only_when_it_takes_long(stage: Stage) -> None:
    await stage.put("shade:0")
    hold = threading.Event()
    stage.workers.submit(FIRST, lambda _: hold.wait(5), cost_s=0)
    stage.clock.advance(10.1)  # its segment came a little late, say
    stage.pipeline.put(Packet(H264, b"shade:0", None, None, key=True, arrival=stage.clock.monotonic()))
    stage.pipeline.judge()
    assert stage.level.reason is None
    stage.clock.advance(1)
    stage.pipeline.judge()
    assert stage.level.reason is Reason.OVERLOAD
    hold.set()
    await stage.settled()
    assert stage.level.reason is None


async def test_the_rest_of_a_segment_that_comes_at_once_confirms_at_once(stage: Stage) -> None:
    stage.pipeline.opened(MediaInfo(H264, "hls", burst_s=4))
    await stage.put("shade:250")
    arrival = stage.clock.monotonic()
    stage.clock.advance(0.7)
    for number in range(1, 20):
        time = MediaTime.of(2 * 90_000 + number * 9_000, Fraction(1, 90_000))
        stage.pipeline.put(Packet(H264, b"shade:250", time, time, key=False, arrival=arrival))
    await stage.settled()
    await stage.settled()
    alarm = stage.of(RuleLevel)[-1]
    assert alarm.level is Level.ALARM
    assert alarm.hits[1].media_s - alarm.hits[0].media_s >= 0.4
    assert [message.gap_s for message in stage.of(Sampled)[1:]] == [None] * (len(stage.scores) - 1)


async def test_a_full_worker_queue_misses_looks_and_says_so(stage: Stage) -> None:
    await asyncio.to_thread(stage.workers.close)
    await stage.put("shade:0")
    assert stage.pipeline.tally.looks_missed == 1
    assert stage.scores == []
    for _ in range(11):
        await stage.put("shade:0", key=False, after=1)
    stage.pipeline.judge()
    assert stage.level.reason is Reason.OVERLOAD


async def test_a_contiguous_look_that_found_no_room_leaves_no_hole_for_the_decoder(stage: Stage) -> None:
    for _ in range(2):
        await stage.put("none")  # keys alone show nothing: decoded contiguously from now on
    room, stage.pipeline._looks._workers = stage.workers, NoRoom()
    await stage.put("shade:0", after=12)
    stage.pipeline._looks._workers = room
    await stage.put("shade:9", key=False, after=0.1)
    assert stage.decoded[-1] == ("feed", 2)  # the key too


async def test_without_a_detector_a_stream_is_blind_not_safe(stage: Stage) -> None:
    stage.pipeline.equip(policies=[], stations=[])
    await stage.put("shade:0")
    assert stage.level.reason is Reason.BLIND
    assert stage.decoded == []


async def test_packets_after_closing_are_ignored(stage: Stage) -> None:
    stage.pipeline.close()
    await stage.put("shade:0")
    assert stage.said == []


# --- novelty and the plan ---------------------------------------------------------------------------------------------


async def groups(stage: Stage, count: int, *, size: int = 400, spike_in: int | None = None) -> None:
    """Groups of pictures of 2 s: a key and seven anchors; in one group the third anchor is far larger."""
    for number in range(count):
        await stage.put("shade:0", after=0.25)
        for anchor in range(7):
            large = number == spike_in and anchor == 2
            await stage.put("shade:0" + " " * (size * 5 if large else size), key=False, after=0.25)


async def test_a_packet_far_larger_than_its_like_brings_the_next_look_forward_to_the_next_key(stage: Stage) -> None:
    await groups(stage, 6, spike_in=5)
    looks = len(stage.scores)
    await stage.put("shade:0", after=0.25)
    gap = stage.of(Sampled)[-1].gap_s
    assert len(stage.scores) == looks + 1
    assert gap is not None
    assert gap < 8


async def test_without_novelty_it_does_not(stage: Stage) -> None:
    spec = replace(stage.pipeline.spec, sampling=replace(SAMPLING, novelty=False))
    stage.pipeline.adopt(spec, reporter=stage.pipeline._report)
    await groups(stage, 6, spike_in=5)
    looks = len(stage.scores)
    await stage.put("shade:0", after=0.25)
    assert len(stage.scores) == looks


async def test_a_stream_says_what_it_asks_for_and_one_that_is_silent_asks_for_nothing(stage: Stage) -> None:
    assert stage.pipeline.load() is None
    for _ in range(8):
        await stage.put("shade:0" + " " * 1000)
    load = stage.pipeline.load()
    assert load is not None
    assert (load.promise_s, load.key_interval_s, load.suspicious) == (8, 2, False)
    stage.pipeline.demand(1.0, for_s=60)
    load = stage.pipeline.load()
    assert load is not None
    assert load.suspicious
    assert load.aim_s < 1
    stage.clock.advance(5)
    assert stage.pipeline.load() is None


async def test_where_suspicion_is_stretched_beyond_the_key_interval_nothing_is_decoded_between_keys(
    stage: Stage,
) -> None:
    await stage.put("shade:0")
    stage.pipeline.demand(1.0, for_s=600)
    stage.pipeline.press(Plan(load=2, thrift=1, suspicion_stretch=10, floor_stretch=2))
    stage.decoded.clear()
    for _ in range(10):
        await stage.put("shade:0")
        for _ in range(7):
            await stage.put("shade:0", key=False, after=0.25)
    assert {word for word, _ in stage.decoded} == {"key"}


# --- what hostile streams do ------------------------------------------------------------------------------------------


async def test_broken_pictures_are_not_looked_at_as_often_as_they_come(stage: Stage) -> None:
    await stage.put("shade:0")
    stage.decoded.clear()
    for _ in range(600):
        await stage.put("bad", after=1 / 60)
    assert len(stage.decoded) <= 6


async def test_leaps_of_the_broadcasters_clock_do_not_spare_him_the_looks_between_keys(stage: Stage) -> None:
    """Clean key pictures, and media time that leaps a minute ahead after each of them."""
    await stage.put("shade:0")
    stage.pipeline.demand(1.0, for_s=600)
    for _ in range(4):
        await stage.put("shade:0", after=0.1)
        stage.media_s += 61
        for _ in range(19):
            await stage.put("shade:250", key=False, after=0.1)
    await stage.settled()
    assert any(level.level is Level.ALARM for level in stage.of(RuleLevel))


async def test_a_flash_of_a_test_card_does_not_use_up_the_second_look_of_another_rule(stage: Stage) -> None:
    often = OpenWhen(score=0.6, hits=2, within_s=10, spacing_s=0.4)
    card = replace(RULE, name="card", open=often, severity=Severity.TEST, kind=Kind.TEST)
    stage.pipeline.equip(policies=[KOfN(RULE), KOfN(card)], stations=[Station(ShadeDetector())])
    for _ in range(4):
        await stage.put("shade:0")
    begun = [word for word, _ in stage.decoded].count("pictures")
    await stage.put("shade:170", after=8)  # suspected by one rule …
    for _ in range(6):
        await stage.put("shade:0", key=False, after=0.1)
    first = [word for word, _ in stage.decoded].count("pictures")
    await stage.put("shade:250", after=1)  # … and then by the other
    for _ in range(6):
        await stage.put("shade:0", key=False, after=0.1)
    assert first > begun
    assert [word for word, _ in stage.decoded].count("pictures") > first


async def test_whoever_suspects_a_picture_sees_what_lies_around_it_though_it_is_not_its_turn(stage: Stage) -> None:
    stage.pipeline.equip(policies=[KOfN(RULE)], stations=[Station(ShadeDetector(), every_s=60)])
    for _ in range(8):
        await stage.put("shade:0")
    stage.pipeline._looks.turns._last.clear()
    for _ in range(19):
        await stage.put("shade:250", key=False, after=0.1)
    await stage.put("shade:250", after=0.1)
    await stage.settled()
    assert stage.of(RuleLevel)[-1].level is Level.ALARM
