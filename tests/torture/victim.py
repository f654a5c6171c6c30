"""The daemon without watchers, as a process to be killed: its own composition, with levels from a chorus instead.

`python -m tests.torture.victim CONFIG SEED`. Commands come as lines on standard input (`sing RATE`, `solo RATE`,
`fill EVENTS`, `jump SECONDS` for the wall clock, `leap SECONDS` for both, `stop`); facts go out as JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from streamwatch.app import settings
from streamwatch.app.daemon import compose
from streamwatch.daemon.service import DaemonService
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.decisions import Standing
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.sqlite import SqliteLedger
from streamwatch.ledger.standby import StandbyLedger
from streamwatch.link.messages import Configure
from streamwatch.telemetry import logs
from tests.torture.cast import parts
from tests.torture.chorus import Chorus

REPORT_S = 0.25


class JumpingClock(SystemClock):
    """The machine's clocks, with a wall clock that somebody sets anew, and time that passes at a word."""

    def __init__(self, offset_s: float) -> None:
        self.offset = timedelta(seconds=offset_s)
        self.leapt_s = 0.0

    def now(self) -> datetime:
        return super().now() + self.offset + timedelta(seconds=self.leapt_s)

    def monotonic(self) -> float:
        return super().monotonic() + self.leapt_s


class NoWatchers:
    """In the fleet's place: nobody is started, and nobody minds."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def reconfigure(self, configure: Configure) -> None:
        raise NotImplementedError

    def restand(self, stream: StreamId, standing: Sequence[Standing]) -> None:
        pass


class Victim:
    """One life."""

    def __init__(self, path: Path, seed: int, offset_s: float) -> None:
        ready = settings.read(path)
        self.clock = JumpingClock(offset_s)
        self.ledger = StandbyLedger(SqliteLedger(ready.state_folder, clock=self.clock), clock=self.clock)
        self.service, _, _ = compose(ready, self.ledger, self.clock)
        organs = self.service._p
        self.service._p = replace(organs, watchers=NoWatchers(), watchers_at_work=lambda: (1, 1))
        singers, soloists = parts([spec.id for spec in ready.setup.streams])
        self.chorus = Chorus(organs.desk, self.clock, singers=singers, soloists=soloists)
        self.chorus._random = random.Random(seed)
        self.bus = organs.bus
        self._obeyed = 0
        self.desk = organs.desk

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            others = (
                tasks.create_task(self._obey(self.service), name="commands"),
                tasks.create_task(self._report(), name="reports"),
                tasks.create_task(self.chorus.sing(), name="chorus"),
            )
            await self.service.run()
            for task in others:
                task.cancel()
        self._say()

    async def _obey(self, service: DaemonService) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode():
            verb, _, value = line.strip().partition(" ")
            match verb:
                case "sing":
                    self.chorus.rate = float(value)
                case "solo":
                    self.chorus.solo_rate = float(value)
                case "fill":
                    await self.chorus.fill(int(value))
                case "jump":
                    self.clock.offset += timedelta(seconds=float(value))
                case "leap":
                    self.clock.leapt_s += float(value)
                case _:
                    break
            self._obeyed += 1
            self._say()
        self.chorus.rate = self.chorus.solo_rate = 0.0
        service.stop()

    async def _report(self) -> None:
        while True:
            self._say()
            await asyncio.sleep(REPORT_S)

    def _say(self) -> None:
        pending = None
        with suppress(LedgerError):
            pending = self.ledger.backlog().pending
        facts = {
            "pending": pending,
            "obeyed": self._obeyed,
            "counts": self.chorus.counts | Counter({reason.value: count for reason, count in self.desk.held.items()}),
            "connected": self.bus.connected,
            "at": self.clock.monotonic(),
        }
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def main() -> None:
    logs.configure(process="victim")
    victim = Victim(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    try:
        asyncio.run(victim.run())
    finally:
        victim.ledger.close()


if __name__ == "__main__":
    main()
