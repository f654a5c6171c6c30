"""The other layers: dumps, tracing, signals, descriptors, limits; and what is said when one is missing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from streamwatch.domain.errors import SandboxError
from streamwatch.sandbox import kernel, landlock
from streamwatch.sandbox.enter import probe, refuse_missing, watcher_layers
from streamwatch.sandbox.grant import ANYWHERE
from streamwatch.sandbox.report import LayerState
from tests.sandbox.children import ENTER, REPOSITORY, alive, output, run


def test_every_layer_is_in_force_and_says_so():
    code = "print([(state.name, state.in_force) for state in states])"
    names = (
        "descriptors", "descriptor_room", "no_new_privileges", "no_dumps", "no_file_growth", "address_space", "no_swap",
        "capabilities", "landlock", "reading", "tcp_ports", "scopes", "system_calls",
    )  # fmt: skip
    assert output(code) == str([(name, True) for name in names])


def test_abort_leaves_no_core(tmp_path: Path):
    before = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)"
    done = run("import os; os.abort()", before=before, cwd=tmp_path)
    assert done.returncode == -signal.SIGABRT
    assert list(tmp_path.iterdir()) == []


def test_the_kernel_counts_no_dump_for_a_process_killed_by_a_fault():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    child = subprocess.Popen(
        [sys.executable, "-c", ENTER.format(mode="required", keep=(), grant=ANYWHERE) + code],
        env={"PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, status = os.waitpid(child.pid, 0)
    child.returncode = status
    for pipe in (child.stdout, child.stderr):
        assert pipe is not None
        pipe.close()
    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)


BECOME_NOBODY = """
import os, ctypes
from streamwatch.sandbox.enter import enter
libc = ctypes.CDLL(None, use_errno=True)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
libc.prctl(4, 1, 0, 0, 0)  # changing the user cleared the dumpable flag: give it back, as an ordinary start has it
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become two processes of another user")
@pytest.mark.parametrize(("mode", "refused"), [("required", ["mem", "ptrace"]), ("off", [])])
def test_another_process_of_the_same_user_can_neither_read_its_memory_nor_trace_it(mode: str, refused: list[str]):
    """`off` shows that the attempt itself would succeed."""
    victim = f"""
    enter({mode!r}, keep_fds=())
    libc.prctl(0x59616D61, -1, 0, 0, 0)  # where Yama is active: let anyone try
    print("in", flush=True)
    import time
    time.sleep(60)
    """
    tracer = """
    refused = []
    pid = int(os.environ["VICTIM"])
    try:
        open(f"/proc/{pid}/mem", "rb").close()
    except PermissionError:
        refused.append("mem")
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(0x4206, pid, None, None) < 0:  # PTRACE_SEIZE
        refused.append("ptrace")
    print(refused)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", BECOME_NOBODY + textwrap.dedent(victim)],
        env={"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        assert output(tracer, mode=None, before=BECOME_NOBODY, env={"VICTIM": str(process.pid)}) == str(refused)
    finally:
        process.kill()
        process.communicate()


def test_it_cannot_signal_processes_outside():
    code = """
    import os
    try:
        os.kill(os.getppid(), 0)
    except PermissionError:
        print("refused")
    """
    if kernel.landlock_abi() < landlock._SCOPE_ABI:
        pytest.skip("this kernel's Landlock has no scopes")
    assert output(code) == "refused"


def test_inherited_descriptors_are_closed_and_the_link_is_kept():
    ours, link = socket.socketpair()
    other, leaked = socket.socketpair()
    with ours, link, other, leaked:
        code = f"""
        import os, socket
        socket.socket(fileno={link.fileno()}).send(b"kept")
        try:
            os.fstat({leaked.fileno()})
        except OSError:
            print("closed", os.read(0, 1), os.readlink("/proc/self/fd/0"))
        """
        said = output(code, keep=[link.fileno()], pass_fds=[link.fileno(), leaked.fileno()], stdin=subprocess.PIPE)
        assert said == "closed b'' /dev/null"
        assert ours.recv(10) == b"kept"


def test_descriptors_are_closed_one_by_one_where_the_kernel_cannot_close_ranges():
    before = """
    import os
    from streamwatch.sandbox import kernel
    leaked = [os.dup(1) for _ in range(20)]
    def missing(first, last):
        raise OSError(38, "Function not implemented")
    kernel.close_range = missing
    """
    assert output("print(sorted(os.listdir('/proc/self/fd'))[:3], states[0].in_force)", before=before) == (
        "['0', '1', '2'] True"
    )


def test_as_many_descriptors_as_the_system_allows():
    before = """
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    """
    assert output("print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))", before=before) == "True"


def test_off_gives_up_nothing_and_says_so(tmp_path: Path):
    target = tmp_path / "written"
    code = f"""
    open({str(target)!r}, "w").write("x")
    print(len(states), any(state.in_force for state in states), states[0].detail)
    """
    assert output(code, mode="off") == "13 False privacy.sandbox: off"
    assert target.read_text() == "x"


WITHOUT = """
from streamwatch.sandbox import kernel
def missing():
    raise OSError(38, "Function not implemented")
kernel.landlock_abi = missing
"""


def test_required_refuses_a_kernel_without_landlock_and_says_what_to_do():
    done = run("", before=WITHOUT)
    assert done.returncode == 1
    assert "SandboxError" in done.stderr
    for word in (
        "Function not implemented",
        "landlock",
        "privacy.sandbox: preferred",
        "no longer the operating system",
    ):
        assert word in done.stderr


def test_preferred_goes_on_without_landlock_and_reports_it():
    code = "print([(state.name, state.detail) for state in states if not state.in_force])"
    said = output(code, mode="preferred", before=WITHOUT)
    assert said.startswith("[('landlock', 'this kernel (or container) offers no Landlock: Function not implemented")


def test_a_layer_that_is_not_required_never_refuses():
    class Optional:
        name = "seccomp"
        required = False

        def apply(self) -> LayerState:
            return LayerState(self.name, in_force=False, detail="not built")

        def probe(self) -> LayerState:
            return self.apply()

    layer = Optional()
    refuse_missing([layer], [layer.apply()])
    assert probe([layer]) == (LayerState("seccomp", in_force=False, detail="not built"),)


def test_a_new_required_layer_refuses_without_a_change_elsewhere():
    class Required:
        name = "seccomp"
        required = True

        def apply(self) -> LayerState:
            return LayerState(self.name, in_force=False, detail="no filter")

        def probe(self) -> LayerState:
            return self.apply()

    with pytest.raises(SandboxError, match="seccomp: no filter"):
        refuse_missing([Required()], [Required().apply()])


def test_probe_changes_nothing_and_names_every_layer(tmp_path: Path):
    states = probe()
    assert [state.name for state in states] == [layer.name for layer in watcher_layers((), ANYWHERE)]
    (tmp_path / "still").write_text("writable")


@pytest.mark.parametrize(
    ("abi", "rights"),
    [(1, 0x1FF2), (2, 0x3FF2), (3, 0x7FF2), (4, 0x7FF2), (5, 0xFFF2), (6, 0xFFF2), (7, 0xFFF2)],
)
def test_only_rights_that_the_abi_knows_are_asked_for(abi: int, rights: int):
    assert landlock.write_rights(abi) == rights


def test_an_old_abi_says_what_it_cannot_forbid():
    assert landlock._covers(2) == ("ABI 2: nothing can be written; this kernel cannot forbid truncating, device ioctls")


def test_every_older_abi_is_accepted_by_the_kernel_and_forbids_writing(tmp_path: Path):
    for abi in range(1, kernel.landlock_abi() + 1):
        before = f"""
        from streamwatch.sandbox import kernel
        kernel.landlock_abi = lambda: {abi}
        """
        code = f"""
        try:
            open({str(tmp_path / "new")!r}, "w")
        except PermissionError:
            print([one.in_force for one in states if one.name == "landlock"])
        """
        assert output(code, before=before) == "[True]"


def test_the_watcher_dies_with_the_process_that_started_it():
    parent = """
    import subprocess, sys
    code = "from streamwatch.sandbox.enter import enter; enter('off', keep_fds=()); print('in', flush=True)"
    code += "; import time; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child.stdout.readline()
    print(child.pid)
    """
    pid = int(output(parent, mode=None))
    assert not alive(pid)
