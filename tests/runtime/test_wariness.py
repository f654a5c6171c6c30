"""A stream's pipeline and the signs of evasion: real threads and rules, a scripted decoder, a still clock."""

import asyncio
import random
from dataclasses import replace
from fractions import Fraction

import pytest

from streamwatch.domain.decisions import CloseWhen, Kind, Level, OpenWhen, RuleSpec, Severity, Standing
from streamwatch.domain.errors import CodecUnsupported, NotPublished
from streamwatch.domain.evasion import DETECTOR
from streamwatch.domain.media import CodecConfig, MediaInfo, MediaTime, Packet
from streamwatch.domain.streams import Reason, SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.evasion.rules import builtin
from streamwatch.evasion.signs import StreamSigns
from streamwatch.evidence.kofn import KOfN
from streamwatch.link.messages import FromWatcher, RuleLevel, Sampled, StreamLevel
from streamwatch.runtime.pipeline import StreamPipeline
from streamwatch.runtime.report import Reporter
from streamwatch.runtime.turns import Station
from streamwatch.runtime.wariness import Wariness
from streamwatch.runtime.workers import DecodeWorkers
from streamwatch.sampling.adaptive import AdaptiveSampler
from streamwatch.sampling.capacity import Prices
from streamwatch.sources.gop import GopBuffer
from tests.fakes.clock import FakeClock
from tests.fakes.decoder import FakeDecoder
from tests.fakes.detectors import BrightnessDetector, BrokenDetector

H264 = CodecConfig("h264", b"one", 640, 360)
OTHER = CodecConfig("h264", b"other", 640, 360)
STRANGE = CodecConfig("unknown", b"", 640, 360)
SAMPLING = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0, inner=0)
BRIGHT = RuleSpec(
    name="bright",
    detector="brightness",
    label="bright",
    severity=Severity.HIGH,
    kind=Kind.CLASSIFIER,
    open=OpenWhen(score=0.8, hits=2, within_s=10, spacing_s=0.4),
    close=CloseWhen(score=0.6, for_s=30),
    cooldown_s=0,
)


class Stage:
    """A pipeline as the watcher builds it, and everything round it."""

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
            policies=[KOfN(BRIGHT)],
            stations=[Station(BrightnessDetector())],
            buffer=GopBuffer(max_seconds=4, max_bytes=1 << 20),
            workers=self.workers,
            prices=Prices(),
            reporter=Reporter(stream=spec.id, epoch=1, emit=self.said.append, clock=self.clock),
            clock=self.clock,
            loop=asyncio.get_running_loop(),
            wariness=Wariness(StreamSigns(window_s=20), [KOfN(rule) for rule in builtin(Severity.LOW)]),
        )
        self.media_s = 0.0

    async def put(self, data: str, *, key: bool = True, after: float = 2.0, config: CodecConfig = H264,
                  size: int = 0) -> None:  # fmt: skip
        """One packet, `after` seconds after the last, while the pipeline is judged every second."""
        for _ in range(int(after)):
            self.clock.advance(1.0)
            self.pipeline.judge()
        self.clock.advance(after - int(after))
        self.media_s += after
        time = MediaTime.of(round(self.media_s * 90_000), Fraction(1, 90_000))
        packet = Packet(config, data.encode(), time, time, key, self.clock.monotonic())
        if size:
            self.pipeline.skipped(size)
        await asyncio.to_thread(self.pipeline.put, packet)
        await asyncio.to_thread(self.pipeline._looks.wait, 5)
        for _ in range(5):
            await asyncio.sleep(0)

    async def show(self, data: str, seconds: float, **more: object) -> None:
        """A key every two seconds; `scene` is another scene each time."""
        for number in range(round(seconds / 2)):
            await self.put(f"scene:{number}" if data == "scene" else data, **more)  # type: ignore[arg-type]

    def of(self, kind: type[FromWatcher]) -> list[FromWatcher]:
        return [message for message in self.said if isinstance(message, kind)]

    def levels(self, rule: str) -> list[Level]:
        """What was said of a rule, repetitions left out."""
        said = [message.level for message in self.of(RuleLevel) if message.rule == rule]
        return [level for number, level in enumerate(said) if not number or level is not said[number - 1]]

    @property
    def alarms(self) -> set[str]:
        return {message.rule for message in self.of(RuleLevel) if message.level is Level.ALARM}

    @property
    def level(self) -> StreamLevel:
        return self.of(StreamLevel)[-1]


@pytest.fixture
async def stage():
    staged = Stage()
    staged.pipeline.opened(MediaInfo(H264, "rtmp"))
    yield staged
    staged.pipeline.close()
    await asyncio.to_thread(staged.workers.close)


async def test_an_ordinary_stream_alerts_nobody_and_is_covered(stage: Stage) -> None:
    await stage.show("scene", 300, size=50_000)
    assert stage.of(RuleLevel) == []
    assert stage.level.reason is None
    assert not any(message.blind for message in stage.of(Sampled))


async def test_black_is_looked_at_as_ever_and_is_not_seen(stage: Stage) -> None:
    await stage.show("scene", 60)
    looks = len(stage.of(Sampled))
    await stage.show("shade:0", 60)
    samples = stage.of(Sampled)[looks:]
    assert len(samples) == pytest.approx(looks, abs=2)
    assert all(message.blind and not message.corrupt for message in samples[1:])
    assert (stage.level.reason, stage.level.detail) == (Reason.BLIND, "the picture is black")
    assert stage.levels("evasion-black") == [Level.ALARM]
    assert stage.alarms == {"evasion-black"}
    gap_s = samples[-1].gap_s
    assert gap_s is not None
    assert gap_s > 40  # since the newest picture with something in it


async def test_a_black_stream_sees_again_at_its_first_picture(stage: Stage) -> None:
    await stage.show("shade:0", 40)
    assert stage.level.reason is Reason.BLIND
    await stage.show("scene", 10)
    assert stage.level.reason is None
    await stage.show("scene", 100)
    assert stage.levels("evasion-black") == [Level.ALARM, Level.CALM]


async def test_a_look_that_falls_into_a_fade_is_made_good_at_once_and_only_once(stage: Stage) -> None:
    await stage.show("scene", 60)
    looks = len(stage.of(Sampled))
    while len(stage.of(Sampled)) == looks:
        await stage.show("shade:0", 2)
    faded = stage.clock.monotonic()
    while len(stage.of(Sampled)) == looks + 1:
        await stage.show("scene", 2)
    assert stage.clock.monotonic() - faded <= 4
    await stage.show("shade:0", 60)
    assert len(stage.of(Sampled)) <= looks + 2 + 60 / 8 + 2, "black for long is looked at no more often"


async def test_a_moment_of_black_is_not_told(stage: Stage) -> None:
    await stage.show("scene", 30)
    for _ in range(5):
        await stage.show("shade:0", 6)
        await stage.show("scene", 14)
    assert stage.of(RuleLevel) == []
    assert stage.level.reason is None


async def test_pictures_too_small_to_show_anything_are_blind(stage: Stage) -> None:
    tiny = CodecConfig("h264", b"", 20, 20)
    await stage.show("scene", 40, config=tiny)
    assert stage.level.reason is Reason.BLIND
    assert "20 x 20" in stage.level.detail
    assert stage.alarms == {"evasion-dimensions"}


async def test_a_frozen_stream_is_told_and_covered(stage: Stage) -> None:
    await stage.show("scene:7", 90)
    assert stage.level.reason is None
    assert stage.alarms == {"evasion-frozen"}


async def test_evasion_asks_for_no_look_no_look_back_and_no_hurry(stage: Stage) -> None:
    await stage.show("shade:0", 200)
    assert stage.alarms == {"evasion-black"}
    assert all(message.suspicion == 0 for message in stage.of(RuleLevel))
    assert [word for word, _ in stage.decoded].count("pictures") == 0
    assert stage.pipeline._sampler.gap_s == SAMPLING.max_gap_s
    assert len(stage.of(Sampled)) <= 200 / 8 + 1


async def test_an_alert_about_what_was_seen_does_not_close_because_nothing_is(stage: Stage) -> None:
    await stage.show("scene", 20)
    stage.pipeline.restore([Standing(rule="bright", open=True)])
    await stage.show("shade:0", 120)
    assert stage.levels("bright") == [Level.ALARM]
    await stage.show("scene", 60)
    assert stage.levels("bright") == [Level.ALARM, Level.CALM]


async def test_a_hit_counts_in_a_picture_of_one_colour_too(stage: Stage) -> None:
    await stage.show("shade:250", 40)
    assert Level.ALARM in stage.levels("bright")
    assert "evasion-solid" in stage.alarms


async def test_nothing_but_damage_is_told_as_undecodable(stage: Stage) -> None:
    await stage.show("bad", 60)
    assert stage.level.reason is Reason.DECODE
    assert stage.alarms == {"evasion-undecodable"}


async def test_a_detector_that_fails_is_not_laid_to_the_stream(stage: Stage) -> None:
    stage.pipeline.equip(
        policies=[], stations=[Station(BrokenDetector())], wary=[KOfN(r) for r in builtin(Severity.LOW)]
    )
    await stage.show("scene", 80)
    assert stage.level.reason is Reason.DECODE
    assert stage.alarms == set()


async def test_media_without_keys_is_told_as_rare_keys(stage: Stage) -> None:
    await stage.put("scene:1")
    for _ in range(60):
        await stage.put("scene:1", key=False, after=1)
    assert stage.level.reason is Reason.NO_KEYS
    assert stage.alarms == {"evasion-rare-keys"}


async def test_an_unknown_codec_is_told_with_the_time_at_which_it_was_certain(stage: Stage) -> None:
    began = stage.clock.monotonic()
    await stage.show("scene", 90, config=STRANGE)
    assert stage.of(Sampled) == []
    told = next(message for message in stage.of(RuleLevel) if message.rule == "evasion-unknown-codec")
    assert told.first_seen is not None
    assert told.first_seen.arrival - began == pytest.approx(13, abs=2)
    assert {hit.look for hit in told.hits} == {None}
    newest = [message for message in stage.of(RuleLevel) if message.rule == "evasion-unknown-codec"][-1]
    assert newest.last_seen is not None
    assert newest.last_seen.arrival - told.first_seen.arrival >= 10
    await stage.show("scene", 100)
    assert stage.levels("evasion-unknown-codec") == [Level.ALARM, Level.CALM]


async def test_a_stream_that_nobody_can_open_for_its_codec_is_told_though_it_is_never_live(stage: Stage) -> None:
    for _ in range(20):
        stage.pipeline.failed(CodecUnsupported("no decoder for it"))
        stage.clock.advance(1)
        stage.pipeline.judge()
    assert not stage.level.live
    assert stage.alarms == {"evasion-unknown-codec"}
    for _ in range(90):
        stage.pipeline.failed(NotPublished("nobody is there"))
        stage.clock.advance(1)
        stage.pipeline.judge()
    assert stage.levels("evasion-unknown-codec") == [Level.ALARM, Level.CALM]


async def test_another_publisher_in_the_same_session_is_told(stage: Stage) -> None:
    await stage.show("scene", 60)
    stage.media_s = -2.0
    await stage.show("scene", 30, config=OTHER)
    assert len({message.session for message in stage.of(Sampled)}) == 1
    assert stage.alarms == {"evasion-swapped"}


async def test_another_format_alone_and_another_session_are_no_swap(stage: Stage) -> None:
    await stage.show("scene", 60)
    await stage.show("scene", 30, config=OTHER)
    stage.pipeline.finished()
    stage.media_s = -2.0
    await stage.show("scene", 30)
    assert len({message.session for message in stage.of(Sampled)}) == 2
    assert stage.alarms == set()


async def test_sessions_that_never_stay_are_told_in_the_next_which_ends_it_for_the_desk(stage: Stage) -> None:
    for _ in range(4):
        await stage.show("scene", 12)
        stage.pipeline.finished()
        stage.clock.advance(3)
    assert stage.alarms == set()
    await stage.show("scene", 12)
    assert stage.alarms == {"evasion-reconnects"}
    stage.pipeline.finished()
    said = len(stage.of(RuleLevel))
    for _ in range(30):
        stage.clock.advance(1)
        stage.pipeline.judge()
    assert stage.level.ended
    assert len(stage.of(RuleLevel)) == said  # or the desk would open what it has just closed


async def test_a_rate_that_drops_and_stays_low_is_told_and_covered(stage: Stage) -> None:
    await stage.show("scene", 120, size=200_000)
    await stage.show("scene", 60, size=4_000)
    assert stage.alarms == {"evasion-slate"}
    assert stage.level.reason is None


async def test_what_is_fetched_on_demand_has_no_rate(stage: Stage) -> None:
    stage.pipeline.opened(MediaInfo(H264, "hls", burst_s=4, on_demand=True))
    await stage.show("scene", 120, size=200_000)
    await stage.show("scene", 60, size=4_000)
    assert stage.alarms == set()


async def test_a_new_session_begins_without_what_stood(stage: Stage) -> None:
    await stage.show("shade:0", 60)
    stage.pipeline.finished()
    await stage.show("shade:0", 10)
    assert {d.rule for d in stage.pipeline.decisions() if d.level is Level.ALARM} == set()


async def test_other_rules_hear_what_stands(stage: Stage) -> None:
    await stage.show("shade:0", 60)
    black = replace(builtin(Severity.HIGH)[0], name="mine")
    stage.pipeline.equip(policies=[KOfN(BRIGHT)], stations=[Station(BrightnessDetector())], wary=[KOfN(black)])
    await stage.show("shade:0", 4)
    assert "mine" in stage.alarms
    stage.pipeline.equip(policies=[KOfN(BRIGHT)], stations=[Station(BrightnessDetector())])
    assert [decision.rule for decision in stage.pipeline.decisions()] == ["bright"]


async def test_samples_never_bear_what_was_noticed(stage: Stage) -> None:
    await stage.show("shade:0", 60)
    assert {line.detector for message in stage.of(Sampled) for line in message.scores} == {"brightness"}
    assert DETECTOR == "evasion"
