"""What a watcher was looking at survives its death, and is nothing but numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from streamwatch.link.blackbox import CELLS, SIZE, VARIABLE, BlackBox, BlackBoxReader

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def reader():
    reader = BlackBoxReader()
    yield reader
    reader.close()


def attached(reader: BlackBoxReader) -> BlackBox:
    return BlackBox.inherited({VARIABLE: str(os.dup(reader.descriptor))})


def test_a_look_is_seen_while_it_lasts_and_not_afterwards(reader: BlackBoxReader):
    box = attached(reader)
    with box.looking(7), box.looking(2**40):
        assert sorted(reader.read()) == [7, 2**40]
    assert reader.read() == ()


def test_a_look_that_raises_is_over(reader: BlackBoxReader):
    box = attached(reader)
    with pytest.raises(ZeroDivisionError), box.looking(7):
        raise ZeroDivisionError
    assert reader.read() == ()


def test_threads_do_not_disturb_each_other(reader: BlackBoxReader):
    box = attached(reader)
    barrier = threading.Barrier(9)

    def look(epoch: int) -> None:
        for _ in range(200):
            with box.looking(epoch):
                pass
        with box.looking(epoch):
            barrier.wait(10)
            barrier.wait(10)

    threads = [threading.Thread(target=look, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    barrier.wait(10)
    assert sorted(reader.read()) == list(range(1, 9))
    barrier.wait(10)
    for thread in threads:
        thread.join()
    assert reader.read() == ()


def test_more_looks_than_cells_are_still_looks(reader: BlackBoxReader):
    box = attached(reader)
    with ExitStack() as looks:
        for n in range(CELLS + 10):
            looks.enter_context(box.looking(n + 1))
        assert sorted(reader.read()) == list(range(1, CELLS + 1))
    assert reader.read() == ()


def test_the_watcher_keeps_no_descriptor_and_can_mark_inside_the_sandbox(reader: BlackBoxReader):
    code = """
import os, signal
from streamwatch.link.blackbox import BlackBox
box = BlackBox.inherited()
from streamwatch.sandbox.enter import enter
enter("required", keep_fds=())
with box.looking(99):
    os.kill(os.getpid(), signal.SIGSEGV)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(REPOSITORY), VARIABLE: str(reader.descriptor)},
        pass_fds=(reader.descriptor,),
        capture_output=True,
        check=False,
    )
    assert done.returncode == -11, done.stderr
    assert reader.read() == (99,)


def test_a_watcher_cannot_make_the_page_larger_or_smaller(reader: BlackBoxReader):
    for size in (0, SIZE * 1000):
        with pytest.raises(PermissionError):
            os.ftruncate(reader.descriptor, size)
    with pytest.raises(PermissionError):
        os.pwrite(reader.descriptor, b"x", SIZE)


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}, {VARIABLE: "999999"}, {VARIABLE: "x"}])
def test_without_a_page_of_the_daemon_looks_work_all_the_same(environment: dict[str, str]):
    with BlackBox.inherited(environment).looking(5):
        pass
