"""`streamwatch coverage`: what it asks, how it ends, how it looks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streamwatch.cli import coverage as command
from streamwatch.cli import coverage_view, demo_view
from streamwatch.cli.coverage import ask
from streamwatch.cli.main import app
from streamwatch.domain.errors import OutsideError, UserError
from streamwatch.domain.urls import SafeUrl

AT = "2026-11-25T17:00:00.000Z"
RATIOS = {"coverage_1m": 0.99999, "coverage_1h": 0.95, "coverage_24h": 1.0}


def stream(number: int, *, uncovered: bool) -> dict[str, Any]:
    return {
        "sid": f"s{number}", "stream": f"room {number} 漢字 with a name that is too long for any table", "origin": "a",
        "state": "uncovered" if uncovered else "covered", "reason": "stalled" if uncovered else None,
        "since": "2026-11-25T16:58:20.000Z", "detail": "no media\x1b[31m for 30 s",
        "gap_now_s": 104.0 if uncovered else 3.2,
        "max_gap_s": 10.0, **RATIOS, "breaches_1h": 2, "broken_since": None, "live_s": 5000.0, "uncovered_s": 12.0,
    }  # fmt: skip


def answer(live: int, uncovered: int, origins: int = 2) -> dict[str, Any]:
    return {
        "at": AT,
        "node": {
            "name": "edge-1", "live": live, "covered": live - uncovered, "uncovered": uncovered, "connecting": 1,
            **RATIOS,
            "worst_gap_s": 104.0 if uncovered else 3.2, "breaches_1h": 7,
        },
        "origins": [{"name": f"o{n}", "live": live, "covered": live, **RATIOS} for n in range(origins)],
        "streams": [stream(n, uncovered=n < uncovered) for n in range(min(live, 200))],
        "streams_total": live + 1,
    }  # fmt: skip


@contextmanager
def daemon(body: bytes, status: int = 200) -> Iterator[str]:
    """Something that answers `/coverage` so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/coverage" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="a daemon's web")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()


@pytest.mark.parametrize(("uncovered", "status"), [(0, 0), (2, 1)])
def test_it_ends_with_1_where_something_live_is_uncovered(uncovered: int, status: int) -> None:
    said = answer(5, uncovered)
    with daemon(json.dumps(said).encode()) as url:
        shown = CliRunner().invoke(app, ["coverage", "--url", url])
        machine = CliRunner().invoke(app, ["coverage", "--url", url, "--json"])
    assert (shown.exit_code, machine.exit_code) == (status, status)
    assert f"uncovered now: {uncovered}" in shown.stdout
    assert json.loads(machine.stdout) == said


SILENT = {"coverage_1m": None, "coverage_1h": None, "coverage_24h": None}


def test_where_nothing_was_live_it_says_so_and_ends_with_0() -> None:
    said = answer(0, 0, origins=1)
    said["node"] |= SILENT
    said["origins"][0] |= SILENT
    with daemon(json.dumps(said).encode()) as url:
        shown = CliRunner().invoke(app, ["coverage", "--url", url])
        machine = CliRunner().invoke(app, ["coverage", "--url", url, "--json"])
    assert (shown.exit_code, machine.exit_code) == (0, 0)
    assert "nothing was live; streams waited for: 1" in shown.stdout
    assert "%" not in shown.stdout
    assert json.loads(machine.stdout)["node"]["coverage_1h"] is None


def test_what_was_live_once_is_not_told_as_never() -> None:
    text = "\n".join(drawn(100, lambda: coverage_view.draw(answer(0, 0), width=100, height=None)))
    assert "no stream is live now" in text
    assert "95.00 %" in text


@pytest.mark.parametrize(
    ("live", "covered", "hour", "day", "said"),
    [
        (0, 0, None, None, "nothing was live yet"),
        (0, 0, None, 1.0, "nothing is live"),
        (2, 2, None, None, "2 of 2 live streams covered"),
        (2, 1, 0.9, 0.9, "1 of 2 live streams covered, 95% of the last minute"),
    ],
)
def test_the_demo_tells_no_share_of_nothing(
    live: int, covered: int, hour: float | None, day: float | None, said: str
) -> None:
    document = {"streams_live": live, "streams_covered": covered, "coverage_1m": 0.95, "coverage_1h": hour,
                "coverage_24h": day}  # fmt: skip
    assert demo_view.coverage_line(document) == said


@pytest.mark.parametrize(("body", "status"), [(b"hello", 200), (b"{}", 200), (b"[]", 200), (b"", 404), (b"", 500)])
def test_what_is_no_daemon_is_the_outside_worlds_fault(body: bytes, status: int) -> None:
    with daemon(body, status) as url, pytest.raises(OutsideError, match="streamwatch"):
        ask(SafeUrl(url))


def test_where_nobody_listens_it_ends_with_3() -> None:
    with daemon(b"") as url:
        pass
    result = CliRunner().invoke(app, ["coverage", "--url", url])
    assert isinstance(result.exception, OutsideError)
    assert "is it running?" in str(result.exception)
    assert "CONFIG" not in str(result.exception), "it was said where to ask"


@pytest.mark.parametrize("watch", [(), ("--watch",)])
def test_who_did_not_say_where_to_ask_is_told_both_ways(
    monkeypatch: pytest.MonkeyPatch, watch: tuple[str, ...]
) -> None:
    with daemon(b"") as url:
        pass
    monkeypatch.setattr(command, "_DEFAULT_URL", url)
    result = CliRunner().invoke(app, ["coverage", *watch])
    assert isinstance(result.exception, OutsideError)
    assert "streamwatch coverage CONFIG" in str(result.exception)
    assert "--url http" in str(result.exception)


def test_the_configuration_says_where_it_listens(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "config/minimal.yaml").read_text(encoding="utf-8")
    path = tmp_path / "c.yaml"
    with daemon(json.dumps(answer(1, 0)).encode()) as url:
        path.write_text(f"{text}\nhttp:\n  listen: 0.0.0.0:{url.rpartition(':')[2]}\n", encoding="utf-8")
        assert CliRunner().invoke(app, ["coverage", str(path)]).exit_code == 0
    path.write_text(f"{text}\nhttp:\n  listen: 127.0.0.1:0\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["coverage", str(path)])
    assert isinstance(result.exception, UserError)
    assert "http.listen" in str(result.exception)


@pytest.mark.parametrize("url", ["ftp://h", "http://", "nonsense", "http://h:99999999"])
def test_an_address_that_is_none_is_the_users_mistake(url: str) -> None:
    assert isinstance(CliRunner().invoke(app, ["coverage", "--url", url]).exception, UserError)


def drawn(width: int, draw: Callable[[], Any]) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w", encoding="utf-8"), force_terminal=True)  # noqa: SIM115, PTH123
    with console.file:
        console.print(draw())
        return console.export_text().splitlines()


@pytest.mark.parametrize("uncovered", [0, 1, 5, 40, 200])
@pytest.mark.parametrize(("width", "height"), [(60, 24), (80, 24), (110, 36), (200, 60)])
def test_it_fits_the_terminal(uncovered: int, width: int, height: int) -> None:
    for live in (uncovered, 200):
        lines = drawn(width, lambda live=live: coverage_view.draw(answer(live, uncovered), width=width, height=height))
        assert len(lines) <= height, "\n".join(lines)
        assert all("\x1b" not in line for line in lines)
        text = "\n".join(lines)
        assert f"uncovered now: {uncovered}" in text
        if uncovered:
            assert "stalled" in text
            assert "1:40 min" in text
        if uncovered == 200:
            assert " more" in text


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_names_win_over_what_is_said_of_them(width: int) -> None:
    said, names = answer(4, 2), ["region-eu/studio-12/lobby-cam-01", "hall", "yard", "region-eu/studio-12/lobby-cam-02"]
    for name, one in zip(names, said["streams"], strict=True):
        one["stream"] = name
    lines = drawn(width, lambda: coverage_view.draw(said, width=width, height=None))
    text = "\n".join(lines)
    assert all(name in text for name in names)
    assert all("stalled" in line for line in lines if "lobby-cam-01" in line)
    assert all(len(line) <= width for line in lines)
    assert text.count("100.00 %") == 3, "the sums fit too"
    assert ("last seen something" in text) == (width >= 80)
    assert ("no media" in text) == (width >= 120)
    assert "last frame" not in text, "where a picture shows nothing, frames come"


def test_watching_into_a_pipe_shows_each_picture_as_it_comes() -> None:
    with daemon(json.dumps(answer(5, 2)).encode()) as url:
        words = (sys.executable, "-m", "streamwatch", "coverage", "--url", url, "--watch")
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            seen = [next(line for line in process.stdout if "coverage of edge-1" in line) for _ in range(2)]
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert len(seen) == 2
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_hundred_percent_is_said_of_nothing_less() -> None:
    text = "\n".join(drawn(120, lambda: coverage_view.draw(answer(3, 0), width=120, height=None)))
    assert "99.99 %" in text
    assert "95.00 %" in text
    assert "100.00 %" in text


def test_an_answer_that_is_old_is_said_to_be() -> None:
    text = "\n".join(drawn(120, lambda: coverage_view.draw(answer(3, 0), width=120, height=30, trouble="no daemon")))
    assert "no daemon (below: what it said last)" in text
