"""Prometheus metrics of the daemon: names and labels of the public interface, every label with a bounded set."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from streamwatch.domain.streams import Reason, State

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the page and tell nothing that `since` does not

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_GAPS = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 12, 15, 20, 30, 60, 120)
_INFERENCE = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1)
_LATENCY = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 60)
_BATCHES = (1, 2, 4, 8, 16, 32)


class _FromCounts(Collector):
    """A counter whose value lives elsewhere, read when it is asked for."""

    def __init__(self, name: str, help_text: str, label: str, values: dict[str, float]) -> None:
        self._name, self._help, self._label, self.values = name, help_text, label, values

    def describe(self) -> list[CounterMetricFamily]:
        """Name and help, without values."""
        return [CounterMetricFamily(self._name, self._help, labels=[self._label])]

    def collect(self) -> list[CounterMetricFamily]:
        """The values now."""
        family = CounterMetricFamily(self._name, self._help, labels=[self._label])
        for label, value in self.values.items():
            family.add_metric([label], value)
        return [family]


class _Gauges(Collector):
    """A gauge whose values are set all at once: what is not among them is gone."""

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...]) -> None:
        self._name, self._help, self._labels = name, help_text, labels
        self.values: dict[tuple[str, ...], float] = {}

    def describe(self) -> list[GaugeMetricFamily]:
        """Name and help, without values."""
        return [GaugeMetricFamily(self._name, self._help, labels=self._labels)]

    def collect(self) -> list[GaugeMetricFamily]:
        """The values now."""
        [family] = self.describe()
        for labels, value in self.values.items():
            family.add_metric(labels, value)
        return [family]


class Metrics:
    """All metrics of one daemon, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.streams = Gauge("streamwatch_streams", "Streams by state", ["state"], registry=registry)
        self.samples = Counter("streamwatch_samples", "Frames scored", ["detector"], registry=registry)
        self.gap = Histogram(
            "streamwatch_sample_gap_seconds",
            "Seconds between the arrivals of two scored frames of a stream",
            buckets=_GAPS,
            registry=registry,
        )
        self.coverage = Gauge(
            "streamwatch_coverage_ratio",
            "Covered share of live stream-seconds in the last minute; 1 where nothing was live",
            registry=registry,
        )
        self.window_coverage = _Gauges(
            "streamwatch_coverage_window_ratio",
            "Covered share of live stream-seconds in the last hour and day, restarts included; NaN: nothing was live",
            ("window",),
        )
        self.origin_coverage = _Gauges(
            "streamwatch_origin_coverage_ratio",
            "The same per origin, of which the configuration names a few",
            ("origin", "window"),
        )
        self.breaches: dict[str, float] = {reason.value: 0 for reason in Reason}
        for gauges in (self.window_coverage, self.origin_coverage):
            registry.register(gauges)
        registry.register(
            _FromCounts(
                "streamwatch_breaches",
                "Promises broken: live streams without an examined frame for longer than max_gap, by its first reason",
                "reason",
                self.breaches,
            ),
        )
        self.uncovered: dict[str, float] = {reason.value: 0.0 for reason in Reason}
        registry.register(
            _FromCounts("streamwatch_uncovered_seconds", "Live seconds not covered", "reason", self.uncovered),
        )
        self.decode = Counter("streamwatch_decode_seconds", "Processor seconds spent decoding", registry=registry)
        self.cpu = Counter(
            "streamwatch_watcher_cpu_seconds",
            "Processor seconds of the watchers: receive (with all that is not named), decode, scale, infer, inner",
            ["part"],
            registry=registry,
        )
        self.load = Gauge(
            "streamwatch_load",
            "Looks that the promises ask for, as a share of what the fullest watcher can take",
            registry=registry,
        )
        self.stretch = Gauge(
            "streamwatch_stretch",
            "By how much the fullest watcher stretches gaps: of calm streams (floor), of suspicious ones (suspicion)",
            ["claim"],
            registry=registry,
        )
        self.inference = Histogram(
            "streamwatch_inference_seconds",
            "Processor seconds per scored frame and detector",
            buckets=_INFERENCE,
            registry=registry,
        )
        self.batch = Histogram(
            "streamwatch_inference_batch_size",
            "Frames scored together",
            buckets=_BATCHES,
            registry=registry,
        )
        self.alerts = Counter("streamwatch_alerts", "Alert events", ["severity", "event"], registry=registry)
        self.latency = Histogram(
            "streamwatch_alert_latency_seconds",
            "From the arrival of the first triggering packet to the hand-over to the broker",
            buckets=_LATENCY,
            registry=registry,
        )
        self.pending = Gauge("streamwatch_ledger_pending", "Alert events not yet acknowledged", registry=registry)
        self.oldest = Gauge("streamwatch_ledger_oldest_seconds", "Age of the oldest of them", registry=registry)
        self.verdicts = Counter(
            "streamwatch_verdicts",
            "What people said of alerts, by rule: confirm over confirm and dismiss is the rule's precision",
            ["rule", "verdict"],
            registry=registry,
        )
        self.held: dict[str, float] = {}
        registry.register(
            _FromCounts(
                "streamwatch_alarms_held", "Alarms, as repeated, that opened no alert of their own", "reason", self.held
            )
        )
        self.on_duty = Gauge("streamwatch_moderators_on_duty", "People who said that they are there", registry=registry)
        self.evicted = Counter(
            "streamwatch_ledger_evicted",
            "Closed alerts and undelivered steps given up because the ledger was full",
            ["severity"],
            registry=registry,
        )
        self.connected = Gauge("streamwatch_mqtt_connected", "1 while a broker accepts messages", registry=registry)
        self.restarts = Counter(
            "streamwatch_watcher_restarts",
            "Watchers started again",
            ["reason"],
            registry=registry,
        )
        self.received: dict[str, float] = dict.fromkeys(("rtmp", "hls", "rtsp", "srt", "file"), 0.0)
        registry.register(
            _FromCounts("streamwatch_received_bytes", "Bytes of media received", "transport", self.received),
        )
        self.commands = Counter(
            "streamwatch_commands",
            "Commands received, by verb and result",
            ["verb", "result"],
            registry=registry,
        )
        self.signals = Counter(
            "streamwatch_signals",
            "Risk signals received from other systems, by result",
            ["result"],
            registry=registry,
        )
        self.dropped = Counter("streamwatch_dropped", "Things given up, by kind", ["what"], registry=registry)
        for state in State:
            self.streams.labels(state.value).set(0)

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self._registry)
