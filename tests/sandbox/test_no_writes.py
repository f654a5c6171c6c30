"""Nothing can be written from inside: every way in, from every thread, before and after the heavy imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox.children import output, run

ATTEMPTS = """
import os, sys, ctypes, socket, tempfile, threading, mmap
folder = os.environ["TARGET"]
there = os.path.join(folder, "there")
new = os.path.join(folder, "new")
libc = ctypes.CDLL(None, use_errno=True)

def c(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")

def into_memory_file():
    fd = os.memfd_create("x")
    try:
        os.write(fd, b"pixels")
    finally:
        os.close(fd)

def shared_memory():
    from multiprocessing import shared_memory
    shared_memory.SharedMemory(create=True, size=10)

attempts = {
    "open w": lambda: open(new, "w"),
    "open a": lambda: open(there, "a"),
    "open r+": lambda: open(there, "r+"),
    "create": lambda: os.open(new, os.O_CREAT | os.O_RDONLY, 0o600),
    "O_TMPFILE": lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR),
    "mkdir": lambda: os.mkdir(new),
    "mkfifo": lambda: os.mkfifo(new),
    "mknod": lambda: os.mknod(new),
    "symlink": lambda: os.symlink(there, new),
    "link": lambda: os.link(there, os.path.join(folder, "inner", "new")),
    "unlink": lambda: os.unlink(there),
    "rmdir": lambda: os.rmdir(os.path.join(folder, "inner")),
    "rename": lambda: os.rename(there, new),
    "truncate": lambda: os.truncate(there, 0),
    "unix socket": lambda: socket.socket(socket.AF_UNIX).bind(new),
    "/dev/shm": lambda: open("/dev/shm/streamwatch-test", "w"),
    "/dev/null": lambda: open("/dev/null", "w"),
    "shared memory": shared_memory,
    "memory file": into_memory_file,
    "temporary file": lambda: tempfile.NamedTemporaryFile(dir=folder),
    "by C": lambda: c(libc.open(new.encode(), os.O_CREAT | os.O_WRONLY, 0o600)),
}

def succeeded():
    done = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        done.append(name)
    return done
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "there").write_text("kept")
    (tmp_path / "inner").mkdir()
    return tmp_path


def unchanged(target: Path) -> bool:
    names = sorted(path.name for path in target.iterdir())
    return names == ["inner", "there"] and (target / "there").read_text() == "kept"


def test_outside_the_sandbox_every_attempt_works_so_the_attempts_mean_something(tmp_path: Path):
    done = []
    for name in ("open w", "create", "O_TMPFILE", "mkdir", "symlink", "unlink", "rename", "truncate", "link", "by C"):
        folder = tmp_path / name.replace(" ", "-").replace("/", "")
        folder.mkdir()
        (folder / "there").write_text("kept")
        (folder / "inner").mkdir()
        code = ATTEMPTS + f"\nattempts = {{{name!r}: attempts[{name!r}]}}\nprint(succeeded())"
        done.append(output(code, mode=None, env={"TARGET": str(folder)}) == str([name]))
    assert all(done)


def test_every_way_of_writing_fails(target: Path):
    assert output(ATTEMPTS + "\nprint(succeeded())", env={"TARGET": str(target)}) == "[]"
    assert unchanged(target)


def test_a_thread_started_afterwards_cannot_write_either(target: Path):
    code = """
answers = []
thread = threading.Thread(target=lambda: answers.append(succeeded()))
thread.start()
thread.join()
print(answers)
"""
    assert output(ATTEMPTS + code, env={"TARGET": str(target)}) == "[[]]"
    assert unchanged(target)


def test_nothing_can_be_written_after_the_heavy_imports_and_from_their_threads(target: Path):
    code = """
import numpy, av, cv2, onnxruntime
threads = len(os.listdir("/proc/self/task"))
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(3) as pool:
    print([pool.submit(succeeded).result() for _ in range(3)], succeeded())
try:
    cv2.imwrite(new + ".png", numpy.zeros((8, 8, 3), "u1"))
except cv2.error:
    pass
try:
    av.open(new + ".mkv", "w")
except OSError:
    pass
try:
    numpy.save(new, numpy.zeros(3))
except OSError:
    pass
"""
    assert output(ATTEMPTS + code, env={"TARGET": str(target)}) == "[[], [], []] []"
    assert unchanged(target)


def test_reading_still_works(target: Path):
    code = 'print(open(there).read(), len(os.listdir(folder)), bool(open("/etc/hosts").read()))'
    assert output(ATTEMPTS + code, env={"TARGET": str(target)}) == "kept 2 True"


def test_an_inherited_descriptor_of_a_file_takes_no_byte(tmp_path: Path):
    path = tmp_path / "inherited"
    path.write_bytes(b"old content")
    with path.open("r+b") as file:
        code = f"""
        import os
        try:
            os.write({file.fileno()}, b"pixels")
        except OSError as error:
            print(error.errno == 27)  # EFBIG
        """
        assert output(code, keep=[file.fileno()], pass_fds=[file.fileno()]) == "True"
    assert path.read_bytes() == b"old content"


def test_a_process_that_already_has_threads_is_refused():
    before = """
    import threading
    stop = threading.Event()
    threading.Thread(target=stop.wait, daemon=True).start()
    """
    done = run("print(states)", before=before)
    assert done.returncode == 1
    assert "2 threads run already" in done.stderr
    assert "SandboxError" in done.stderr
