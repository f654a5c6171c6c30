import io
import json

import pytest
import structlog

from streamwatch.domain.urls import SafeUrl, show_paths
from streamwatch.telemetry import logs


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
