import json

from hypothesis import given
from hypothesis import strategies as st

from streamwatch.fleet.output import Lines, entry


def test_what_a_watcher_logged_becomes_an_entry_of_our_log() -> None:
    said = entry(json.dumps({"event": "stream ended", "level": "warning", "stream": "lobby", "timestamp": "x", "n": 3}))
    assert said == ("warning", "stream ended", {"stream": "lobby", "n": 3})


def test_what_it_printed_stays_text() -> None:
    assert entry("Segmentation fault") == ("info", "watcher says", {"text": "Segmentation fault"})
    assert entry('{"level": "info"}').event == "watcher says"
    assert entry('{"event": "x", "level": "shout"}').event == "watcher says"


def test_a_broken_watcher_cannot_speak_in_our_name_or_at_length() -> None:
    said = entry(
        json.dumps({"event": "x", "level": "info", "process": "daemon", "watcher": "other", "a": [1], "b": {}})
    )
    assert said.fields == {}
    many = entry(json.dumps({"event": "x", "level": "info"} | {f"k{number}" * 50: 1 for number in range(100)}))
    assert len(many.fields) <= 16
    assert all(len(name) <= 40 for name in many.fields)


@given(st.text())
def test_any_line_is_taken(line: str) -> None:
    assert entry(line).level in {"debug", "info", "warning", "error", "critical"}


@given(st.lists(st.binary(max_size=3000), max_size=20))
def test_any_output_becomes_bounded_printable_lines(chunks: list[bytes]) -> None:
    lines = Lines()
    for number, chunk in enumerate(chunks):
        assert all(len(line) <= 2000 and line.isprintable() for line in lines.feed(chunk, float(number)))
