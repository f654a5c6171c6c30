import io
import json
import logging
import subprocess
import sys

import pytest
import structlog

from streamwatch.domain.urls import SafeUrl, show_paths
from streamwatch.telemetry import logs, redact


@pytest.fixture(autouse=True)
def _restore():
    yield
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_process_and_level() -> None:
    stream = io.StringIO()
    logs.configure(process="daemon", form="json", stream=stream)
    structlog.get_logger().info("started", streams=3)
    (line,) = lines(stream)
    assert (line["event"], line["process"], line["level"], line["streams"]) == ("started", "daemon", "info", 3)
    assert str(line["timestamp"]).endswith("Z")


def test_addresses_are_redacted_bytes_are_counted_and_controls_are_gone() -> None:
    stream = io.StringIO()
    logs.configure(process="daemon", form="json", stream=stream)
    url = SafeUrl("rtmp://anna:secret@host/live/x?key=k")
    structlog.get_logger().info("x", url=url, data=b"\x89PNG" * 100, name="a\x1b[31m\u202eb")
    text = stream.getvalue()
    assert "secret" not in text
    assert "PNG" not in text
    (line,) = lines(stream)
    assert line["data"] == "<400 bytes>"
    assert "\x1b" not in str(line["name"])


def test_a_traceback_shows_no_local_variables() -> None:
    for form in ("json", "text"):
        stream = io.StringIO()
        logs.configure(process="daemon", form=form, stream=stream)
        hidden = "a-secret-in-a-variable"
        try:
            int(hidden[:0])
        except ValueError:
            structlog.get_logger().exception("failed")
        assert "ValueError" in stream.getvalue()
        assert hidden not in stream.getvalue()


def test_the_level_filters() -> None:
    stream = io.StringIO()
    logs.configure(process="daemon", form="json", level="warning", stream=stream)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


PASSWORD = "correct-horse"  # noqa: S105 - a canary
LEAKS = [
    f"cannot connect to rtmp://anna:{PASSWORD}@host:1935/live/x",
    f"(OSError('http://anna:{PASSWORD}@host/a?token={PASSWORD}'),URL('http://host/{PASSWORD}/x.m3u8'))",
    f"//anna:{PASSWORD}@host/live",
    f"anna:{PASSWORD}@host",
    f"GET /x.m3u8?a=b&token={PASSWORD} HTTP/1.1",
    f"rtmp%3A%2F%2Fanna%3A{PASSWORD}%40host",
    f"rtmp://anna:{PASSWORD}@[::1",
    f"rtmp://anna:it's-{PASSWORD}@host/live/x",
    'said {"url":"http://anna:' + PASSWORD + '@host/x","b":1}',
    "x" * 480 + f" rtmp://anna:{PASSWORD}@host/live",
]


@pytest.mark.parametrize("text", LEAKS)
@pytest.mark.parametrize("form", ["json", "text"])
def test_what_opens_a_door_leaves_nobodys_line(text: str, form: str) -> None:
    stream = io.StringIO()
    logs.configure(process="daemon", form=form, stream=stream)  # type: ignore[arg-type]
    ours, theirs = structlog.get_logger(), logging.getLogger("aiohttp.client")
    ours.error(
        text,
        value=text,
        error=OSError(text),
        nested={"a": [text], text: 1},
        group=ExceptionGroup(text, [OSError(text)]),
    )
    theirs.warning("%s and %r", text, OSError(text))
    for logger in (ours, theirs):
        try:
            raise OSError(text)  # noqa: TRY301 - a traceback is wanted
        except OSError:
            logger.exception("failed")
    said = stream.getvalue()
    assert said.count("OSError") >= 2
    assert PASSWORD not in said


def test_secrets_of_the_configuration_are_hidden_in_any_words() -> None:
    stream = io.StringIO()
    logs.configure(process="daemon", form="json", stream=stream)
    redact.learn_address(SafeUrl("rtmp://anna:pw%2Fof-anna@host/live/key-of-lobby?auth=query-value"), "lobby")
    redact.learn_address(SafeUrl("rtmp://host/live/named-like-its-key"), "named-like-its-key")
    structlog.get_logger().info("it says pw/of-anna, pw%2Fof-anna, key-of-lobby, query-value", sid="named-like-its-key")
    (line,) = lines(stream)
    assert line["event"] == "it says [hidden], [hidden], [hidden], [hidden]"
    assert line["sid"] == "named-like-its-key"


def test_what_is_no_secret_stays_readable() -> None:
    stream = io.StringIO()
    logs.configure(process="daemon", form="json", stream=stream)
    words = "lobby: 3 looks at 12:30, is it 50% done? a@b, x?y, C:\\x"
    structlog.get_logger().info(words, url=str(SafeUrl("http://host/a/lobby.m3u8?x=y")), numbers=[1, 2.5, None])
    (line,) = lines(stream)
    assert line["event"] == words
    assert line["url"] == "http://host/…/lobby.m3u8?…"
    assert line["numbers"] == [1, 2.5, None]


def test_what_cannot_be_said_costs_no_more_than_itself() -> None:
    class Mute:
        def __str__(self) -> str:
            raise ValueError(PASSWORD)

    stream = io.StringIO()
    logs.configure(process="daemon", form="json", stream=stream)
    structlog.get_logger().info("x", it=Mute(), surrogate="a\ud800b", deep=[[[[[[PASSWORD]]]]]])
    logging.getLogger("library").warning("%d", "no number")
    assert [line["event"] for line in lines(stream)] == ["x", "library says"]


_UNCAUGHT = """
import sys, threading, warnings
from streamwatch.telemetry import logs, redact
logs.configure(process="daemon", form="json")
logs.catch_all()
URL = "rtmp://anna:correct-horse@host/live/x"
class Dying:
    def __del__(self):
        raise OSError(URL)
def fail():
    raise OSError(URL)
Dying()
warnings.warn(URL)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def test_what_nobody_catches_is_logged_like_everything_else() -> None:
    ended = subprocess.run([sys.executable, "-c", _UNCAUGHT], capture_output=True, text=True, check=False, timeout=30)
    assert PASSWORD not in ended.stdout + ended.stderr
    said = [json.loads(line)["event"] for line in ended.stderr.splitlines()]
    assert sorted(said) == ["library says", "unforeseen", "unforeseen", "unforeseen"]
    assert ended.returncode == 1


def _fail(word: str) -> None:
    try:
        int(word)
    except ValueError as error:
        raise OSError(2, "no such file", f"/live/{word}") from error


def test_where_names_are_hidden_an_error_is_told_by_type_and_place_alone() -> None:
    stream = io.StringIO()
    logs.configure(process="daemon", form="json", stream=stream)
    show_paths(shown=False)
    try:
        try:
            _fail("kanarienvogel")
        except OSError as error:
            structlog.get_logger().exception("unexpected")
            structlog.get_logger().error("unexpected", exc_info=error)
            structlog.get_logger().info("fine", exc_info=None)
    finally:
        show_paths(shown=True)
    assert "kanarienvogel" not in stream.getvalue()
    first, second, third = lines(stream)
    assert first["exception"] == second["exception"]
    for part in ("FileNotFoundError", "ValueError", "test_logs.py:"):
        assert part in str(first["exception"])
    assert "exception" not in third
