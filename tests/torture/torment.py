"""What is done to the daemon, its broker and the line between them, at random moments. Seeded."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tests.torture.proxy import Mood
from tests.torture.stage import Stage

GAP_S = 3.0
"""Mean time between two wounds of one kind; they come independently, so that they meet."""
DOWN_S = 0.7
"""Mean time for which what was killed stays away."""
_HASTE = 0.15
"""Share of the daemon's kills that come while it still starts."""
_ORDERLY = 0.25
"""For so many kills of the broker, one more stop by SIGTERM."""
_LINES = {"cut": 6, "stall": 2, "deaf": 3, "slow": 1, "refuse": 2, "vanish": 1}
"""What happens to the line, by weight."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it."""

    kills: int
    """Kills (SIGKILL) of the broker, and as many of the daemon."""
    cuts: int
    seed: int
    longest_s: float = 4.0
    """No trouble of a line lasts longer."""


class Torment:
    """Four tormentors, each with a source of randomness of its own, so that none changes another's."""

    def __init__(self, stage: Stage, plan: Plan) -> None:
        self._stage = stage
        self._plan = plan
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Until all is done. What is left stands, runs and passes again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._broker(self._dice("broker")), name="torment of the broker")
            tasks.create_task(self._daemon(self._dice("daemon")), name="torment of the daemon")
            tasks.create_task(self._line(self._dice("line")), name="torment of the line")
            tasks.create_task(self._listener(self._dice("listener")), name="torment of the subscriber")

    def _dice(self, whose: str) -> random.Random:
        return random.Random(f"{self._plan.seed} {whose}")

    async def _broker(self, dice: random.Random) -> None:
        broker = self._stage.broker
        left = [signal.SIGKILL] * self._plan.kills + [signal.SIGTERM] * round(self._plan.kills * _ORDERLY)
        dice.shuffle(left)
        for how in left:
            await asyncio.sleep(dice.expovariate(1 / GAP_S))
            await broker.stop(how)
            self.done[f"broker {how.name}"] += 1
            await asyncio.sleep(dice.expovariate(1 / DOWN_S))
            await broker.start()

    async def _daemon(self, dice: random.Random) -> None:
        victim = self._stage.victim
        for _ in range(self._plan.kills):
            if dice.random() > _HASTE:
                await victim.until("connected", lambda _: True, limit=60)  # it is up, whether connected or not
            await asyncio.sleep(dice.expovariate(1 / GAP_S))
            assert victim.running, "the daemon ended by itself:\n  " + "\n  ".join(victim.said[-15:])
            await victim.stop(signal.SIGKILL)
            self.done["daemon SIGKILL"] += 1
            await asyncio.sleep(dice.expovariate(1 / DOWN_S))
            await victim.start()

    async def _listener(self, dice: random.Random) -> None:
        """It is away as often as the daemon's line is in trouble: what came meanwhile waits with the broker alone."""
        aside = self._stage.aside
        for _ in range(self._plan.cuts):
            await asyncio.sleep(dice.expovariate(1 / GAP_S))
            self.done["subscriber away"] += 1
            aside.mood(Mood.REFUSE)
            aside.cut()
            await asyncio.sleep(min(dice.expovariate(1 / GAP_S), self._plan.longest_s))
            aside.mood(Mood.OPEN)

    async def _line(self, dice: random.Random) -> None:
        for _ in range(self._plan.cuts):
            await asyncio.sleep(dice.expovariate(1 / GAP_S))
            [what] = dice.choices(list(_LINES), weights=list(_LINES.values()))
            self.done[f"line {what}"] += 1
            for_s = min(dice.expovariate(1.0), self._plan.longest_s)
            async with self._mood(what):
                if what not in ("cut", "vanish"):
                    await asyncio.sleep(for_s)

    @contextlib.asynccontextmanager
    async def _mood(self, what: str) -> AsyncIterator[None]:
        proxy = self._stage.proxy
        at_once: dict[str, Callable[[], None]] = {"cut": proxy.cut, "vanish": proxy.vanish, "refuse": proxy.cut}
        at_once.get(what, lambda: None)()
        if what in set(Mood):
            proxy.mood(Mood(what))
        try:
            yield
        finally:
            if what == "deaf":
                proxy.cut()  # what was said is with the broker, and nobody heard the answers
            proxy.mood(Mood.OPEN)
