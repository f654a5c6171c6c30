"""One watcher process: what it inherits, what it says, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import OutsideError
from streamwatch.fleet.output import MAX_LINE, Lines
from streamwatch.fleet.process import WatcherProcess, environment
from streamwatch.link.messages import Ready
from tests.fleet.fleets import configure, fake
from tests.sandbox.children import alive

REPOSITORY = Path(__file__).parents[2]


async def started(*arguments: str) -> WatcherProcess:
    process = await WatcherProcess.start(fake(*arguments), name="watcher-0", clock=SystemClock())
    process.link.post(configure())
    while not isinstance(await process.link.receive(), Ready):
        pass
    return process


async def test_a_watcher_inherits_no_secret_no_proxy_and_no_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MQTT_PASSWORD", "secret")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("TZ", "UTC")
    process = await started("--say", "environment")
    await process.stop()
    said = json.loads("".join(process.last_words))
    assert not {"MQTT_PASSWORD", "http_proxy", "HOME", "CI"} & said["env"].keys()
    assert said["env"]["ORT_DISABLE_TELEMETRY"] == "1"
    assert said["env"]["TZ"] == "UTC"
    assert said["sid"] == said["pid"] == process.pid


def test_the_package_is_found_by_the_watcher_wherever_it_lies():
    env = environment({"PYTHONPATH": "/elsewhere", "SECRET": "x"})
    assert env["PYTHONPATH"] == f"{REPOSITORY}{os.pathsep}/elsewhere"
    assert "SECRET" not in env


async def test_asked_to_stop_it_exits():
    process = await started()
    assert await process.stop() == "exit"


async def test_a_watcher_that_does_not_listen_is_killed():
    process = await started("--deaf")
    assert await process.stop(ask_s=0.1, term_s=0.1) == "signal:SIGKILL"


async def test_a_watcher_that_only_obeys_signals_is_terminated():
    process = await started()
    os.kill(process.pid, signal.SIGSTOP)
    stopping = process.stop(ask_s=0.1, term_s=0.1)
    assert await stopping == "signal:SIGKILL"  # frozen: not even SIGTERM is delivered
    process = await started()
    process.link.abort()
    assert await process.wait() == "exit"  # and the end of the link alone is enough
    await process.stop()


async def test_a_command_that_does_not_exist_is_an_outside_error():
    with pytest.raises(OutsideError, match="cannot be started"):
        await WatcherProcess.start(lambda _: ["/nonexistent"], name="watcher-0", clock=SystemClock())


async def test_what_it_prints_is_logged_harmless():
    with capture_logs() as logs:
        process = await started("--say", "one\x1b[2Jtwo\u202e\nthree" + "x. " * 5000)
        await process.stop()
    texts = [entry["text"] for entry in logs if entry["event"] == "watcher says"]
    assert texts[0] == "one\ufffd[2Jtwo\ufffd"
    assert len(texts[1]) == MAX_LINE


def test_lines_are_cut_from_any_pieces():
    lines = Lines()
    assert lines.feed(b"on", 0) == []
    assert lines.feed(b"e\ntwo\n\nth", 0) == ["one", "two"]
    assert lines.rest() == "th"
    assert lines.rest() == ""


def test_a_line_without_an_end_takes_no_more_memory():
    lines = Lines()
    for _ in range(1000):
        lines.feed(b"x" * 1000, 0)
    assert len(lines._partial) <= MAX_LINE * 4
    assert 0 < len(lines.rest()) <= MAX_LINE


def test_a_flood_of_lines_is_counted_instead_of_logged():
    lines = Lines()
    assert len(lines.feed(b"a\n" * 1000, 0)) == 100
    assert lines.suppressed == 900
    assert lines.feed(b"b\n", 0) == []
    assert lines.feed(b"c\n", 10) == ["c", "… 901 lines were too many"]


async def test_a_watcher_that_floods_its_output_is_slowed_down_and_can_be_stopped():
    code = "import sys\nwhile True: sys.stdout.write('x' * 100000)"
    process = await WatcherProcess.start(lambda _: [sys.executable, "-c", code], name="watcher-0", clock=SystemClock())
    assert await process.stop(ask_s=1.5) == "signal:SIGTERM"


def test_a_watcher_does_not_outlive_a_killed_daemon():
    daemon = """
    import asyncio, os, signal
    from tests.fleet.test_process import started
    async def main():
        process = await started("--deaf")
        print(process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(daemon)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    assert not alive(int(done.stdout))
