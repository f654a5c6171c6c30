"""What does not fit together, each told at its own line."""

import pytest
from pydantic import ValidationError

from streamwatch.config.models import Config
from tests.config.conftest import HEAD

DETECTORS = "detectors:\n  - {name: a, kind: x}\n"
RULE = "{name: r, detector: a, label: l, severity: high%s}"

CASES = [
    (HEAD + "streams:\n  - {id: a, url: /x}\n  - {id: a, url: /y}\n", "5: streams.1.id: `a` is already the id of"),
    (HEAD + DETECTORS + "  - {name: a, kind: x}\n", "5: detectors.1.name: `a` is already the name of"),
    (HEAD + DETECTORS + "rules:\n  - " + RULE % "" + "\n  - " + RULE % "", "7: rules.1.name: `r` is already"),
    (
        HEAD + "origins:\n" + "  - {name: o, kind: srs, api: http://h, read: 'rtmp://h/{app}/{name}'}\n" * 2,
        "5: origins.1.name: `o` is already",
    ),
    (
        HEAD + "origins:\n  - {name: static, kind: srs, api: http://h, read: 'rtmp://h/{app}/{name}'}\n",
        "4: origins.0.name: `static` is the name of",
    ),
    (
        HEAD + DETECTORS + "rules:\n  - {name: r, detector: b, label: l, severity: low}\n",
        "6: rules.0.detector: `b` is not",
    ),
    (HEAD + DETECTORS + "rules:\n  - " + RULE % ", close: {score: 0.9}", "6: rules.0.close.score: `0.9` is more than"),
    (HEAD + DETECTORS + "rules:\n  - " + RULE % ", open: {score: 0.4}", "6: rules.0.close.score: the default is more"),
    (
        HEAD + DETECTORS + "rules:\n  - " + RULE % ", open: {hits: 5, spacing: 3s}",
        "6: rules.0.open.within: the default is too",
    ),
    (
        HEAD + DETECTORS + "rules:\n  - " + RULE % "" + "\n  - {name: s, detector: a, label: l, severity: test}\n",
        "7: rules.1.severity: a test rule for a label that rules.0 judges as a real one",
    ),
    (HEAD + "sampling:\n  max_gap: 1s\n  min_gap: 2s\n", "5: sampling.min_gap: `2s` is more than sampling.max_gap, 1s"),
    (
        HEAD + "streams:\n  - {id: a, url: /x, sampling: {max_gap: 300ms}}\n",
        "4: streams.0.sampling.max_gap: `300ms` is less than sampling.min_gap, 500ms",
    ),
    (
        HEAD + "streams:\n  - {id: a, url: /x, sampling: {min_gap: 30s}}\n",
        "4: streams.0.sampling.min_gap: `30s` is more than sampling.max_gap, 10s",
    ),
    (
        HEAD + "streams:\n  - {id: a, url: /x, sampling: {min_gap: 3s, max_gap: 2s}}\n",
        "4: streams.0.sampling.min_gap: `3s` is more than this stream's max_gap, 2s",
    ),
    (
        HEAD + "streams:\n  - id: a\n    url: /x\n    audience: private\n",
        "6: streams.0.audience: private streams are not watched by default",
    ),
    (
        HEAD + "streams: [{id: a, url: /x}, {id: b, url: /x}]\nlimits: {max_streams: 1}\n",
        "4: limits.max_streams: `1` is less",
    ),
    (HEAD + "detectors:\n  - {name: a, kind: onnx}\n", "4: detectors.0.model: missing, and kind onnx needs it"),
    (HEAD + "detectors:\n  - {name: a, kind: onnx, model: m, lists: [l]}\n", "4: detectors.0.lists: has no effect"),
    (HEAD + "detectors:\n  - {name: a, kind: pdq}\n", "4: detectors.0.lists: missing, and kind pdq needs it"),
    (HEAD + "detectors:\n  - {name: a, kind: pdq, lists: [l], model: m}\n", "4: detectors.0.model: has no effect"),
    ("node: n\nmqtt:\n  url: mqtt://broker\n", "3: mqtt.url: would send alerts and password unencrypted"),
    ("node: n\nmqtt:\n  url: ws://10.0.0.1/mqtt\n", "3: mqtt.url: would send alerts and password unencrypted"),
    (
        "node: n\nmqtt: {url: 'mqtts://h'}\nprivacy: {stream_ids: keyed}\n",
        "3: privacy.stream_ids: keyed ids need a key",
    ),
    ("node: n\nmqtt: {url: 'mqtts://h', password: p}\n", "2: mqtt.password: a password without a user name"),
    ("node: n\nmqtt: {url: 'mqtts://h', cert: c}\n", "2: mqtt.cert: given without mqtt.key"),
    ("node: n\nmqtt: {url: 'mqtts://h', key: c}\n", "2: mqtt.key: given without mqtt.cert"),
    (
        HEAD + "detectors:\n  - {name: evasion, kind: x}\n",
        "4: detectors.0.name: `evasion` is the name of what is built in",
    ),
    (
        HEAD + "rules:\n  - {name: r, detector: evasion, label: blck, severity: low}\n",
        "4: rules.0.label: `blck` is no sign of evasion (one of black, solid, frozen, dimensions, rare_keys, ",
    ),
    (
        HEAD + "rules:\n  - {name: r, detector: evasion, label: black, severity: test}\n",
        "4: rules.0.severity: `test` is for the test card alone (low, high or urgent)",
    ),
    (
        HEAD + "rules:\n  - {name: r, detector: evasion, label: black, severity: low}\nevasion: {enabled: false}\n",
        "4: rules.0.detector: speaks of `evasion`, which evasion.enabled switches off (evasion.enabled: true",
    ),
    (
        HEAD + "rules:\n  - {name: r, detector: evasion, label: black, severity: low}\nevasion: {without: [black]}\n",
        "4: rules.0.label: a rule about `black`, which evasion.without leaves out (one or the other)",
    ),
    (HEAD + "evasion: {severity: test}\n", "3: evasion.severity: `test` is for the test card alone"),
    (HEAD + "evasion: {without: [balck]}\n", "3: evasion.without.0:"),
    ("node: n\nmqtt: {url: 'mqtt://[::1]', ca: c}\n", "2: mqtt.ca: has no effect on an unencrypted connection"),
]


@pytest.mark.parametrize(
    ("text", "problem"), CASES, ids=lambda value: value.rpartition(": ")[0] if ": " in value else ""
)
def test_it_is_the_one_problem_at_its_line(desk, text, problem):
    (found,) = desk.problems(text)
    assert found.startswith(problem)


FITS = [
    "node: n\nmqtt: {url: 'mqtt://broker', allow_plaintext: true}\n",
    "node: n\nmqtt: {url: 'ws://localhost:8080/mqtt'}\n",
    "node: n\nmqtt: {url: 'mqtts://broker', username: u, password: p, ca: a, cert: b, key: c}\n",
    HEAD + "streams: [{id: a, url: /x, audience: private, legal_basis: order 7}]\n",
    HEAD + "streams: [{id: a, url: /x, sampling: {max_gap: 300ms, min_gap: 100ms}}]\n",
    HEAD + "privacy: {stream_ids: keyed, key: 0123456789abcdef}\n",
    HEAD + DETECTORS + "rules:\n  - " + RULE % "" + "\n  - {name: s, detector: a, label: l, severity: low}\n",
    HEAD + "rules: [{name: r, detector: evasion, label: black, severity: high}]\n",
    HEAD + "evasion: {enabled: false, severity: high, without: [frozen, slate]}\n",
    HEAD + "state: /var/lib/x\n",
    HEAD + "mqtt2:\n".replace("mqtt2:\n", ""),
]


@pytest.mark.parametrize("text", FITS)
def test_what_fits_is_taken(desk, text):
    assert desk.load(text).config.node == "n"


def test_a_bare_folder_is_the_state_section(desk):
    assert desk.load(HEAD + "state: /var/lib/x\n").config.state.folder == "/var/lib/x"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "privacy: {stream_ids: keyed, key: short}\n",
        HEAD + "detectors: [{name: a, kind: onnx, model: ~/x}]\n",
        HEAD + "detectors: {a: b}\nrules: [{name: r, detector: a, label: l, severity: low}]\n",
        HEAD + "detectors: [{name: a b, kind: x}]\nrules: [{name: r, detector: a, label: l, severity: low}]\n",
        "node: n\nmqtt: {url: 'mqtts://h', username: '', password: p}\n",
        HEAD + "streams: [{id: a, url: /x, audience: private, legal_basis: ' '}]\n",
        HEAD + "sampling: {max_gap: 1, min_gap: 2s}\n",
    ],
)
def test_a_mistyped_key_is_told_once_and_not_also_as_missing(desk, text):
    assert len(desk.problems(text)) == 1


def test_a_configuration_built_in_code_is_judged_too():
    with pytest.raises(ValidationError, match=r"streams\.1\.id"):
        Config.model_validate(
            {
                "node": "n",
                "mqtt": {"url": "mqtt://127.0.0.1"},
                "streams": [{"id": "a", "url": "/x"}, {"id": "a", "url": "/y"}],
            }
        )


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://h/a/b", "rtmps://h:1/a/b", "http://h/x.m3u8", "https://[::1]:8080/x.m3u8?t=1", "rtsp://u:p@h/x",
        "srt://h:9000?streamid=x", "/srv/x.mp4", "./x y.mp4", "../x.mp4", "file:///srv/x.mp4", "RTMP://h/a",
    ],
)  # fmt: skip
def test_addresses_a_stream_can_have(desk, url):
    assert desk.load(HEAD + f"streams: [{{id: a, url: '{url}'}}]\n").config.streams[0].url.reveal() == url


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("", "is empty"), ("h/a/b", "no scheme"), ("x.mp4", "no scheme"), ("ftp://h/x", "not supported"),
        ("rtmp://", "no host"), ("rtmp:///a/b", "no host"), ("rtmp://h", "no application"), ("rtmp://h:0/a", "port"),
        ("rtmp://h:99999/a", "port"), ("rtmp://h:x/a", "port"), ("rtmp://[::x]/a", "host"), ("rtmp://h /a", "spaces"),
        ("rtmp://h/a\\nb", "control"), ("http://h%00/a", "host"), ("http://é/a", "host"),
        ("file://h/x", "not supported"),
    ],
)  # fmt: skip
def test_addresses_a_stream_cannot_have(desk, url, wrong):
    (problem,) = desk.problems(HEAD + f'streams: [{{id: a, url: "{url}"}}]\n')
    assert problem.startswith("3: streams.0.url: the value ")
    assert wrong in problem


@pytest.mark.parametrize(
    "entry", ["h", "h:80", "10.0.0.0/8", "10.0.0.0/8:8080", "127.0.0.1:80", "::1", "'[::1]:80'", "fd00::/8"]
)
def test_hosts_that_can_be_allowed(desk, entry):
    loaded = desk.load(HEAD + f"limits:\n  allow_hosts:\n    - {entry}\n")
    assert loaded.config.limits.allow_hosts == (entry.strip("'"),)


@pytest.mark.parametrize("entry", ["''", "h:0", "h:x", "http://h", "h/x", "a b", "'[::1'", "10.0.0.0/99", "'*'"])
def test_hosts_that_cannot(desk, entry):
    (problem,) = desk.problems(HEAD + f"limits:\n  allow_hosts:\n    - {entry}\n")
    assert problem.startswith("5: limits.allow_hosts.0: ")


@pytest.mark.parametrize(
    ("listen", "shown"), [("127.0.0.1:0", "127.0.0.1:0"), ("'[::]:80'", "[::]:80"), ("localhost:9", "localhost:9")]
)
def test_where_to_listen(desk, listen, shown):
    assert str(desk.load(HEAD + f"http: {{listen: {listen}}}\n").config.http.listen) == shown


@pytest.mark.parametrize("listen", ["9464", "':9464'", "h", "'h:'", "h:70000", "'::1:80'", "'[h:80'", "h:-1", "h:٣"])
def test_where_not_to_listen(desk, listen):
    (problem,) = desk.problems(HEAD + f"http: {{listen: {listen}}}\n")
    assert problem.startswith("3: http.listen: ")


@pytest.mark.parametrize("prefix", ["/a", "a/", "a//b", "a/+/b", "a/#", "$SYS/x", "''", "' '"])
def test_a_prefix_is_whole_levels_without_wildcards(desk, prefix):
    (problem,) = desk.problems(f"node: n\nmqtt:\n  url: mqtt://localhost\n  prefix: {prefix}\n")
    assert problem.startswith("4: mqtt.prefix: ")


@pytest.mark.parametrize("url", ["mqtt://h/x", "mqtts://h?x=1", "mqtts://u@h", "http://h", "mqtts://"])
def test_a_broker_has_host_and_port_and_no_more(desk, url):
    (problem,) = desk.problems(f"node: n\nmqtt:\n  url: {url}\n")
    assert problem.startswith("3: mqtt.url: the value ")


@pytest.mark.parametrize("read", ["rtmp://h/{app}", "rtmp://h/{app}/{name}/{x}", "h/{name}", "ftp://h/{name}"])
def test_a_template_needs_the_name_and_nothing_else(desk, read):
    text = HEAD + f"origins: [{{name: o, kind: srs, api: 'http://h', read: '{read}'}}]\n"
    (problem,) = desk.problems(text)
    assert problem.startswith("3: origins.0.read: ")


STREAM = "streams:\n  - {id: a, url: /x, sampling: {%s}}\n"
INNER = "inner looks need a look-back"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sampling: {inner: 0.5, lookback: 0s}\n", "sampling.inner"),
        ("sampling: {inner: 0.5}\n" + STREAM % "lookback: 0s", "streams.0.sampling.lookback"),
        ("sampling: {lookback: 0s}\n" + STREAM % "inner: 0.2", "streams.0.sampling.inner"),
        (STREAM % "inner: 0.2, lookback: 0s", "streams.0.sampling.inner"),
        ("sampling: {lookback: 0s}\n", ""),
        ("sampling: {inner: 0, lookback: 0s}\n", ""),
        ("sampling: {inner: 0.5}\n", ""),
        ("sampling: {inner: 0.5, lookback: 0s}\n" + STREAM % "lookback: 4s", "sampling.inner"),
        ("sampling: {inner: 0.5}\n" + STREAM % "inner: 0, lookback: 0s", ""),
    ],
)
def test_inner_looks_without_a_look_back_are_remarked_where_somebody_asked_for_them(desk, text, key):
    said = [remark.key for remark in desk.load(HEAD + text).remarks() if INNER in str(remark)]
    assert said == ([key] if key else [])


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("mqtt://10.0.0.1", True),
        ("ws://broker.example/mqtt", True),
        ("mqtts://10.0.0.1", False),
        ("mqtt://[::1]", False),
    ],
)
def test_alerts_that_leave_the_machine_unencrypted_are_remarked(desk, url, warned):
    text = f"node: n\nmqtt: {{url: '{url}', allow_plaintext: true}}\n"
    said = [str(remark) for remark in desk.load(text).remarks() if remark.key == "mqtt.allow_plaintext"]
    assert bool(said) is warned
    assert all("unencrypted" in remark for remark in said)
