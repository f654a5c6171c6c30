"""One timer for all connections of an event loop: each is visited when it asked to be, none is woken by its bytes.

Bytes gather in the kernel meanwhile, so that a visit takes many messages at once. Readiness with SO_RCVLOWAT does the
same for the bytes, but wakes the loop for each stream each time, which costs more than the read; it needs an estimate
of the rate; and where a scene falls quiet it needs such a timer as well.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final, Protocol
from weakref import WeakKeyDictionary

TICK_S: Final = 0.02
CALM: Final = 15
"""Ticks between visits that are not urgent."""
_SLOTS = CALM + 1
_GROUP = 200
"""Visits that are not urgent come in groups of about so many, because a loop that is warm costs half (measured with 60
connections); more at once would keep the event loop busy for more than some 10 ms."""


class Swept(Protocol):
    """Something that wants to be visited."""

    def visit(self) -> int:
        """Do what is to be done; return ticks until the next visit, at most `CALM`, or 0 for never. Never raises."""
        ...


class Sweep:
    """The wheel. Event loop only."""

    _running: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Sweep]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._slots: list[list[Swept]] = [[] for _ in range(_SLOTS)]
        self._tick = 0
        """The newest that was done."""
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0
        self._members = 0

    @classmethod
    def of_running_loop(cls) -> Sweep:
        """Return the one sweep of the running event loop."""
        loop = asyncio.get_running_loop()
        sweep = cls._running.get(loop)
        if sweep is None:
            sweep = cls._running[loop] = cls()  # which holds no loop, so that a loop may go
        return sweep

    def add(self, member: Swept) -> None:
        """Visit `member` at the next tick, and then as it says."""
        if self._timer is None:  # it stood still: nothing is due
            self._tick = int(asyncio.get_running_loop().time() / TICK_S)
        self._members += 1
        tick = self._tick + 1
        self._slots[tick % _SLOTS].append(member)
        if self._timer is None or tick < self._rings_at:
            self._set(tick)

    def _set(self, tick: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = tick
        self._timer = asyncio.get_running_loop().call_at(tick * TICK_S, self._ring)

    def _ring(self) -> None:
        slots = self._slots
        now = max(int(asyncio.get_running_loop().time() / TICK_S), self._rings_at)
        due: list[Swept] = []
        for tick in range(self._rings_at, min(now, self._rings_at + _SLOTS - 1) + 1):
            due += slots[tick % _SLOTS]
            slots[tick % _SLOTS] = []
        self._tick = now
        together = next(step for step in (CALM, 5, 3, 1) if self._members * step <= _GROUP * CALM or step == 1)
        for member in due:
            ticks = member.visit()
            if ticks:
                at = now + ticks
                if ticks == CALM:
                    at -= at % together
                slots[at % _SLOTS].append(member)
            else:
                self._members -= 1
        self._timer = None
        for tick in range(now + 1, now + _SLOTS):
            if slots[tick % _SLOTS]:
                self._set(tick)
                return
