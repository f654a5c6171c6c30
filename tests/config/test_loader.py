import os

import pytest

from streamwatch.config.findings import MAX_PROBLEMS
from streamwatch.config.loader import MAX_FILE, load, parse
from streamwatch.domain.errors import ConfigError, Problem
from streamwatch.domain.streams import Audience
from tests.config.conftest import HEAD, MINIMAL

MANY = """\
node: edge 1
max_gap: 5s
mqtt:
  url: mqtt://broker:99999
  pasword: hunter2
  username: ${NOPE}
streams:
  - id: lobby
    url: rtmp://u:hunter2@127.0.0.1
    sampling: {max_gap: 10, min_gap: 1ms, jitter: no}
  - id: lobby
    url: rtmp//u:hunter2@foo
    audience: private
    audience: broadcast
sampling:
  min_gap: 20s
detectors:
  - name: test-card
    kind: onnx
rules:
  - name: a
    detector: test-crad
    severity: hi
    open: {score: 0.5, spacing: 6s, hits: 3}
    close: {score: 0.8, for: 30}
privacy:
  stream_ids: keyed
limits: {memory: 1, watchers: 0, allow_hosts: 10.0.0.0/8}
http: {listen: 9464}
"""


def test_the_smallest_file_needs_nothing_else(desk):
    loaded = desk.load(MINIMAL)
    assert loaded.config.sampling.max_gap == 10.0
    assert loaded.config.rules[0].open.hits == 2
    assert loaded.files == (desk.path,)


def test_every_problem_is_told_at_once_with_its_line(desk):
    assert [problem.split(": ")[:2] for problem in desk.problems(MANY)] == [
        ["1", "node"],
        ["2", "max_gap"],
        ["4", "mqtt.url"],
        ["5", "mqtt.pasword"],
        ["6", "mqtt.username"],
        ["9", "streams.0.url"],
        ["10", "streams.0.sampling.max_gap"],
        ["10", "streams.0.sampling.min_gap"],
        ["10", "streams.0.sampling.jitter"],
        ["11", "streams.1.id"],
        ["12", "streams.1.url"],
        ["13", "streams.1.audience"],
        ["14", "streams.1.audience"],
        ["16", "sampling.min_gap"],
        ["18", "detectors.0.model"],
        ["21", "rules.0.label"],
        ["22", "rules.0.detector"],
        ["23", "rules.0.severity"],
        ["24", "rules.0.open.within"],
        ["25", "rules.0.close.for"],
        ["25", "rules.0.close.score"],
        ["27", "privacy.stream_ids"],
        ["28", "limits.watchers"],
        ["28", "limits.memory"],
        ["28", "limits.allow_hosts"],
        ["29", "http.listen"],
    ]


def test_a_problem_reads_as_the_interface_says(desk):
    assert desk.problems(MINIMAL.replace("severity", "severty"))[1] == (
        "15: rules.0.severty: unknown key (did you mean severity?)"
    )
    (problem,) = desk.problems(MINIMAL.replace("severity: test", "severity: tset"))
    assert problem == "15: rules.0.severity: `tset` is none of the choices (urgent, high, low or test)"


def test_a_key_in_the_wrong_section_is_told_where_it_belongs(desk):
    assert desk.problems(HEAD + "listen: 127.0.0.1:80\n") == ["3: listen: unknown key (it belongs in http)"]


def test_only_what_is_missing_is_called_missing(desk):
    assert desk.problems("streams: []\n") == [
        "1: node: missing (name of this daemon; in every topic)",
        "1: mqtt: missing (the broker)",
    ]
    assert desk.problems("") == desk.problems("# nothing\n") == desk.problems("streams: []\n")


def test_a_section_whose_keys_are_all_commented_out_holds_its_defaults(desk):
    loaded = desk.load(MINIMAL + "sampling:\n  # max_gap: 1s\nlimits:\n  watchers:\n  memory: ~\norigins:\n")
    assert loaded.config == desk.load(MINIMAL).config


def test_an_unknown_key_without_a_value_is_still_unknown(desk):
    assert "unknown key" in desk.problems(HEAD + "strems:\n")[0]


@pytest.mark.parametrize(
    ("text", "line"), [("a: [1\n", 2), ("- a\n- b\n", 1), ("just words\n", 1), ("a: 1\nb\n", None)]
)
def test_what_is_no_file_of_keys_is_one_problem(desk, text, line):
    (problem,) = desk.problems(text)
    assert line is None or problem.startswith(f"{line}: ")


def test_files_that_cannot_be_read_are_problems(tmp_path):
    (tmp_path / "large").write_bytes(b"#" * (MAX_FILE + 1))
    (tmp_path / "latin").write_bytes("a: 1\nb: é\n".encode("latin-1"))
    os.mkfifo(tmp_path / "pipe")
    cases = {
        "missing": "does not exist",
        "": "not a regular file",
        "pipe": "not a regular file",
        "large": "larger than 4096 KiB",
        "latin": "line 2",
        "a\0b": "cannot be read",
        "x" * 5000: "cannot be read",
    }
    for name, wrong in cases.items():
        with pytest.raises(ConfigError, match=wrong) as refused:
            load(tmp_path / name, environ={})
        assert len(refused.value.problems) == 1


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load(path, environ={}).config.node == "edge-1"


def test_text_that_other_loaders_misread_is_what_was_written(desk):
    loaded = desk.load(
        HEAD
        + "streams:\n  - {id: no, url: /a}\n  - {id: 0123, url: /b}\n  - {id: 12:30, url: /c}\n  - {id: 日, url: /d}\n"
    )
    assert [stream.id for stream in loaded.config.streams] == ["no", "0123", "12:30", "日"]


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("on", True), ("Yes", True), ("off", False), ("no", False)]
)
def test_switches_know_their_words_and_no_numbers(desk, word, value):
    assert desk.load(HEAD + f"sampling: {{novelty: {word}}}\n").config.sampling.novelty is value
    assert desk.problems(HEAD + "sampling: {novelty: 1}\n") == [
        "3: sampling.novelty: `1` is neither true nor false (true or false)"
    ]


def test_values_from_outside_are_typed_like_written_ones(desk):
    (desk.folder / "gap").write_text("3s\n")
    text = HEAD + "limits: {watchers: '${N}'}\nsampling:\n  novelty: ${ON}\n  max_gap: ${file:gap}\n"
    loaded = desk.load(text, {"N": "3", "ON": "off"})
    assert loaded.config.limits.watchers == 3
    assert loaded.config.sampling.novelty is False
    assert loaded.config.sampling.max_gap == 3.0
    assert loaded.files == (desk.path, desk.folder / "gap")


def test_a_wrong_value_from_outside_is_shown_as_it_was_written(desk):
    assert desk.problems(HEAD + "sampling: {max_gap: '${GAP}'}\n", {"GAP": "hunter2"}) == [
        "3: sampling.max_gap: `${GAP}` is not a duration (a number and its unit: 500ms, 10s, 5m, 2h, 7d)"
    ]


def test_a_missing_secret_is_one_problem_and_not_also_a_wrong_value(desk):
    assert desk.problems(HEAD + "privacy: {stream_ids: keyed, key: '${file:k}'}\n") == [
        f"3: privacy.key: secret file {desk.folder}/k: the file does not exist"
    ]


SECRET = "hunter2hunter2hunter2"  # noqa: S105 - a marker to look for
LEAKS = [
    "mqtt: {url: 'mqtt://u:SECRET@127.0.0.1'}",
    "mqtt: {url: 'SECRET'}",
    "mqtt: {url: 'SECRET://h'}",
    "mqtt: {url: 'mqtt://h:SECRET'}",
    "mqtt: {password: {SECRET: 1, SECRET: 2}}",
    "mqtt: {password: [SECRET]}",
    "mqtt: {password: 'SECRET'}",
    "mqtt: {password: !SECRET x}",
    "mqtt: {password: *SECRET}",
    "mqtt: {password: &SECRET}",
    "mqtt: {password: %SECRET}",
    "mqtt: {password: 'a${SECRET-}'}",
    "mqtt: {password: '${S}${NOPE}'}",
    "mqtt: {pasword: 'SECRET'}",
    "privacy: {key: '${S}x', stream_ids: key}",
    "privacy: {key: ['${S}']}",
    "privacy: '${S}'",
    "node: '${S} x'",
    "sampling: {max_gap: '${S}'}",
    "streams: [{id: a, url: 'rtsp://u:SECRET@[::x]/a'}]",
    "streams: [{id: a, url: 'rtsp//u:SECRET@h/a'}]",
    "streams: [{id: a, url: 'u:SECRET@h/a'}]",
    "streams: [{id: a, url: 'rtmp://h/a?key=SECRET b'}]",
    "streams: [{id: a, url: 'rtmp://h/a', watch_url: 'https://u:SECRET@h/'}]",
    "origins: [{name: a, kind: srs, api: 'http://u:SECRET@', read: 'rtmp://u:SECRET@h/{app}', hook: 'short'}]",
    "rules: [{name: a, detector: '${S}', label: x, severity: '${S}'}]",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_problem_repeats_a_secret(desk, text):
    with pytest.raises(ConfigError) as refused:
        desk.load(text.replace("SECRET", SECRET) + "\n", {"S": SECRET})
    assert "hunter2" not in str(refused.value) + repr(refused.value.problems)
    assert "hunter2" not in repr(refused.value)


def test_no_loaded_value_shows_a_secret(desk):
    loaded = desk.load(
        "node: n\nmqtt: {url: 'mqtts://h', username: u, password: '${S}'}\nprivacy: {key: '${S}'}\n"
        "streams: [{id: a, url: 'rtsp://u:${S}@h/a?t=${S}'}]\n"
        "origins: [{name: o, kind: srs, api: 'http://u:${S}@h', read: 'rtmp://u:${S}@h/{app}/{name}', hook: '${S}'}]\n",
        {"S": SECRET},
    )
    assert "hunter2" not in repr(loaded) + str(loaded.config) + repr(loaded.config.model_dump())
    assert loaded.config.mqtt.password.get_secret_value() == SECRET
    assert SECRET in loaded.config.streams[0].url.reveal()


def test_later_checks_can_name_the_line_too(desk):
    loaded = desk.load(MINIMAL)
    where = str(desk.path)
    assert loaded.problem("detectors.0.model", "has no manifest", "a folder") == Problem(
        f"{where}:10", "detectors.0.model", "has no manifest", "a folder"
    )
    assert loaded.where("rules.0.open.score") == f"{where}:12"
    assert loaded.where("limits.memory") == loaded.where("") == f"{where}:1"
    assert loaded.beside("models/x") == desk.folder / "models/x"
    assert str(loaded.beside("/etc/x")) == "/etc/x"


def test_parts_that_did_not_change_are_equal_and_others_are_not(desk):
    before = desk.load(MINIMAL).config
    after = desk.load(MINIMAL.replace("lobby\n    url", "hall\n    url") + "sampling: {max_gap: 10000ms}\n").config
    assert before.sampling == after.sampling
    assert before.mqtt == after.mqtt
    assert before.rules == after.rules
    assert before.streams != after.streams


def test_a_file_full_of_mistakes_is_told_in_bounded_words(desk):
    problems = desk.problems(HEAD + "".join(f"key{i}: {i}\n" for i in range(20_000)))
    assert len(problems) == MAX_PROBLEMS + 1
    assert "more problems" in problems[-1]
    assert problems[0].startswith("3: key0: unknown key")


def test_remarks_are_said_and_do_not_refuse(desk):
    text = HEAD + "detectors: [{name: a, kind: x}, {name: b, kind: x, mode: shadow}]\n"
    loaded = desk.load(text + "rules: [{name: r, detector: b, label: l, severity: low}]\n")
    assert [(remark.key, remark.where.rpartition(":")[2]) for remark in loaded.remarks()] == [
        ("", "1"),
        ("detectors.0.name", "3"),
        ("rules.0.detector", "4"),
    ]
    seen = MINIMAL.replace("    url:", "    watch_url: https://h/lobby\n    url:")
    assert desk.load(seen).remarks() == ()


def test_streams_that_nobody_is_told_where_to_see_are_remarked_on_once(desk):
    more = "  - {id: b, url: rtmp://127.0.0.1/b}\n  - {id: c, url: rtmp://127.0.0.1/c, watch_url: https://h/c}\n"
    [remark] = desk.load(MINIMAL.replace("detectors:", f"{more}detectors:", 1)).remarks()
    assert remark.key == "streams.0"
    assert "this stream, and 1 others, have no watch_url" in remark.wrong


def test_a_configuration_from_memory_is_judged_alike(tmp_path):
    assert parse(MINIMAL, path=tmp_path / "x", environ={}).config.streams[0].audience is Audience.BROADCAST
