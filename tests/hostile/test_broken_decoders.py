"""A decoder that really crashes, hangs, spins or leaks: its watcher ends, the others do not notice, it is found.

Four streams on two watchers: the one whose decoder breaks shares its watcher with an innocent one.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hostile import broken_decoder
from tests.integration.clips import Clips
from tests.integration.conftest import Site
from tests.integration.daemon import ROOT, Daemon

BESIDE_S = 5.0
"""An innocent stream of the same watcher is not looked at for so long after the deed; its last look was before."""
ELSEWHERE = 1.1
MAX_GAP_S = 1.0
BUSY_MACHINE_S = 2.0
"""One look may be so late on two cores that starting another watcher and other people use as well."""
FOUND_S = 25.0
INNOCENT = ("beside", "elsewhere", "apart")


@dataclass(frozen=True)
class Deed:
    how: str
    reasons: frozenset[str]
    """What the fleet calls the losses."""
    deaths: int
    """Watchers that it may cost until the stream is quarantined."""


DEEDS = [
    Deed("crash", frozenset({"signal:SIGSEGV"}), 1),
    Deed("hang", frozenset({"hung"}), 1),
    Deed("spin", frozenset({"hung"}), 1),
    Deed("grip", frozenset({"silent"}), 2),
    Deed("leak", frozenset({"hung", "memory"}), 2),
]
QUICK = {"hang"}


class BrokenDaemon(Daemon):
    def __init__(self, site: Site, settings: dict[str, Any], how: str, for_s: float) -> None:
        super().__init__(site.folder, settings)
        self._command = (sys.executable, broken_decoder.__file__, "daemon", str(self.path), how, str(for_s))
        assert self._env is not None
        self._env["PYTHONPATH"] = str(ROOT)


class Looks:
    """Every look at every stream, as `/streams` tells."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.times: dict[str, list[float]] = {}

    async def run(self) -> None:
        while True:
            for sid, stream in (await self._daemon.streams()).items():
                ago = stream["last_sample_s"]
                if ago is None:
                    continue
                at, times = time.monotonic() - ago, self.times.setdefault(sid, [])
                if not times or at > times[-1] + 0.1:
                    times.append(at)
            await asyncio.sleep(0.1)

    def longest(self, sid: str) -> float:
        """The longest time without a look at this stream from its first to its newest, seconds."""
        return max(after - before for before, after in itertools.pairwise(self.times[sid]))

    def mean(self, sid: str) -> float:
        """The mean of the times between looks, seconds."""
        times = self.times[sid]
        return (times[-1] - times[0]) / (len(times) - 1)


async def _next_look(daemon: Daemon, sid: str) -> None:
    begun = time.monotonic()
    await daemon.see(
        sid, lambda s: bool(s["last_sample_s"] < time.monotonic() - begun), limit=BESIDE_S, what="looked at"
    )


@pytest.mark.alone
@pytest.mark.parametrize(
    "deed", [pytest.param(d, id=d.how, marks=() if d.how in QUICK else pytest.mark.slow) for d in DEEDS]
)
async def test_a_broken_decoder_is_contained(
    deed: Deed, site: Site, make_clips: Callable[[int, int], Awaitable[Clips]]
) -> None:
    small = await make_clips(*broken_decoder.SIZE)
    await site.loop("live", "culprit", small.calm_flv)
    for name in ("beside", "elsewhere", "apart"):
        await site.loop("live", name, site.clips.calm_flv)
    settings = site.settings(
        "live/culprit", "live/elsewhere", "live/beside", "live/apart",
        max_gap=f"{MAX_GAP_S:g}s", limits={"watchers": 2},
    )  # fmt: skip
    daemon = await site.run(BrokenDaemon(site, settings, deed.how, 3600))
    looks = Looks(daemon)
    watching = asyncio.create_task(looks.run(), name="looks")
    try:
        lost = await daemon.log.until(lambda e: e["event"] == "watcher lost", limit=FOUND_S, what="a loss")
        await daemon.log.until(lambda e: e["event"] == "stream quarantined", limit=FOUND_S, what="the culprit")
        for sid in INNOCENT:  # three more looks at each, so that what the death did to them shows
            for _ in range(3):
                await _next_look(daemon, sid)
        streams = await daemon.streams()
    finally:
        watching.cancel()
    losses = daemon.log.all(lambda e: e["event"] == "watcher lost")
    assert {e["reason"] for e in losses} <= deed.reasons
    assert len(losses) <= deed.deaths
    assert {e["slot"] for e in losses} == {lost.what["slot"]}
    accused = daemon.log.all(lambda e: e["event"] == "stream quarantined")
    assert {e["stream"] for e in accused} == {"culprit"}
    assert streams["culprit"]["reason"] == "quarantined"
    beside = max(INNOCENT, key=looks.longest)
    site.within(
        f"{deed.how}: beside the culprit: longest gap", looks.longest(beside), deed.deaths * BESIDE_S + MAX_GAP_S
    )
    for sid in set(INNOCENT) - {beside}:
        site.within(f"{deed.how}: {sid}: mean gap", looks.mean(sid), ELSEWHERE * MAX_GAP_S)
        site.within(f"{deed.how}: {sid}: longest gap", looks.longest(sid), MAX_GAP_S + BUSY_MACHINE_S)


@pytest.mark.slow
async def test_a_culprit_waits_longer_each_time_and_is_released_once_it_behaves(
    site: Site, make_clips: Callable[[int, int], Awaitable[Clips]]
) -> None:
    small = await make_clips(*broken_decoder.SIZE)
    await site.loop("live", "culprit", small.calm_flv)
    settings = site.settings("live/culprit", max_gap=f"{MAX_GAP_S:g}s")
    daemon = await site.run(BrokenDaemon(site, settings, "crash", 32))

    def quarantined(event: dict[str, Any]) -> bool:
        return event["event"] == "stream quarantined"

    first = await daemon.log.until(quarantined, limit=FOUND_S, what="the culprit")
    mark = len(daemon.log.entries)
    second = await daemon.log.until(quarantined, limit=10 + FOUND_S, what="the culprit again", since=mark)
    await daemon.see("culprit", lambda s: s["reason"] == "quarantined", limit=5, what="quarantined")
    await daemon.see("culprit", lambda s: s["state"] == "covered", limit=20 + FOUND_S, what="released")
    released = time.monotonic()
    site.within("10 s of quarantine and a deed", second.at - first.at, 20)
    assert second.at - first.at >= 10
    assert released - second.at >= 20
