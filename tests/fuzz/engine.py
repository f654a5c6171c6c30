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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hypothesis import HealthCheck, settings

_LONGEST = 1 << 16
_HERE = Path(__file__).parent
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 16, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFF, 0xFFFFFFFF)
_EXAMPLES, _INPUTS = 60, 3000
_AT_ONCE = 500


class Fuzzed(Protocol):
    """Anything that can be run for a moment or for long. Raises where a property does not hold."""

    @property
    def name(self) -> str: ...

    def briefly(self) -> None: ...

    def until(self, deadline: float, seed: int) -> str:
        """Go on until `time.monotonic()` says so; tell what was done."""
        ...


class Broken(AssertionError):
    """A property does not hold for these bytes."""

    def __init__(self, target: str, data: bytes) -> None:
        super().__init__(f"{target}: {data[:200].hex()}")
        self.data = data


@dataclass(frozen=True)
class Target:
    """Something that reads bytes from outside."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    """Good inputs to begin with; none is fine, but finds little."""

    def briefly(self) -> None:
        self._run(random.Random(self.name), count=_INPUTS)

    def until(self, deadline: float, seed: int) -> str:
        return f"{self._run(random.Random(seed), deadline=deadline)} inputs"

    def _run(self, rng: random.Random, *, count: float = float("inf"), deadline: float = float("inf")) -> int:
        for number, data in enumerate(inputs(self, rng)):
            if number >= count or time.monotonic() >= deadline:
                return number
            try:
                self.check(data)
            except Exception as error:
                raise Broken(self.name, data) from error
        return 0


@dataclass(frozen=True)
class Drawn:
    """A target whose inputs hypothesis draws; it shows and shrinks what it finds."""

    name: str
    check: Any

    def briefly(self) -> None:
        self._run(max_examples=_EXAMPLES, derandomize=True)

    def until(self, deadline: float, seed: int) -> str:
        rounds = 0
        while time.monotonic() < deadline:
            self._run(max_examples=_AT_ONCE, derandomize=False)
            rounds += 1
        return f"{rounds} x {_AT_ONCE} examples"

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
            Drawn(f"{path.stem}-{name.removeprefix('fuzz_')}", check)
            for name, check in vars(module).items()
            if name.startswith("fuzz_") and check.__module__ == module.__name__
        ]
        for target in (*getattr(module, "TARGETS", ()), *drawn):
            assert target.name not in found, f"two targets are called {target.name}"
            found[target.name] = target
    return found


def inputs(target: Target, rng: random.Random) -> Iterator[bytes]:
    """Seeds as they are, then damaged ones without end."""
    seeds = list(target.seeds()) or [b""]
    yield from seeds
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


_DAMAGES = (_flip, _number, _number, _noise, _delete, _repeat, _cut, _splice)
