"""Real watchers that crash and freeze: streams are looked at again soon, and innocent ones are not left alone for long.

What breaks a decoder for good is not at hand, so the signals come from here; the fleet cannot tell.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.integration.conftest import Site
from tests.integration.daemon import Daemon
from tests.integration.test_crashes import LOOKED_AT_AGAIN_S

FROZEN_S = 10.0
TRIAL_S = 10.0
"""For which half of the streams are held back at least (see fleet/isolation.py); longer on a busy machine."""
BLAMED_S = (10.0, 20.0)
SIDS = ("lobby", "hall")


async def on_air(site: Site) -> Daemon:
    for sid in SIDS:
        await site.broadcast("live", sid)
    daemon = await site.daemon(*(f"live/{sid}" for sid in SIDS))
    for sid in SIDS:
        await site.desk.state(sid, "covered", limit=20)
    return daemon


async def strike(daemon: Daemon, number: signal.Signals, *, limit: float = 5.0) -> tuple[float, str]:
    """Hit the watcher; returns when, and what the fleet calls it, once another one is ready."""
    since = len(daemon.log.entries)
    hit = time.monotonic()
    os.kill(daemon.watcher, number)
    lost = await daemon.log.until(lambda e: e["event"] == "watcher lost", limit=limit, what="the loss", since=since)
    await daemon.log.until(
        lambda e: e["event"] == "watcher ready" and "slot" in e, limit=limit, what="another watcher", since=since
    )
    return hit, str(lost.what["reason"])


async def looked_at_again(daemon: Daemon, sid: str, since: float) -> float:
    """Seconds from then to the first look after it."""

    def seen(stream: dict[str, Any]) -> bool:
        return stream["last_sample_s"] is not None and stream["last_sample_s"] < time.monotonic() - since

    found = await daemon.see(sid, seen, limit=40, what="looked at again")
    return float(time.monotonic() - found["last_sample_s"] - since)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
async def test_a_crash_interrupts_looking_for_seconds_and_no_alert(site: Site, number: signal.Signals) -> None:
    publisher = await site.broadcast("live", "yard")
    daemon = await site.daemon("live/yard")
    await site.desk.state("yard", "covered", limit=20)
    publisher.show("card")
    opened = await site.desk.event("yard", "opened", limit=20)

    for _ in range(2):
        hit, reason = await strike(daemon, number)
        assert reason == f"signal:{number.name}"
        again = await looked_at_again(daemon, "yard", hit)
        blamed = daemon.log.all(lambda e: e["event"] == "stream quarantined")  # hit in the milliseconds of a look
        limit = LOOKED_AT_AGAIN_S + sum(BLAMED_S[: len(blamed)])
        site.within(f"looked at again after {number.name}", again, limit)
    assert list(site.desk.alerts) == [opened.what.document["alert_id"]]


async def test_a_frozen_watcher_is_replaced(site: Site) -> None:
    daemon = await on_air(site)
    hit, reason = await strike(daemon, signal.SIGSTOP, limit=FROZEN_S)
    assert reason == "silent"
    for sid in SIDS:
        site.within(f"{sid} looked at again after a freeze", await looked_at_again(daemon, sid, hit), FROZEN_S)


async def test_losses_in_a_row_hold_streams_back_for_one_trial_each_and_no_longer(site: Site) -> None:
    daemon = await on_air(site)
    for _ in range(2):
        hit, _ = await strike(daemon, signal.SIGKILL)
        for sid in SIDS:
            site.within(f"{sid} looked at again", await looked_at_again(daemon, sid, hit), LOOKED_AT_AGAIN_S)

    hit, _ = await strike(daemon, signal.SIGKILL)
    held = await daemon.see("hall", lambda stream: stream["reason"] == "quarantined", limit=5, what="held back")
    assert held["state"] != "covered"
    site.within("the one on trial looked at again", await looked_at_again(daemon, "lobby", hit), LOOKED_AT_AGAIN_S)
    again = await looked_at_again(daemon, "hall", hit)
    site.within("the one held back looked at again", again, 2 * TRIAL_S + LOOKED_AT_AGAIN_S)
    await daemon.see("hall", lambda stream: stream["state"] == "covered", limit=5, what="covered")
