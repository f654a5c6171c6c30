"""The filter as a program: every call there is, on both machines, through an interpreter of the kernel's language."""

from __future__ import annotations

import errno
import os
import socket
import struct

import pytest

from streamwatch.sandbox import bpf, calls
from streamwatch.sandbox.bpf import ALLOW, KILL, Clause, Has, Instruction, Is, Judgement, refuse
from streamwatch.sandbox.grant import ANYWHERE, Grant
from streamwatch.sandbox.syscalls import MACHINES, NEWEST, Machine

PID = 4711
NO = refuse(errno.EPERM)
X86 = MACHINES["x86_64"]


def answer(program: tuple[Instruction, ...], machine: Machine, number: int, *arguments: int) -> int:
    """What the kernel would do (Documentation/networking/filter.rst): only the instructions that we use."""
    filled = [value & (1 << 64) - 1 for value in (*arguments, *(0,) * (6 - len(arguments)))]
    data = struct.pack("<iIQ6Q", number, machine.audit, 0, *filled)
    at = accumulator = 0
    for _ in range(len(program)):
        code, yes, no, value = program[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += yes if accumulator == value else no
            case 0x35:
                at += yes if accumulator >= value else no
            case 0x25:
                at += yes if accumulator > value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(hex(code))
    raise AssertionError("it does not end")


def watcher(machine: Machine, grant: Grant = ANYWHERE) -> tuple[Instruction, ...]:
    return bpf.program(calls.of_a_watcher(grant, pid=PID), machine)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize(
    "rules", [calls.of_a_watcher(Grant(), pid=PID), calls.of_the_daemon()], ids=["watcher", "daemon"]
)
def test_every_call_is_answered_as_its_rule_says(machine: Machine, rules: bpf.Rules):
    program = bpf.program(rules, machine)
    names = {number: name for name, number in machine.numbers.items()}
    for number in range(NEWEST + 1):
        rule = rules.get(names.get(number, ""), ALLOW)
        if not isinstance(rule, Judgement):
            assert answer(program, machine, number) == rule, names.get(number, number)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_every_jump_stays_inside_and_the_kernel_takes_the_length(machine: Machine):
    program = watcher(machine)
    assert len(program) <= 4096
    for at, instruction in enumerate(program):
        assert at + 1 + max(instruction.if_true, instruction.if_false) < len(program) or instruction.code == 0x06
        assert max(instruction.if_true, instruction.if_false) < 256


def test_another_calling_convention_ends_the_process():
    program = watcher(X86)
    i386 = Machine(0x40000003, {})
    assert answer(program, i386, 11) == KILL
    assert answer(program, X86, 0x4000_0000 + 59) == KILL


def test_calls_that_nobody_has_judged_do_not_exist():
    assert answer(watcher(X86), X86, NEWEST + 1) == refuse(errno.ENOSYS)
    assert answer(watcher(X86), X86, NEWEST) == NO


def test_every_name_in_the_rules_has_a_number():
    rules = {**calls.of_a_watcher(Grant(), pid=1), **calls.of_the_daemon()}
    assert set(rules) <= set(X86.numbers)
    assert set(X86.numbers) <= set(rules)


INET, INET6, UNIX, NETLINK, PACKET, VSOCK, ALG = 2, 10, 1, 16, 17, 40, 38
STREAM, DGRAM, RAW = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
NONBLOCK = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
MPTCP = 262
SOCKETS = [
    # family, kind, protocol, and whether it may be made: nowhere, with ports, with datagrams, anywhere
    (INET, STREAM, 0, "nyyy"), (INET6, STREAM | NONBLOCK, 6, "nyyy"), (INET, STREAM, MPTCP, "nnnn"),
    (INET, DGRAM, 0, "nnyy"), (INET6, DGRAM | NONBLOCK, 17, "nnyy"), (INET, DGRAM, 1, "nnnn"), (INET, RAW, 255, "nnnn"),
    (UNIX, STREAM, 0, "nnnn"), (UNIX, DGRAM, 0, "nnnn"), (NETLINK, RAW, 0, "nnnn"), (PACKET, RAW, 0, "nnnn"),
    (VSOCK, STREAM, 0, "nnnn"), (ALG, 5, 0, "nnnn"),
]  # fmt: skip
GRANTS = [Grant(), Grant(ports=(1935,)), Grant(ports=(1935,), udp=True), ANYWHERE]


@pytest.mark.parametrize(("family", "kind", "protocol", "may"), SOCKETS)
def test_only_granted_sockets_are_made(family: int, kind: int, protocol: int, may: str):
    number = X86.numbers["socket"]
    said = [answer(watcher(X86, grant), X86, number, family, kind, protocol) == ALLOW for grant in GRANTS]
    assert "".join("y" if yes else "n" for yes in said) == may


@pytest.mark.parametrize(
    ("name", "arguments", "may"),
    [
        ("connect", (3, 1, 16), "nyyy"),
        ("bind", (3, 1, 16), "nnyy"),
        ("listen", (3, 1), "nnnn"),
        ("accept4", (3,), "nnnn"),
        ("socketpair", (UNIX, STREAM | NONBLOCK, 0), "yyyy"),
        ("socketpair", (UNIX, DGRAM, 0), "nnnn"),
        ("sendto", (3, 1, 5, socket.MSG_NOSIGNAL, 0, 0), "yyyy"),
        ("sendto", (3, 1, 5, 0x20000000, 1, 16), "nnnn"),
        ("sendto", (3, 1, 5, 0, 1 << 40, 16), "nnyy"),
        ("sendmsg", (3, 1, 0), "yyyy"),
        ("sendmsg", (3, 1, 0x20000000), "nnnn"),
        ("sendmmsg", (3, 1, 1, 0), "nnyy"),
    ],
)
def test_only_granted_ways_lead_out(name: str, arguments: tuple[int, ...], may: str):
    said = [answer(watcher(X86, grant), X86, X86.numbers[name], *arguments) == ALLOW for grant in GRANTS]
    assert "".join("y" if yes else "n" for yes in said) == may


THREAD = 0x3D0F00  # what pthread_create asks for
AT_FDCWD = -100


@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("clone", (THREAD,), True), ("clone", (17,), False), ("clone", (0x10000000 | 17,), False),
        ("openat", (AT_FDCWD, 1, os.O_RDONLY | os.O_CLOEXEC), True), ("openat", (AT_FDCWD, 1, os.O_WRONLY), False),
        ("openat", (AT_FDCWD, 1, os.O_RDWR), False), ("openat", (AT_FDCWD, 1, os.O_CREAT), False),
        ("openat", (AT_FDCWD, 1, os.O_TMPFILE), False), ("openat", (AT_FDCWD, 1, os.O_DIRECTORY), True),
        ("openat", (AT_FDCWD, 1, os.O_TRUNC), False), ("open", (1, os.O_WRONLY), False), ("open", (1, 0), True),
        ("prctl", (15, 1), True), ("prctl", (4, 1), False), ("prctl", (1, 0), False), ("prctl", (35, 1), False),
        ("prctl", (0x59616D61, -1), False),
        ("prlimit64", (0, 9, 0, 1), True), ("prlimit64", (PID, 9, 0, 1), True), ("prlimit64", (0, 9, 1, 0), False),
        ("prlimit64", (0, 9, 1 << 33, 0), False), ("prlimit64", (1, 9, 0, 1), False),
        ("kill", (PID, 6), True), ("kill", (1, 0), False), ("kill", (-1, 9), False), ("kill", (0, 9), False),
        ("tgkill", (PID, 1, 6), True), ("tgkill", (1, 1, 6), False),
        ("ioctl", (0, 0x5412, 1), False), ("ioctl", (0, 0x541B, 1), True), ("ioctl", (0, 0x8914, 1), False),
    ],
)  # fmt: skip
def test_calls_are_judged_by_what_they_ask_for(name: str, arguments: tuple[int, ...], *, allowed: bool):
    assert (answer(watcher(X86), X86, X86.numbers[name], *arguments) == ALLOW) is allowed


def test_all_tests_of_a_clause_must_hold_and_the_first_clause_that_does_counts():
    rule = Judgement((Clause((Is(0, 1), Has(1)), 10), Clause((Is(0, 1, mask=3),), 11), Clause((Has(2, 8),), 12)), 13)
    program = bpf.program({"socket": rule}, X86)
    number = X86.numbers["socket"]
    said = [answer(program, X86, number, *a) for a in [(1, 1), (1, 1 << 35), (1, 0), (5, 0), (2, 0, 9), (2, 0, 7)]]
    assert said == [10, 10, 11, 11, 12, 13]


THREAD, NEWUSER, NEWNS = 0x3D0F00, 0x1000_0000, 0x2_0000


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_threads_are_made_processes_by_the_daemon_alone_and_namespaces_by_nobody(machine: Machine):
    daemon = bpf.program(calls.of_the_daemon(), machine)
    for flags, may in ((THREAD, (ALLOW, ALLOW)), (17, (NO, ALLOW)), (THREAD | NEWNS, (NO, NO)), (NEWUSER, (NO, NO))):
        number = machine.numbers["clone"]
        assert (answer(watcher(machine), machine, number, flags), answer(daemon, machine, number, flags)) == may
    assert answer(daemon, machine, machine.numbers["clone3"]) == refuse(errno.ENOSYS)


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_of_the_ioctls_only_the_few_harmless_ones_are_left(machine: Machine):
    program, number = watcher(machine), machine.numbers["ioctl"]
    harmless = {0x5401, 0x5411, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A}
    files = {0x40086602, 0x40046602, 0x401C5820, 0x40049409}  # flags, project, clones
    others = {*files, 0x8901, 0x8902, 0x8914, *range(0x5400, 0x5480)}  # owners, addresses, terminals
    for request in harmless | others:
        wanted = ALLOW if request in harmless else refuse(errno.ENOTTY)
        assert answer(program, machine, number, 3, request) == wanted, hex(request)
        assert answer(program, machine, number, 3, request | 1 << 32) == wanted, "the kernel takes the lower half"


@pytest.mark.parametrize(("command", "may"), [(1, True), (3, True), (4, True), (1030, True), (8, False), (15, False)])
def test_no_descriptor_names_somebody_to_be_signalled(command: int, *, may: bool):
    assert (answer(watcher(X86), X86, X86.numbers["fcntl"], 3, command, 1) == ALLOW) is may
