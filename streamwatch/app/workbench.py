"""Composition of the watcher process: the one place that knows its readers, decoder, detectors and policies."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from streamwatch.detectors import registry
from streamwatch.detectors.base import Detector
from streamwatch.domain.clock import Clock, SystemClock
from streamwatch.domain.decisions import CloseWhen, Mode, OpenWhen, RuleSpec, Standing
from streamwatch.domain.errors import LinkClosed, LinkError, LinkViolation
from streamwatch.domain.evasion import DETECTOR as EVASION
from streamwatch.domain.media import CodecConfig
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl, printable
from streamwatch.evasion.signs import StreamSigns
from streamwatch.evidence.kofn import KOfN
from streamwatch.link.blackbox import BlackBox
from streamwatch.link.messages import (
    Configure,
    DetectorSettings,
    Failed,
    Found,
    FromWatcher,
    Inspect,
    Layer,
    LoadedDetector,
    RuleSettings,
    ToWatcher,
)
from streamwatch.link.transport import Link
from streamwatch.runtime.pipeline import StreamPipeline
from streamwatch.runtime.planner import Planner
from streamwatch.runtime.report import Reporter
from streamwatch.runtime.supervise import keep
from streamwatch.runtime.turns import Station
from streamwatch.runtime.wariness import Wariness
from streamwatch.runtime.workers import DecoderCache, DecodeWorkers, Job, WorkerStatistics
from streamwatch.sampling.adaptive import AdaptiveSampler
from streamwatch.sampling.capacity import CALM, Plan, Prices
from streamwatch.sampling.schedule import Wish
from streamwatch.sandbox.memory import not_wiping
from streamwatch.sandbox.report import LayerState
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.base import Decoder, Reader
from streamwatch.sources.decoder import make_decoder
from streamwatch.sources.fallback.reader import PyavReader
from streamwatch.sources.gop import GopBuffer
from streamwatch.sources.probe import probe
from streamwatch.sources.rtmp.reader import RtmpReader
from streamwatch.telemetry import logs, redact
from streamwatch.watcher.service import WatcherService, rss_bytes

log = structlog.get_logger(__name__)

BUFFER_BYTES = 8 * 1024 * 1024
"""Compressed tail per stream at most; 4 s of 1080p take 1.8 MB."""

_COLLECT_AFTER = (20_000, 10, 10)
"""Thresholds of the collector's generations, in allocations and in collections of the generation before."""


class Workbench:
    """Builds pipelines from the detectors and rules in force. Event loop only."""

    def __init__(
        self,
        *,
        emit: Callable[[FromWatcher], None],
        black_box: BlackBox,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._emit = emit
        self._black_box = black_box
        self._clock = clock
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._orders: Configure | None = None
        self._loaded: dict[DetectorSettings, Detector] = {}
        self._workers: DecodeWorkers | None = None
        self._prices = Prices()
        self._planner = Planner(self._prices)

    # --- furnishing ------------------------------------------------------------------------------------------------

    async def configure(self, orders: Configure) -> tuple[LoadedDetector, ...]:
        """Load what is new, keep what stays, and only then let go of what is gone. Raises ModelError."""
        loaded: dict[DetectorSettings, Detector] = {}
        for settings in orders.detectors:
            known = self._loaded.get(settings)
            loaded[settings] = await asyncio.to_thread(_load, settings) if known is None else known
        gone = [detector for settings, detector in self._loaded.items() if settings not in loaded]
        self._loaded, self._orders = loaded, orders
        if self._workers is None:
            self._workers = DecodeWorkers(orders.decode_workers, self._decoder, clock=self._clock)
        for detector in gone:
            detector.close()
        del gone
        _settle_memory()
        return tuple(
            LoadedDetector(
                name=detector.info.name,
                version=detector.info.version,
                sha256=detector.info.sha256,
                labels=detector.info.labels,
            )
            for detector in loaded.values()
        )

    def statistics(self) -> WorkerStatistics:
        """How busy the decode workers are."""
        return self._workers.statistics() if self._workers else WorkerStatistics(0, 0.0, 0)

    def plan(self, pipelines: Iterable[StreamPipeline]) -> Plan:
        """Say what gives way until the next plan, if anything must."""
        if self._workers is None:
            return CALM
        made = self._planner.look_ahead(
            pipelines, self._workers.statistics(), self._workers.count, now=self._clock.monotonic()
        )
        self._workers.press(made)
        return made

    @property
    def stuck_readers(self) -> int:
        """Readers' threads that were let go and do not end."""
        return PyavReader.abandoned

    def close(self) -> None:
        """Stop the workers, then give back the detectors they use."""
        if self._workers is not None:
            self._workers.close()
        for detector in self._loaded.values():
            detector.close()

    # --- building --------------------------------------------------------------------------------------------------

    def build(
        self,
        spec: StreamSpec,
        epoch: int,
        standing: Sequence[Standing],
        session: str,
    ) -> tuple[StreamPipeline, Coroutine[None, None, None]]:
        """Build a pipeline and the work that keeps it connected."""
        if self._workers is None:
            raise LinkViolation("a stream was assigned before this watcher was configured")
        redact.learn_address(spec.url, spec.id, spec.name)
        pipeline = StreamPipeline(
            spec,
            sampler=AdaptiveSampler(spec.sampling, rng=self._rng, weight=spec.weight, young=not session),
            policies=self._policies(),
            stations=self._stations(),
            buffer=_buffer(spec),
            workers=_Recorded(self._workers, self._black_box, epoch),
            prices=self._prices,
            reporter=self._reporter(spec, epoch),
            clock=self._clock,
            loop=self._loop,
            session=session,
            wariness=Wariness(StreamSigns(window_s=self._window_s(spec)), self._wary()),
        )
        pipeline.restore(standing)
        return pipeline, keep(pipeline, lambda: self._reader(spec), clock=self._clock, rng=self._rng)

    def adopt(self, pipeline: StreamPipeline, spec: StreamSpec, epoch: int) -> None:
        """Give a pipeline changed settings that need no new connection."""
        pipeline.adopt(spec, reporter=self._reporter(spec, epoch))

    def equip(self, pipeline: StreamPipeline) -> None:
        """Give a pipeline the detectors and rules now in force."""
        pipeline.equip(policies=self._policies(), stations=self._stations(), wary=self._wary())

    async def inspect(self, orders: Inspect) -> Found:
        """Look at an address and say what is there."""
        spec = _to_inspect(SafeUrl(orders.url))
        return await probe(self._reader(spec), self._decoder, seconds=orders.seconds, clock=self._clock)

    def _reader(self, spec: StreamSpec) -> Reader:
        """The way of reading that suits the address: our own where there is one and nobody forces the fallback."""
        allowed = self._orders.allow_hosts if self._orders else ()
        policy = AddressPolicy(spec.url, allow_hosts=allowed)
        if not spec.fallback:
            match spec.url.scheme:
                case "rtmp" | "rtmps":
                    return RtmpReader(spec, policy=policy, clock=self._clock)
                case "http" | "https":
                    from streamwatch.sources.hls.reader import HlsReader  # noqa: PLC0415 - 8 MB, for HLS alone

                    lines = max((detector.info.height for detector in self._loaded.values()), default=1)
                    return HlsReader(spec, policy=policy, clock=self._clock, min_height=lines)
        return PyavReader(spec, policy=policy, clock=self._clock, max_pixels=self._max_pixels)

    def _decoder(self, config: CodecConfig) -> Decoder:
        return make_decoder(config, max_pixels=self._max_pixels)

    @property
    def _max_pixels(self) -> int:
        return self._orders.max_pixels if self._orders else 1

    def _stations(self) -> tuple[Station, ...]:
        return tuple(Station(detector, settings.every_s) for settings, detector in self._loaded.items())

    def _policies(self) -> tuple[KOfN, ...]:
        """One policy per rule; rules of shadow detectors are scored and counted, and judge nothing."""
        if self._orders is None:
            return ()
        active = {settings.name for settings in self._loaded if settings.mode is Mode.ACTIVE}
        return tuple(KOfN(_rule(rule)) for rule in self._orders.rules if rule.detector in active)

    def _wary(self) -> tuple[KOfN, ...]:
        """One policy per rule about evasion, which is found without any detector."""
        rules = self._orders.rules if self._orders else ()
        return tuple(KOfN(_rule(rule)) for rule in rules if rule.detector == EVASION)

    def _window_s(self, spec: StreamSpec) -> float:
        """The longest that a suspicion takes to be confirmed: the wait for a first look, and a rule's span."""
        rules = self._orders.rules if self._orders else ()
        spans = (rule.open_within_s for rule in rules if rule.detector != EVASION)
        return spec.sampling.max_gap_s + max(spans, default=0.0)

    def _reporter(self, spec: StreamSpec, epoch: int) -> Reporter:
        return Reporter(stream=spec.id, epoch=epoch, emit=self._emit, clock=self._clock)


class _Recorded:
    """The decode workers, with each look of one assignment noted in the black box: if it kills us, the daemon knows."""

    def __init__(self, workers: DecodeWorkers, black_box: BlackBox, epoch: int) -> None:
        self._workers = workers
        self._black_box = black_box
        self._epoch = epoch

    def submit(self, wish: Wish, job: Job, *, cost_s: float) -> bool:
        def recorded(cache: DecoderCache) -> None:
            with self._black_box.looking(self._epoch):
                job(cache)

        return self._workers.submit(wish, recorded, cost_s=cost_s)


def serve(link_fd: int, *, layers: Sequence[LayerState], refusal: str, black_box: BlackBox, log_level: str) -> None:
    """Run the watcher over this link until it ends."""
    logs.configure(process="watcher", form="json", level=log_level)
    logs.catch_all()
    asyncio.run(_serve(link_fd, layers=layers, refusal=refusal, black_box=black_box))


async def _serve(link_fd: int, *, layers: Sequence[LayerState], refusal: str, black_box: BlackBox) -> None:
    link = await Link.to_daemon(link_fd)
    if refusal:
        link.post(Failed(what="sandbox", detail=printable(refusal, 300)))
        await link.close()
        return
    log.info(
        "sandbox",
        **{layer.name: layer.word if layer.in_force else f"{layer.word}: {layer.detail}" for layer in layers},
    )

    def emit(message: FromWatcher) -> None:
        try:
            link.post(message)
        except LinkClosed:
            pass  # the daemon is gone; the service sees the same and ends
        except LinkError as error:
            log.error("report lost", what=message.type, error=str(error))
            link.abort()

    clock = SystemClock()
    workshop = Workbench(emit=emit, black_box=black_box, clock=clock, rng=random.SystemRandom())
    service = WatcherService(
        _Wire(link, emit),
        workshop,
        layers=tuple(Layer(name=s.name, in_force=s.in_force, detail=printable(s.detail, 300)) for s in layers),
        pid=os.getpid(),
        clock=clock,
        rss=rss_bytes,
    )
    try:
        await service.run()
    finally:
        await link.close()


class _Wire:
    """The link as the service sees it: saying something never fails."""

    def __init__(self, link: Link[ToWatcher], emit: Callable[[FromWatcher], None]) -> None:
        self._link = link
        self.post = emit

    async def receive(self) -> ToWatcher:
        return await self._link.receive()


def _settle_memory() -> None:
    """Give back to the system what loading a model took and left: about half of what the engine holds after it.

    What is there now stays, so later collections need not walk through it; and a look-back is a hundred thousand small
    tuples that go by themselves, so they need not be walked through every few milliseconds either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    with suppress(OSError, AttributeError):  # not the GNU library: it keeps what it has
        ctypes.CDLL(None).malloc_trim(0)


def _buffer(spec: StreamSpec) -> GopBuffer:
    """The look-back; of a stream with rare keys so much that a look between them can begin when its gap is over."""
    sampling = spec.sampling
    return GopBuffer(
        max_seconds=sampling.lookback_s,
        max_bytes=BUFFER_BYTES,
        group_seconds=sampling.max_gap_s * 1.25 + 2.0,
        bursts=spec.url.scheme in ("http", "https"),
    )


def _load(settings: DetectorSettings) -> Detector:
    with not_wiping():
        return registry.build(
            name=settings.name,
            kind=settings.kind,
            folder=Path(settings.folder),
            sha256=settings.sha256,
        )


def _rule(settings: RuleSettings) -> RuleSpec:
    return RuleSpec(
        name=settings.name,
        detector=settings.detector,
        label=settings.label,
        severity=settings.severity,
        kind=settings.kind,
        open=OpenWhen(settings.open_score, settings.open_hits, settings.open_within_s, settings.open_spacing_s),
        close=CloseWhen(settings.close_score, settings.close_for_s),
        cooldown_s=settings.cooldown_s,
    )


def _to_inspect(url: SafeUrl) -> StreamSpec:
    sampling = SamplingSpec(max_gap_s=10, min_gap_s=1, lookback_s=0, novelty=False, jitter=0, inner=0)
    return StreamSpec(id=StreamId("probe"), url=url, sampling=sampling, name="probe", fast=True)
