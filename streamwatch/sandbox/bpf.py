"""A filter of system calls as a program of the kernel's packet filter (classic BPF). Pure: it installs nothing.

Of each call the kernel shows the program `struct seccomp_data`: number, machine, instruction pointer, six arguments of
64 bits. Only numbers can be judged so, never what an argument points to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streamwatch.sandbox.syscalls import NEWEST, Machine

ALLOW = 0x7FFF_0000
KILL = 0x8000_0000
_ERRNO = 0x0005_0000

_LOAD, _AND, _EQUAL, _AT_LEAST, _GREATER, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x25, 0x06
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16
_LOW_WORD = 0xFFFF_FFFF
_ENOSYS = 38


class Instruction(NamedTuple):
    """`struct sock_filter`: what to do, how far to jump if true and if false, and a number."""

    code: int
    if_true: int
    if_false: int
    value: int


@dataclass(frozen=True, slots=True)
class Is:
    """An argument, of 32 bits, under a mask has this value."""

    argument: int
    value: int
    mask: int = _LOW_WORD


@dataclass(frozen=True, slots=True)
class Has:
    """An argument, of 64 bits, is not zero: a pointer is given, or a bit of `mask` (of the lower 32) is set."""

    argument: int
    mask: int | None = None


Test = Is | Has


@dataclass(frozen=True, slots=True)
class Clause:
    """Where every test holds, this is the answer."""

    tests: tuple[Test, ...]
    answer: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one call: the first clause that holds, else the rest."""

    clauses: tuple[Clause, ...]
    rest: int


Rules = Mapping[str, int | Judgement]
"""By name of the call: an answer, or a judgement by its arguments. What is not named is allowed."""


def refuse(errno: int) -> int:
    """The answer that fails a call with this error."""
    return _ERRNO | errno


def program(rules: Rules, machine: Machine) -> tuple[Instruction, ...]:
    """The program that puts the rules in force on a machine; names that it does not have are passed over."""
    made = [
        Instruction(_LOAD, 0, 0, _MACHINE_AT),
        Instruction(_EQUAL, 1, 0, machine.audit),
        _answer(KILL),
        Instruction(_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine.strange is not None:
        made += [Instruction(_AT_LEAST, 0, 1, machine.strange), _answer(KILL)]
    made += [Instruction(_GREATER, 0, 1, NEWEST), _answer(refuse(_ENOSYS))]
    for name, rule in rules.items():
        number = machine.numbers.get(name)
        if number is None:
            continue
        block = _judged(rule) if isinstance(rule, Judgement) else [_answer(rule)]
        made += [Instruction(_EQUAL, 0, len(block), number), *block]
    return (*made, _answer(ALLOW))


def _answer(value: int) -> Instruction:
    return Instruction(_RETURN, 0, 0, value)


def _judged(rule: Judgement) -> list[Instruction]:
    made: list[Instruction] = []
    for clause in rule.clauses:
        made += _clause(clause)
    return [*made, _answer(rule.rest)]


def _clause(clause: Clause) -> list[Instruction]:
    """Its tests one after the other; where one fails, on to what follows its answer."""
    made = [_answer(clause.answer)]
    for test in reversed(clause.tests):
        made = [*_test(test, beyond=len(made)), *made]
    return made


def _test(test: Test, *, beyond: int) -> Sequence[Instruction]:
    """Go on with the next instruction where it holds, else `beyond` so many."""
    low = Instruction(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * test.argument)
    if isinstance(test, Is):
        masked = [] if test.mask == _LOW_WORD else [Instruction(_AND, 0, 0, test.mask)]
        return [low, *masked, Instruction(_EQUAL, 0, beyond, test.value)]
    if test.mask is not None:
        return [low, Instruction(_AND, 0, 0, test.mask), Instruction(_EQUAL, beyond, 0, 0)]
    high = low._replace(value=low.value + 4)
    return [low, Instruction(_EQUAL, 0, 2, 0), high, Instruction(_EQUAL, beyond, 0, 0)]
