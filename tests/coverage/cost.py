"""What the books of 1,000 streams cost, in processor time: `python -m tests.coverage.cost [SAMPLES_A_SECOND]`."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from streamwatch.coverage.books import Books
from streamwatch.daemon.figures import RATIOS_EVERY_S
from streamwatch.daemon.keeper import SAVE_EVERY_S_PER_STREAM
from streamwatch.daemon.service import PULSE_S
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.sqlite import SqliteLedger

STREAMS = 1000
SECONDS = 600
GAP_S = 10.0


class Meter:
    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def run(self, what: str, work: Callable[[], None]) -> None:
        begun = time.process_time()
        work()
        self.spent[what] = self.spent.get(what, 0.0) + time.process_time() - begun


def main(rate: int, folder: Path) -> None:
    clock, meter = SystemClock(), Meter()
    ledger = SqliteLedger(folder / "state", clock=clock)
    books, streams = opened()
    number, now, save_every = 0, 0.0, STREAMS * SAVE_EVERY_S_PER_STREAM

    def samples() -> None:
        nonlocal number
        for _ in range(round(rate * PULSE_S)):
            books.sampled(streams[number % STREAMS], arrival=now - 0.3, gap_s=3.0, now=now)
            number += 1

    def judge() -> None:
        books.judge(now)

    def ratios() -> None:
        books.summary(now)

    def record() -> None:
        kept = books.record(now, wall=now, boot="boot")
        meter.run("write (another thread)", lambda: ledger.save_books(kept))
        meter.spent["record"] = meter.spent.get("record", 0.0)
        books.recorded(kept)

    while now < SECONDS:
        now += PULSE_S
        meter.run("samples", samples)
        meter.run("judge and settle", judge)
        if now % RATIOS_EVERY_S == 0:
            meter.run("ratios", ratios)
        if now % save_every == 0:
            meter.run("record", record)
    ledger.close()
    meter.spent["record"] -= meter.spent["write (another thread)"]
    show(meter, rate)


def opened() -> tuple[Books, list[StreamId]]:
    books = Books(offset=1.8e9)
    streams = [StreamId(f"stream-{number:04}") for number in range(STREAMS)]
    for stream in streams:
        books.watch(stream, max_gap_s=GAP_S, now=0)
        books.level(stream, session="s" * 16, live=True, ended=False, reason=None, now=0)
    return books, streams


def show(meter: Meter, rate: int) -> None:
    for what, spent in meter.spent.items():
        print(f"{what:24}{spent / SECONDS:8.3%}")  # noqa: T201
    print(f"{'together':24}{sum(meter.spent.values()) / SECONDS:8.3%} of a core, {rate} samples/s")  # noqa: T201


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, Path(place))
