"""Many streams, some of them broken: the others do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.integration.clips import Clips
from tests.integration.conftest import Site
from tests.integration.process import silent_server
from tests.ports import free_port

GOOD = 27
MAX_GAP_S = 5.0
"""One of the histogram's bounds."""


@pytest.mark.alone
async def test_broken_streams_cost_the_other_27_nothing(
    site: Site, make_clips: Callable[[int, int], Awaitable[Clips]]
) -> None:
    clips = await make_clips(320, 180)
    names = [f"s{number:02d}" for number in range(GOOD)]
    for name in names:
        await site.loop("live", name, clips.calm_flv)
    await site.loop("live", "damaged", clips.broken_flv)
    async with silent_server() as silent:
        broken = {
            "refused": f"rtmp://127.0.0.1:{free_port()}/live/x",
            "silent": f"rtmp://127.0.0.1:{silent}/live/x",
            "absent": f"http://127.0.0.1:{site.nginx.http_port}/hls/absent.m3u8",
        }
        urls = broken | {name: site.nginx.play_url("live", name) for name in [*names, "damaged"]}
        daemon = await site.daemon(urls=urls, max_gap=f"{MAX_GAP_S:g}s", limits={"watchers": 2})
        await asyncio.gather(*(site.desk.state(name, "covered", limit=40) for name in names))
        before = (await daemon.metrics())["streamwatch_sample_gap_seconds_count"]

        await daemon.measured(
            "streamwatch_sample_gap_seconds_count", lambda count: count >= before + 4 * GOOD, limit=60
        )

        metrics = await daemon.metrics()
        states = await daemon.streams()
    gaps = "streamwatch_sample_gap_seconds"
    assert metrics[f"{gaps}_bucket{{le={MAX_GAP_S:.1f}}}"] == metrics[f"{gaps}_count"]
    uncovered = {key: value for key, value in metrics.items() if "uncovered_seconds_total" in key and value > 0}
    assert set(uncovered) <= {"streamwatch_uncovered_seconds_total{reason=decode}"}  # of the damaged one alone
    assert {name: states[name]["state"] for name in names} == dict.fromkeys(names, "covered")
    assert {name: (states[name]["state"], states[name]["reason"]) for name in broken} == {
        "refused": ("connecting", "unreachable"),
        "silent": ("connecting", "stalled"),
        "absent": ("connecting", "refused"),
    }
    assert (states["damaged"]["state"], states["damaged"]["reason"]) == ("uncovered", "decode")
