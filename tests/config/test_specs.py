import pytest

from streamwatch.config.specs import rule_specs, sampling_spec, stream_specs
from streamwatch.domain.decisions import CloseWhen, Kind, OpenWhen, RuleSpec, Severity
from streamwatch.domain.streams import Audience, SamplingSpec, StreamId, StreamSpec, topic_sid
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


KEYED = "privacy: {stream_ids: keyed, key: 0123456789abcdef, names: %s}\n"
CANARY = "streams: [{id: canary, url: /x, watch_url: '%s'}]\n"


@pytest.mark.parametrize("names", ["shown", "hidden"])
def test_with_keyed_ids_a_stream_has_no_other_id(desk, names):
    (stream,) = stream_specs(desk.load(HEAD + KEYED % names + CANARY % "https://h/canary").config)
    assert stream.id == topic_sid(stream.id) == topic_sid("canary", b"0123456789abcdef")
    assert (stream.name, stream.watch_url) == {
        "shown": ("canary", "https://h/canary"),
        "hidden": (stream.id, ""),
    }[names]


def test_another_key_gives_another_id(desk):
    (one,) = stream_specs(desk.load(HEAD + KEYED % "shown" + CANARY % "https://h/").config)
    (other,) = stream_specs(desk.load(HEAD + KEYED.replace("0123", "3210") % "shown" + CANARY % "https://h/").config)
    assert one.id != other.id


def test_under_hidden_names_a_link_is_published_only_where_it_names_the_pseudonym(desk):
    loaded = desk.load(HEAD + KEYED % "hidden" + CANARY % "https://h/watch/{sid}?live=1")
    (stream,) = stream_specs(loaded.config)
    assert stream.watch_url == f"https://h/watch/{stream.id}?live=1"
    assert not [one for one in loaded.remarks() if "watch_url" in one.key]
    told = desk.load(HEAD + KEYED % "hidden" + CANARY % "https://h/canary").remarks()
    assert [one.key for one in told if "watch_url" in one.key] == ["streams.0.watch_url"]


def test_what_is_in_force_may_be_another_section_than_the_files(desk):
    before = desk.load(HEAD + KEYED % "hidden" + CANARY % "https://h/").config.privacy
    (stream,) = stream_specs(desk.load(HEAD + CANARY % "https://h/").config, before)
    assert stream.id == stream.name == topic_sid("canary", b"0123456789abcdef")
