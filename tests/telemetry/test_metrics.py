from prometheus_client.parser import text_string_to_metric_families

from streamwatch.domain.streams import Reason, State
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics

PUBLIC = {
    "streamwatch_streams": "gauge",
    "streamwatch_samples": "counter",
    "streamwatch_sample_gap_seconds": "histogram",
    "streamwatch_coverage_ratio": "gauge",
    "streamwatch_uncovered_seconds": "counter",
    "streamwatch_decode_seconds": "counter",
    "streamwatch_inference_seconds": "histogram",
    "streamwatch_inference_batch_size": "histogram",
    "streamwatch_alerts": "counter",
    "streamwatch_alert_latency_seconds": "histogram",
    "streamwatch_ledger_pending": "gauge",
    "streamwatch_ledger_oldest_seconds": "gauge",
    "streamwatch_mqtt_connected": "gauge",
    "streamwatch_watcher_restarts": "counter",
    "streamwatch_received_bytes": "counter",
    "streamwatch_coverage_window_ratio": "gauge",
    "streamwatch_origin_coverage_ratio": "gauge",
    "streamwatch_breaches": "counter",
}


def test_every_public_metric_is_there_with_its_type() -> None:
    families = {f.name: f.type for f in text_string_to_metric_families(Metrics().render().decode())}
    assert PUBLIC.items() <= families.items()


def test_closed_label_sets_are_complete_from_the_start() -> None:
    text = Metrics().render().decode()
    for state in State:
        assert f'streamwatch_streams{{state="{state.value}"}} 0.0' in text
    for reason in Reason:
        assert f'streamwatch_uncovered_seconds_total{{reason="{reason.value}"}} 0.0' in text
        assert f'streamwatch_breaches_total{{reason="{reason.value}"}} 0.0' in text


def test_an_origin_that_is_gone_is_no_longer_measured() -> None:
    metrics = Metrics()
    metrics.origin_coverage.values = {("static", "1m"): 1.0, ("edge", "1m"): 0.5}
    assert 'streamwatch_origin_coverage_ratio{origin="edge",window="1m"} 0.5' in metrics.render().decode()
    metrics.origin_coverage.values = {("static", "1m"): 1.0}
    assert '"edge"' not in metrics.render().decode()


def test_health_speaks_on_its_edges() -> None:
    health = Health()
    health.changed = False
    health.mend("mqtt")
    assert (health.state, health.changed) == ("online", False)
    health.degrade("mqtt", "away")
    assert (health.state, health.reasons, health.changed) == ("degraded", ("mqtt: away",), True)
    health.changed = False
    health.degrade("mqtt", "away")
    assert not health.changed
    health.mend("mqtt")
    assert (health.state, health.changed) == ("online", True)
