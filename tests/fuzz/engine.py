"""Finding what bytes break: the targets of the modules beside this one, run bounded by the suite and long by a command.

A module takes part in either of two ways. Functions called `fuzz_*` that hypothesis drives (`@given`): where an input
has a structure to be drawn. Or a tuple `TARGETS` of `Target`s, whose `check` gets bytes, good ones with some damage
done: a hundred times as many inputs a second. A target raises when a property does not hold; the errors that hostile
bytes may cause it catches itself.
"""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hypothesis import HealthCheck, settings

from tests.fuzz.guide import LEAST, Guide
from tests.fuzz.watch import Alarm, Grown, Memory, Stuck

_LONGEST = 1 << 16
_HERE = Path(__file__).parent
CORPUS = _HERE / "corpus"
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 16, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFF, 0xFFFFFFFF)
_EXAMPLES, _INPUTS = 60, 3000
_AT_ONCE = 500
_RARELY = 0.02


@dataclass(frozen=True)
class Done:
    """What one run tried."""

    inputs: int
    seconds: float
    corpus: int = 0
    """Inputs it began with, and those it kept because they reached something new."""
    lines: int = 0
    """Of the modules that the target reads with; 0 where nothing was traced."""
    kept: tuple[bytes, ...] = field(default=(), repr=False)


class Fuzzed(Protocol):
    """Anything that can be run for a moment or for long. Raises where a property does not hold."""

    @property
    def name(self) -> str: ...

    @property
    def reads(self) -> tuple[str, ...]:
        """Modules of `streamwatch` that read the outside bytes, e.g. `sources.hls.ts`."""
        ...

    def briefly(self) -> None: ...

    def until(self, deadline: float, seed: int, *, most: float, more: Sequence[bytes], guided: bool) -> Done:
        """Go on until `time.monotonic()` says so, or for `most` inputs; `more` are seeds found in earlier runs."""
        ...


class Broken(AssertionError):
    """A property does not hold for these bytes."""

    def __init__(self, target: str, data: bytes, why: str = "") -> None:
        super().__init__(f"{target}: {why}{data[:200].hex()}")
        self.data = data


@dataclass(frozen=True)
class Target:
    """Something that reads bytes from outside."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    """Good inputs to begin with; none is fine, but finds little."""
    reads: tuple[str, ...] = ()
    brief: int = _INPUTS
    """Inputs in the suite's run; fewer where one costs much."""

    def corpus(self) -> list[bytes]:
        """The inputs in the tests: those that reached something, and those that broke something once."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*")) if path.is_file()]

    def briefly(self) -> None:
        self._run(random.Random(self.name), count=self.brief, more=self.corpus())

    def until(self, deadline: float, seed: int, *, most: float, more: Sequence[bytes], guided: bool) -> Done:
        longest = max([LEAST, *map(len, self.seeds())])
        guide = Guide(self.reads, longest=longest, feeds=guided) if self.reads else None
        more = [data for data in more if len(data) <= longest]
        return self._run(
            random.Random(seed), deadline=deadline, count=most, guide=guide, more=(*self.corpus(), *more), patient=True
        )

    def _run(
        self,
        rng: random.Random,
        *,
        count: float = float("inf"),
        deadline: float = float("inf"),
        guide: Guide | None = None,
        more: Sequence[bytes] = (),
        patient: bool = False,
    ) -> Done:
        began, memory = time.monotonic(), Memory()
        number, data, seeds = 0, b"", [*self.seeds(), *more]
        if guide is not None:
            self._learn(guide, seeds)
        with Alarm() as alarm:
            try:
                for data in inputs(seeds, rng):
                    if number >= count or (patient and time.monotonic() >= deadline):
                        break
                    alarm.number = number
                    if guide is None or not guide.due():
                        self.check(data)
                    elif guide.follow(self.check, data) and guide.feeds:
                        seeds.append(data)
                    number += 1
                    if patient and number % _AT_ONCE == 0:
                        memory.look(number)
            except Stuck as error:
                raise Broken(self.name, data, "no end within seconds: ") from error
            except Grown as error:
                raise Broken(self.name, data, f"{error}: ") from error
            except Exception as error:
                raise Broken(self.name, data) from error
        return Done(
            inputs=number,
            seconds=time.monotonic() - began,
            corpus=len(seeds),
            lines=guide.lines if guide else 0,
            kept=tuple(guide.kept) if guide else (),
        )

    def _learn(self, guide: Guide, seeds: Sequence[bytes]) -> None:
        """What the seeds reach is nothing new any more."""
        for data in seeds:
            try:
                guide.follow(self.check, data)
            except Exception as error:
                raise Broken(self.name, data) from error
        guide.kept.clear()


@dataclass(frozen=True)
class Drawn:
    """A target whose inputs hypothesis draws; it shows and shrinks what it finds."""

    name: str
    check: Any
    reads: tuple[str, ...] = ()

    def briefly(self) -> None:
        self._run(max_examples=_EXAMPLES, derandomize=True)

    def until(self, deadline: float, seed: int, *, most: float, more: Sequence[bytes], guided: bool) -> Done:
        del seed, more, guided  # hypothesis draws, and minds what it found, by itself
        began, tried, memory = time.monotonic(), 0, Memory()
        while time.monotonic() < deadline and tried < most:
            self._run(max_examples=_AT_ONCE, derandomize=False)
            tried += _AT_ONCE
            memory.look(tried)
        return Done(tried, time.monotonic() - began)

    def _run(self, **more: Any) -> None:
        # What `@settings` writes; as a decorator it could not be applied a second time.
        self.check._hypothesis_internal_use_settings = settings(
            deadline=None, database=None, suppress_health_check=list(HealthCheck), **more
        )
        self.check()


def targets() -> dict[str, Fuzzed]:
    """All targets of the modules beside this one."""
    found: dict[str, Fuzzed] = {}
    for path in sorted(_HERE.glob("*.py")):
        if path.stem.startswith(("_", "test_")):
            continue
        module = importlib.import_module(f"tests.fuzz.{path.stem}")
        drawn = [
            Drawn(f"{path.stem}-{name.removeprefix('fuzz_')}", check, getattr(module, "READS", ()))
            for name, check in vars(module).items()
            if name.startswith("fuzz_") and check.__module__ == module.__name__
        ]
        for target in (*getattr(module, "TARGETS", ()), *drawn):
            assert target.name not in found, f"two targets are called {target.name}"
            found[target.name] = target
    return found


def inputs(seeds: list[bytes], rng: random.Random) -> Iterator[bytes]:
    """Seeds as they are, then damaged ones without end; seeds that are added meanwhile are damaged too."""
    if not seeds:
        seeds.append(b"")
    yield from list(seeds)
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            rng.choice(_DAMAGES)(data, rng, seeds)
        yield bytes(data[:_LONGEST])


def _flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _number(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    width = rng.choice((1, 2, 3, 4))
    at = rng.randrange(len(data) + 1)
    data[at : at + width] = (rng.choice(_NUMBERS) & (1 << 8 * width) - 1).to_bytes(width, rng.choice(("big", "little")))


def _noise(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.randrange(40))


def _delete(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.randrange(1, 40)]


def _repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = data[at : at + rng.randrange(1, 60)] * rng.randrange(1, 4)


def _cut(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _splice(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    other = rng.choice(seeds)
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]


def _nest(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """Deep, where only a bound on depth saves a reader; rare, because it is long."""
    at = rng.randrange(len(data) + 1)
    if rng.random() < _RARELY:
        data[at:at] = rng.choice((b"[", b"{", b'{"a":', b"- ", b"(", b"\x08\x00\x01a\x03")) * rng.randrange(2000)
    else:
        data[at:at] = rng.choice(
            (b"[", b"{}", b'"', b"\x00", b"/", b"%", b"\n", b":", b"-", b"\xff", b"1e999", b"null")
        )


_DAMAGES = (_flip, _number, _number, _noise, _delete, _repeat, _cut, _splice, _nest)
