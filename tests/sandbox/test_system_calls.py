"""What leaks through Landlock alone, really tried in a watcher's place: each is refused there, and works outside."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from streamwatch.sandbox.enter import enter_daemon
from streamwatch.sandbox.grant import ANYWHERE, Grant
from tests.sandbox.children import output, run

LEAKS = """
import ctypes, errno, os, platform, signal, socket, subprocess, threading
libc = ctypes.CDLL(None, use_errno=True)
there = os.environ.get("THERE", "")
other = int(os.environ.get("OTHER", "0"))

def c(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def call(number, *arguments):
    from streamwatch.sandbox.syscalls import this_machine
    c(libc.syscall(ctypes.c_long(this_machine().numbers[number]), *map(ctypes.c_long, arguments)))

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

def unix():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.sendto(b"x", os.environ["UNIX"])

def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"pixels", ("127.0.0.1", other))

def tcp(protocol=0):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as made:
        made.connect(("127.0.0.1", other))

def serve():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()

def inode():
    # flags of a file that is open for reading: bits that stay on the disk
    import fcntl
    with open(there, "rb") as file:
        flags = fcntl.ioctl(file, 0x80086601, bytes(8))  # FS_IOC_GETFLAGS
        fcntl.ioctl(file, 0x40086602, flags)

def owner():
    import fcntl
    fcntl.fcntl(1, fcntl.F_SETOWN, os.getpid())

def sibling(flags):
    # a process by clone itself, as no wrapper of the C library makes it
    number = 56 if platform.machine() == "x86_64" else 220
    pid = c(libc.syscall(ctypes.c_long(number), ctypes.c_long(flags | signal.SIGCHLD), *(ctypes.c_long(0),) * 4))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

attempts = {
    "inode": inode, "owner": owner, "renice": lambda: os.setpriority(os.PRIO_PROCESS, 0, 1),
    "clone": lambda: sibling(0), "namespace": lambda: sibling(0x10000000),
    "setxattr": lambda: os.setxattr(there, "user.x", b"pixels"),
    "removexattr": lambda: os.removexattr(there, "user.x"),
    "chmod": lambda: os.chmod(there, 0o640),
    "chown": lambda: os.chown(there, os.getuid(), os.getgid()),
    "utime": lambda: os.utime(there, (1, 1)),
    "memfd": lambda: os.close(os.memfd_create("x")),
    "fork": fork,
    "exec": lambda: subprocess.run(["/bin/true"], check=True),
    "posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "unix": unix, "udp": udp, "tcp": tcp, "mptcp": lambda: tcp(262), "serve": serve,
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
    "signal": lambda: os.kill(os.getppid(), 0),
    "dumpable": lambda: c(libc.prctl(4, 1, 0, 0, 0)),
    "survive": lambda: c(libc.prctl(1, 0, 0, 0, 0)),
    "unshare": lambda: c(libc.unshare(0x400)),
    "shm": lambda: c(libc.shmctl(c(libc.shmget(0, 4096, 0o1600)), 0, None)),
    "io_uring": lambda: call("io_uring_setup", 0, 0),
    "keyring": lambda: call("keyctl", 0, -3, 1),
    "userfaultfd": lambda: os.close(libc.syscall(ctypes.c_long(323 if platform.machine() == "x86_64" else 282), 1)),
    "personality": lambda: call("personality", 0xFFFFFFFF),
    "rlimit": lambda: __import__("resource").setrlimit(7, (64, 64)),
    "inotify": lambda: os.close(c(libc.inotify_init1(0))),
}

def succeeded(names=None):
    done = []
    for name in names or attempts:
        try:
            attempts[name]()
        except (OSError, ValueError) as error:
            if getattr(error, "errno", 0) == errno.EINVAL:
                done.append(name)  # it got to the kernel, which found fault with our arguments
            continue
        done.append(name)
    return done
"""


@pytest.fixture
def env(tmp_path: Path):
    there = tmp_path / "there"
    there.write_text("kept")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix,
    ):
        unix.bind(str(tmp_path / "unix"))
        yield {"THERE": str(there), "UNIX": str(tmp_path / "unix"), "OTHER": str(server.getsockname()[1])}


def test_outside_the_attempts_work_so_they_mean_something(env: dict[str, str]):
    said = output(LEAKS + "\nprint(*succeeded())", mode=None, env=env).split()
    # what this machine or its user does not allow anyway may be missing
    assert set(said) >= {
        "setxattr", "removexattr", "chmod", "utime", "memfd", "fork", "exec", "posix_spawn", "unix", "udp", "tcp",
        "serve", "netlink", "signal", "dumpable", "survive", "shm", "personality", "rlimit", "inotify", "owner",
        "renice", "clone",
    }  # fmt: skip


def test_inside_none_works_but_what_was_granted(env: dict[str, str]):
    assert output(LEAKS + "\nprint(*succeeded())", env=env) == "udp tcp"
    assert output(LEAKS + "\nprint(*succeeded())", env=env, grant=Grant()) == ""


def test_only_the_granted_port_can_be_connected_to(env: dict[str, str]):
    port = int(env["OTHER"])
    assert output(LEAKS + "\nprint(*succeeded())", env=env, grant=Grant(ports=(port,))) == "tcp"
    assert output(LEAKS + "\nprint(*succeeded())", env=env, grant=Grant(ports=(port - 1,))) == ""


def test_threads_that_run_already_are_filtered_too(env: dict[str, str]):
    """As `preferred` goes on without Landlock for them: the filter at least holds everywhere."""
    before = """
    import threading
    go, said = threading.Event(), []
    thread = threading.Thread(target=lambda: (go.wait(), said.extend(succeeded(["fork", "memfd", "chmod", "tcp"]))))
    thread.start()
    """
    code = """
    go.set()
    thread.join()
    print(*said)
    """
    assert (
        output(code, before=LEAKS + "\n" + before.replace("\n    ", "\n"), mode="preferred", env=env, grant=Grant())
        == ""
    )


def test_a_connection_that_was_handed_over_works_where_none_can_be_made():
    """As a socket that the parent connects: asyncio reads and writes it, TLS could be put on it."""
    code = """
    import asyncio, socket, sys
    async def talk():
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=FD))
        writer.write(b"hello")
        print(await reader.read(100))
        writer.close()
    asyncio.run(talk())
    """
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as made:
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"welcome")
            fd = made.fileno()
            assert output(code.replace("FD", str(fd)), keep=[fd], pass_fds=[fd], grant=Grant()) == "b'welcome'"
            assert accepted.recv(10) == b"hello"


def test_only_what_was_granted_can_be_read(tmp_path: Path):
    model, secret = tmp_path / "model", tmp_path / "secret"
    model.mkdir()
    (model / "weights").write_text("1")
    secret.write_text("s")
    code = f"""
    def can(path):
        try:
            return len(open(path, "rb").read(1))
        except OSError:
            return 0
    print(*map(can, [{str(model / "weights")!r}, {str(secret)!r}, "/etc/passwd", "/proc/1/environ", "/proc/self/maps"]))
    """
    assert output(code, grant=Grant(read=(str(model),))) == "1 0 0 0 1"


def test_abort_and_faults_still_end_the_process_by_their_signal():
    assert run("import os; os.abort()", grant=Grant()).returncode == -6
    assert run("import ctypes; ctypes.string_at(0)", grant=Grant()).returncode == -11


DAEMON = """
import os
from streamwatch.sandbox.enter import enter_daemon
states = enter_daemon("required", writable=(os.environ["STATE"],))
print(all(state.in_force for state in states))
"""


def test_the_daemon_writes_its_folder_and_nothing_else(tmp_path: Path):
    state = tmp_path / "state"
    state.mkdir()
    code = """
import sqlite3, subprocess
def can(path):
    try:
        open(path, "w").close()
        return 1
    except OSError:
        return 0
print(*map(can, [state + "/x", state + "/../x", "/tmp/streamwatch-x", "/dev/shm/streamwatch-x", "/dev/null"]))
db = sqlite3.connect(state + "/db")
db.execute("PRAGMA temp_store=MEMORY")  # as the ledger does
db.execute("PRAGMA journal_mode=WAL")
with db:
    db.execute("CREATE TABLE t (x)")
    db.executemany("INSERT INTO t VALUES (?)", [("y" * 1000,)] * 20000)
db.execute("CREATE INDEX i ON t (x)")
db.execute("VACUUM")
print(subprocess.run(["/bin/sh", "-c", f"echo x > {state}/../y"], stderr=subprocess.DEVNULL).returncode != 0)
print(*succeeded(["clone", "namespace"]))
print(*succeeded(["unshare", "io_uring", "keyring", "personality", "shm", "dumpable", "fork", "memfd", "tcp", "serve"]))
"""
    said = output(
        LEAKS + DAEMON + "state = os.environ['STATE']" + code, mode=None, env={"STATE": str(state), "OTHER": "1"}
    )
    assert said.splitlines() == ["True", "1 0 0 0 1", "True", "clone", "dumpable fork memfd serve"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_a_watcher_gives_up_the_rest_below_its_daemon(tmp_path: Path):
    code = """
import subprocess, sys
inner = "from streamwatch.sandbox.enter import enter\\nfrom streamwatch.sandbox.grant import Grant\\n"
inner += "print(all(state.in_force for state in enter('required', keep_fds=(), grant=Grant())))\\n"
inner += f"try:\\n open({os.environ['STATE']!r} + '/x', 'w')\\nexcept OSError as error: print(error.errno)"
print(subprocess.run([sys.executable, "-c", inner], capture_output=True, text=True).stdout.split())
"""
    said = output(DAEMON + code, mode=None, env={"STATE": str(tmp_path)})
    assert said.splitlines() == ["True", "['True', '1']"]


def test_required_refuses_a_machine_whose_numbers_nobody_knows():
    before = """
    import platform
    platform.machine = lambda: "riscv64"
    """
    done = run("", before=before)
    assert done.returncode == 1
    assert "system_calls: this kernel (or container) takes no filter" in done.stderr
    assert "riscv64" in done.stderr


def test_the_daemons_layers_are_probed_without_effect():
    assert enter_daemon("off", writable=())[0].detail == "privacy.sandbox: off"


def test_memory_is_locked_where_the_machine_swaps(tmp_path: Path):
    """With a list of swap devices that has one."""
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2\n")
    code = f"""
    from streamwatch.sandbox.limits import NoSwap
    state = NoSwap({str(swaps)!r}).apply()
    locked = [line for line in open("/proc/self/status") if line.startswith("VmLck")][0].split()[1]
    print(state.in_force, int(locked) > 1000, "LimitMEMLOCK" in state.detail)
    """
    assert output(code, mode=None) in ("True True False", "False False True")


def test_the_grant_that_holds_nothing_back_is_no_default():
    assert Grant() != ANYWHERE
