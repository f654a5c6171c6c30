"""What is lost when something of ours or the broker dies: nothing that was told to people."""

from __future__ import annotations

import signal
import time

from tests.integration.conftest import Site
from tests.integration.journal import eventually
from tests.integration.process import alive

LOOKED_AT_AGAIN_S = 5.0


async def test_broker_stopped_during_an_alert_gets_every_message_later(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    await site.desk.state("lobby", "covered", limit=20)
    publisher.show("card")
    first = await site.desk.event("lobby", "opened", limit=20)

    assert await site.broker.stop() == 0
    publisher.show("calm")  # closes while nobody can hear it
    await daemon.log.until(lambda e: e["event"] == "alert" and e["step"] == "closed", limit=20, what="closed")
    owed = (await daemon.metrics())["streamwatch_ledger_pending"]
    publisher.show("card")  # and another one opens
    await daemon.measured("streamwatch_ledger_pending", lambda value: value > owed, limit=20)
    mark = len(site.desk.messages.entries)
    await site.broker.start()

    second = await site.desk.event("lobby", "opened", limit=30, since=mark, unlike=first.what)
    publisher.show("calm")
    await site.desk.event("lobby", "closed", limit=30, alert=second.what)
    await daemon.measured("streamwatch_ledger_pending", lambda value: value == 0, limit=10)
    alerts = site.desk.alerts  # complete, in order, one body each
    assert [documents[-1]["close_reason"] for documents in alerts.values()] == ["quiet", "quiet"]
    await site.desk.said("/status", lambda status: status["state"] == "online", limit=10, since=mark)


async def test_killed_watcher_is_replaced_and_the_alert_goes_on(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    await site.desk.state("lobby", "covered", limit=20)
    publisher.show("card")
    opened = await site.desk.event("lobby", "opened", limit=20)

    killed = daemon.kill_watcher()
    await daemon.log.until(lambda e: e["event"] == "watcher lost", limit=5, what="the loss is noticed")
    seen = await daemon.see(
        "lobby",
        lambda stream: stream["last_sample_s"] is not None and stream["last_sample_s"] < time.monotonic() - killed,
        limit=20,
        what="looked at again",
    )
    site.within("looked at again", time.monotonic() - seen["last_sample_s"] - killed, LOOKED_AT_AGAIN_S)

    samples = "streamwatch_samples_total{detector=test-card}"
    enough = (await daemon.metrics())[samples] + 3
    await daemon.measured(samples, lambda count: count >= enough, limit=15)
    publisher.show("calm")
    await site.desk.event("lobby", "closed", limit=20)
    assert list(site.desk.alerts) == [opened.what.document["alert_id"]]


async def test_daemon_killed_while_the_broker_is_away_loses_nothing(site: Site) -> None:
    publishers = {sid: await site.broadcast("live", sid) for sid in ("lobby", "hall", "yard")}
    settings = site.settings(*(f"live/{sid}" for sid in publishers))
    daemon = await site.daemon(*(f"live/{sid}" for sid in publishers))
    for sid, publisher in publishers.items():
        await site.desk.state(sid, "covered", limit=20)
        if sid != "yard":
            publisher.show("card")
    for sid in ("lobby", "hall"):
        await site.desk.event(sid, "opened", limit=20)

    await site.broker.stop()
    publishers["yard"].show("card")  # opened while nobody can hear it
    await daemon.measured("streamwatch_ledger_pending", lambda value: value >= 1, limit=20)
    children = daemon.watchers
    await daemon.stop(signal.SIGKILL)
    await eventually(lambda: not any(map(alive, children)), limit=10, what="watchers end with their daemon")
    settings["streams"] = [stream for stream in settings["streams"] if stream["id"] != "hall"]
    daemon.write(settings)
    await site.broker.start()
    mark = len(site.desk.messages.entries)
    await daemon.start()

    gone = await site.desk.event("hall", "closed", limit=20, since=mark)
    assert gone.what.document["close_reason"] == "restart"
    await site.desk.event("yard", "opened", limit=20)
    for sid in ("lobby", "yard"):
        await site.desk.state(sid, "covered", limit=20, since=mark)
        publishers[sid].show("calm")
        closed = await site.desk.event(sid, "closed", limit=30)
        assert closed.what.document["close_reason"] == "quiet"
    assert len(site.desk.alerts) == 3


async def test_states_of_streams_that_went_while_the_daemon_was_down_are_cleared(site: Site) -> None:
    await site.broadcast("live", "lobby")
    settings = site.settings("live/lobby", "live/hall")
    daemon = await site.daemon("live/lobby", "live/hall")
    await site.desk.state("lobby", "covered", limit=20)
    await site.desk.state("hall", "connecting", limit=5)
    await daemon.stop(signal.SIGKILL)
    assert [m.document["state"] for m in await site.retained("/status")] == ["offline"]  # its Last Will
    assert len(await site.retained("/state")) == 2

    settings["streams"] = [stream for stream in settings["streams"] if stream["id"] == "lobby"]
    daemon.write(settings)
    mark = len(site.desk.messages.entries)
    await daemon.start()

    await site.desk.messages.until(
        lambda m: m.topic.endswith("/hall/state") and not m.payload, limit=15, what="hall is cleared", since=mark
    )
    await site.desk.state("lobby", "covered", limit=20, since=mark)
    assert [m.topic.split("/")[-2] for m in await site.retained("/state")] == ["lobby"]
