import pytest

from streamwatch.config.specs import rule_specs, sampling_spec, stream_specs
from streamwatch.domain.decisions import CloseWhen, Kind, OpenWhen, RuleSpec, Severity
from streamwatch.domain.streams import Audience, SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from tests.config.conftest import HEAD, MINIMAL


def test_the_smallest_file_gives_these_values(desk):
    config = desk.load(MINIMAL).config
    sampling = SamplingSpec(
        max_gap_s=10.0, min_gap_s=0.5, lookback_s=4.0, novelty=True, jitter=0.1, inner=0.05, young_s=60
    )
    assert sampling_spec(config) == sampling
    assert stream_specs(config) == (
        StreamSpec(
            id=StreamId("lobby"),
            url=SafeUrl("rtmp://127.0.0.1:1935/live/lobby"),
            sampling=sampling,
            name="lobby",
            end_after_s=300.0,
        ),
    )
    assert rule_specs(config, {}) == (
        RuleSpec(
            name="test-card",
            detector="test-card",
            label="test_card",
            severity=Severity.TEST,
            kind=Kind.TEST,
            open=OpenWhen(score=0.8, hits=2, within_s=10.0, spacing_s=0.4),
            close=CloseWhen(score=0.5, for_s=30.0),
            cooldown_s=30.0,
        ),
    )


def test_a_stream_changes_only_what_it_says(desk):
    config = desk.load(
        HEAD + "sampling: {lookback: 2s, novelty: on}\n"
        "streams:\n  - {id: a, url: /x, sampling: {max_gap: 3s, novelty: off, jitter: 0}, weight: 2, fallback: yes,\n"
        "     end_after: 1m, tests: no, audience: private, legal_basis: b, age_band: minor, watch_url: 'https://h/a'}\n"
    ).config
    (stream,) = stream_specs(config)
    assert stream.sampling == SamplingSpec(
        max_gap_s=3.0, min_gap_s=0.5, lookback_s=2.0, novelty=False, jitter=0.0, inner=0.05, young_s=60
    )
    assert (stream.weight, stream.fallback, stream.end_after_s, stream.tests) == (4.0, True, 60.0, False)
    assert (stream.audience, stream.watch_url) == (Audience.PRIVATE, "https://h/a")


@pytest.mark.parametrize(("band", "weight"), [("unknown", 1.5), ("adult", 1.5), ("mixed", 2.25), ("minor", 3.0)])
def test_an_age_band_only_ever_raises_the_weight_and_goes_no_further(desk, band, weight):
    config = desk.load(HEAD + f"streams: [{{id: a, url: /x, weight: 1.5, age_band: {band}}}]\n").config
    (stream,) = stream_specs(config)
    assert stream.weight == weight
    assert "band" not in repr(stream)


@pytest.mark.parametrize(
    ("severity", "kind", "cooldown_s"),
    [("urgent", Kind.KNOWN_CONTENT, 0.0), ("high", Kind.KNOWN_CONTENT, 30.0), ("test", Kind.TEST, 30.0)],
)
def test_kind_and_rest_follow_from_the_severity(desk, severity, kind, cooldown_s):
    text = (
        HEAD + f"detectors: [{{name: d, kind: x}}]\nrules: [{{name: r, detector: d, label: l, severity: {severity}}}]\n"
    )
    (rule,) = rule_specs(desk.load(text).config, {"d": Kind.KNOWN_CONTENT})
    assert (rule.kind, rule.cooldown_s) == (kind, cooldown_s)


def test_a_rest_that_is_asked_for_holds_for_urgent_rules_too(desk):
    text = HEAD + "detectors: [{name: d, kind: x}]\n"
    text += "rules: [{name: r, detector: d, label: l, severity: urgent, cooldown: 5s}]\n"
    assert rule_specs(desk.load(text).config, {"d": Kind.CLASSIFIER})[0].cooldown_s == 5.0


def test_a_detector_without_a_kind_is_a_mistake_of_ours(desk):
    text = HEAD + "detectors: [{name: d, kind: x}]\nrules: [{name: r, detector: d, label: l, severity: low}]\n"
    with pytest.raises(KeyError):
        rule_specs(desk.load(text).config, {})
