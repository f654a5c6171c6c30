import asyncio
import os
import sys
from pathlib import Path

import pytest

from streamwatch.bench import programs
from streamwatch.bench.programs import Child, finish, pinned, require
from streamwatch.domain.errors import OutsideError
from tests.integration.process import alive

ALL = frozenset(os.sched_getaffinity(0))
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"


def child(code: str, **more: object) -> Child:
    return Child("a program", [sys.executable, "-c", code], cores=ALL, **more)  # type: ignore[arg-type]


def test_every_missing_package_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_MODULE_FOLDERS", (str(tmp_path),))
    with pytest.raises(OutsideError) as caught:
        require(("ffmpeg", "nginx", "mosquitto", "mosquitto_sub"), extra=("no_such_module",))
    assert "apt install ffmpeg nginx-light mosquitto mosquitto-clients libnginx-mod-rtmp" in str(caught.value)
    assert "pip install 'streamwatch[bench]'" in str(caught.value)
    assert caught.value.exit_code == 3


async def test_a_program_runs_on_the_cores_it_was_given_and_we_on_ours() -> None:
    said: list[str] = []
    core = min(ALL)
    code = "import os; print(os.sched_getaffinity(0))"
    one = Child("a program", [sys.executable, "-c", code], cores=frozenset({core}), on_line=said.append)
    await finish(one, limit_s=10)
    assert said == [str({core})]
    assert frozenset(os.sched_getaffinity(0)) == ALL


def test_pinning_ends_with_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), pinned(frozenset({min(ALL)})):
        _ = 1 / 0
    assert frozenset(os.sched_getaffinity(0)) == ALL


async def test_a_program_that_will_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_STOP_S", 0.1)
    on = asyncio.Event()
    async with child(STUBBORN, on_line=lambda _: on.set()) as one:
        await asyncio.wait_for(on.wait(), 10)
        pid = one.pid
    assert not alive(pid)


async def test_it_is_ended_when_we_are_cancelled() -> None:
    started = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        async with child("import time; time.sleep(60)") as one:
            started.set_result(one.pid)
            await asyncio.Event().wait()

    holding = asyncio.create_task(hold())
    pid = await asyncio.wait_for(started, 10)
    holding.cancel()
    await asyncio.wait({holding})
    assert not alive(pid)


async def test_a_failure_carries_the_last_words() -> None:
    with pytest.raises(OutsideError, match="status 1: no such thing"):
        await finish(child("raise SystemExit('no such thing')"), limit_s=10)


async def test_what_takes_too_long_is_given_up() -> None:
    with pytest.raises(OutsideError, match="not done after"):
        await finish(child("import time; time.sleep(60)"), limit_s=0.2)


async def test_a_program_that_ends_before_it_listens_says_why() -> None:
    async with child("raise SystemExit('no port for me')") as one:
        with pytest.raises(OutsideError, match="no port for me"):
            await one.listening(programs.free_port())


async def test_a_program_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="cannot be started"):
        await Child("a program", [str(tmp_path / "none")], cores=ALL).start()
