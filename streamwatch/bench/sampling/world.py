"""A watcher on a fake clock: real pipelines, samplers, schedule, planner and policies; decoding is only charged for.

A look runs when a worker takes it and is over when the time that it costs has passed. What a picture shows is the
moment it is from, so that a script can score it. One thread, no real time, no pixels, the same for the same seed.
"""

from __future__ import annotations

import functools
import heapq
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from streamwatch.bench.sampling.prices import BETWEEN_S_PER_BYTE, KEY_S_PER_BYTE, SCORE_S
from streamwatch.bench.sampling.traces import Trace
from streamwatch.detectors.base import DetectorInfo
from streamwatch.domain.decisions import CloseWhen, Kind, OpenWhen, RuleSpec, Severity
from streamwatch.domain.media import Aim, CodecConfig, MediaInfo, MediaTime, Packet, Scores
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.evidence.kofn import KOfN
from streamwatch.link.messages import RuleLevel, Sampled, StreamLevel
from streamwatch.runtime.burden import Burden
from streamwatch.runtime.look import Seen
from streamwatch.runtime.looks import Looked
from streamwatch.runtime.pipeline import StreamPipeline
from streamwatch.runtime.planner import Planner
from streamwatch.runtime.report import Reporter
from streamwatch.runtime.turns import Station
from streamwatch.runtime.workers import DecoderCache, Job, WorkerStatistics
from streamwatch.sampling.adaptive import AdaptiveSampler
from streamwatch.sampling.capacity import Prices
from streamwatch.sampling.schedule import Schedule, Wish
from streamwatch.sources.gop import GopBuffer

if TYPE_CHECKING:
    import asyncio

    from numpy.typing import NDArray

MS: Final = Fraction(1, 1000)
RULE: Final = RuleSpec(
    name="found",
    detector="script",
    label="event",
    severity=Severity.HIGH,
    kind=Kind.CLASSIFIER,
    open=OpenWhen(score=0.8, hits=2, within_s=10.0, spacing_s=0.4),
    close=CloseWhen(score=0.5, for_s=15.0),
    cooldown_s=0.0,
)
"""Two hits 400 ms apart, as the defaults have it."""
_BUFFER_BYTES: Final = 16 << 20
_CONFIG: Final = CodecConfig("h264", b"", 640, 360)
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)

Script = Callable[[float], float]
"""From a moment of a stream's media, in seconds, to the score of its picture."""
Told = StreamLevel | Sampled | RuleLevel


class _Bulk:
    """Bytes that are not there: as long as a packet's."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


class FakeTime:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.at

    def now(self) -> datetime:
        """See `Clock.now`."""
        return _EPOCH + timedelta(seconds=self.at)

    async def sleep(self, seconds: float) -> None:
        """Nobody sleeps here."""
        raise NotImplementedError


class _Picture(NamedTuple):
    """A decoded frame that consists of the moment it shows."""

    pts: MediaTime
    size: tuple[int, int] = (640, 360)
    corrupt: bool = False

    def rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        """See `Picture.rgb`: one pixel, whose three levels say which millisecond it is."""
        del width, height
        return np.frombuffer(self.pts.ticks.to_bytes(3, "big"), np.uint8).reshape(1, 1, 3).copy()

    def forget(self) -> None:
        """See `Picture.forget`: nothing is kept."""


class _Decoder:
    """Charges for what a decoder would take."""

    def __init__(self, charge: Callable[[float], None]) -> None:
        self._charge = charge

    def key(self, packet: Packet) -> _Picture | None:
        self._charge(packet.size * KEY_S_PER_BYTE + SCORE_S)
        assert packet.pts is not None  # noqa: S101 - ours have one
        return _Picture(packet.pts)

    def feed(self, packets: Sequence[Packet]) -> _Picture | None:
        self._charge(_bytes(packets) * BETWEEN_S_PER_BYTE + SCORE_S)
        return _Picture(max(packet.pts for packet in packets if packet.pts is not None))

    def pictures(self, packets: Sequence[Packet], wanted: Collection[MediaTime]) -> Iterator[_Picture]:
        left = set(wanted)
        for packet in packets:
            self._charge(packet.size * BETWEEN_S_PER_BYTE)
            if packet.pts in left:
                left.discard(packet.pts)
                self._charge(SCORE_S)
                yield _Picture(packet.pts)
            if not left:
                return

    def reset(self) -> None:
        """Nothing is kept."""


class _Detector:
    """Scores by script."""

    info = DetectorInfo("script", "1", "0" * 64, ("event",), 1, 1)

    def __init__(self, script: Script) -> None:
        self._script = script

    def score(self, picture: NDArray[np.uint8]) -> Scores:
        return Scores("script", (("event", self._script(int.from_bytes(picture.tobytes(), "big") / 1000)),))

    def close(self) -> None:
        """Nothing is held."""


class _KnownBurden(Burden):
    """Learns what was charged, since what the fakes take on the real machine says nothing."""

    def __init__(self, prices: Prices, now: float, *, speed: float) -> None:
        super().__init__(prices, now)
        self._speed = speed

    def looked(self, seen: Seen, looked: Looked) -> None:
        """See `Burden.looked`."""
        key = looked.aim is Aim.KEY
        size, rate = (looked.packet.size, KEY_S_PER_BYTE) if key else (looked.size, BETWEEN_S_PER_BYTE)
        charged = replace(seen, decode_s=size * rate / self._speed, scale_s=SCORE_S / self._speed, infer_s=())
        super().looked(charged, looked)


@dataclass(frozen=True, slots=True)
class Cast:
    """One stream of the world."""

    trace: Trace
    spec: SamplingSpec
    script: Script = lambda _: 0.0
    offset: float = 0.0
    """Seconds of the trace that passed before the world began; it is shown over and over."""
    begins: float = 0.0
    ends: float = float("inf")
    """World seconds between which it is live."""


class World:
    """Some streams on some workers. `speed`: of a worker; 1 is what the prices say."""

    def __init__(
        self,
        streams: Sequence[Cast],
        *,
        told: Callable[[float, Told], None],
        workers: int = 1,
        speed: float = 1.0,
        seed: int = 1,
        around_sampler: Callable[[Any], Any] = lambda inner: inner,
        around_schedule: Callable[[Any], Any] = lambda inner: inner,
    ) -> None:
        """`told` hears all that the watcher says, with the time at which it says it. `around_…`: for measuring."""
        self.time = FakeTime()
        self._speed = speed
        self.spent_s = 0.0
        """Worker time that looks took."""
        self._told = told
        self._count = workers
        self._free = workers
        self._schedule: Schedule[tuple[Job, float]] = around_schedule(Schedule())
        self._around_sampler = around_sampler
        self._charged = 0.0
        self._cache = DecoderCache(lambda _: cast("Any", _Decoder(self._charge)))
        self._prices = Prices()
        self.planner = Planner(self._prices)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._later: list[tuple[Callable[..., None], tuple[object, ...]]] | None = None
        rng = random.Random(seed)  # noqa: S311 - a simulation
        self.pipelines = [self._pipeline(number, one, rng) for number, one in enumerate(streams)]
        for number, one in enumerate(streams):
            self._at(one.begins, _Feeder(self, self.pipelines[number], one).step)
        self._at(1.0, self._second)

    def run(self, until: float) -> None:
        """Let time pass."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, step = heapq.heappop(heap)
            self.time.at = max(self.time.at, at)
            step()
        self.time.at = until

    # --- what pipelines see -----------------------------------------------------------------------------------------

    def submit(self, wish: Wish, job: Job, *, cost_s: float) -> bool:
        """See `Workers.submit`."""
        self._schedule.put(wish, (job, cost_s))
        self._begin()
        return True

    def call_soon_threadsafe(self, callback: Callable[..., None], *args: object) -> None:
        """What a look tells is heard when it is over; all else at once, after what is being done."""
        if self._later is not None:
            self._later.append((callback, args))
        else:
            self._at(self.time.at, lambda: callback(*args))

    # --- within -----------------------------------------------------------------------------------------------------

    def _pipeline(self, number: int, one: Cast, rng: random.Random) -> StreamPipeline:
        name = StreamId(f"stream {number}")
        spec = StreamSpec(id=name, url=SafeUrl("rtmp://127.0.0.1/live/x"), sampling=one.spec, name=name)
        reporter = Reporter(
            stream=name, epoch=1, emit=lambda message: self._told(self.time.at, message), clock=self.time
        )
        return StreamPipeline(
            spec,
            sampler=self._around_sampler(AdaptiveSampler(one.spec, rng=random.Random(rng.random()))),  # noqa: S311
            policies=(KOfN(RULE),),
            stations=(Station(_Detector(one.script)),),
            buffer=GopBuffer(
                max_seconds=one.spec.lookback_s,
                max_bytes=_BUFFER_BYTES,
                group_seconds=one.spec.max_gap_s * 1.25 + 2.0,
            ),
            workers=self,
            prices=self._prices,
            make_burden=functools.partial(_KnownBurden, speed=self._speed),
            reporter=reporter,
            clock=self.time,
            loop=cast("asyncio.AbstractEventLoop", self),
        )

    def _charge(self, seconds: float) -> None:
        self._charged += seconds

    def _begin(self) -> None:
        while self._free and (taken := self._schedule.take(self.time.at)) is not None:
            job, cost_s = taken.item
            self._schedule.spent(taken.claim, cost_s)
            self._free -= 1
            self._charged, self._later = 0.0, []
            job(self._cache)
            took, heard = self._charged / self._speed, self._later
            self._later = None
            self.spent_s += took
            self._schedule.spent(taken.claim, took - cost_s)
            self._at(self.time.at + took, lambda heard=heard: self._over(heard))  # type: ignore[misc]

    def _over(self, heard: list[tuple[Callable[..., None], tuple[object, ...]]]) -> None:
        self._free += 1
        for callback, args in heard:
            callback(*args)
        self._begin()

    def _second(self) -> None:
        statistics = WorkerStatistics(len(self._schedule), 0.0, 0, self.spent_s, self.spent_s)
        self._schedule.press(self.planner.look_ahead(self.pipelines, statistics, self._count, now=self.time.at))
        self._at(self.time.at + 1.0, self._second)

    def _at(self, when: float, step: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (when, self._order, step))


class _Feeder:
    """Gives one stream its packets."""

    def __init__(self, world: World, pipeline: StreamPipeline, one: Cast) -> None:
        self._world, self._pipeline, self._one = world, pipeline, one
        trace = one.trace
        self._next = next((n for n, at in enumerate(trace.arrivals) if at >= one.offset and trace.keys[n]), 0)
        self._base = one.begins - trace.arrivals[self._next]
        self._opened = False

    def step(self) -> None:
        """One packet, and the next one's time."""
        one, trace, n = self._one, self._one.trace, self._next
        if not self._opened:
            self._opened = True
            self._pipeline.opened(MediaInfo(_CONFIG, "rtmp", fps=25.0))
        at = trace.arrivals[n] + self._base
        if at >= one.ends:
            self._pipeline.finished()
            return
        pts = MediaTime(round(1000 * (trace.shown[n] + self._base)), MS)
        dts = MediaTime(round(1000 * at), MS)
        data = cast("bytes", _Bulk(trace.sizes[n]))
        self._pipeline.put(Packet(_CONFIG, data, pts, dts, trace.keys[n], at))
        self._next += 1
        if self._next == len(trace.arrivals):
            self._next = 0
            self._base += trace.plot.seconds
        self._world._at(trace.arrivals[self._next] + self._base, self.step)  # noqa: SLF001 - a part of the world


def _bytes(packets: Sequence[Packet]) -> int:
    return sum(packet.size for packet in packets)
