"""A restart is uncovered time: said, counted, and gone on from."""

from __future__ import annotations

import json
import signal
import time

from tests.integration.conftest import Site
from tests.integration.daemon import MAX_GAP_S, Daemon
from tests.integration.journal import eventually

AWAY_S = MAX_GAP_S + 2.0
SETTLED_S = 20.0
"""Books are settled 10 s behind the present in steps of 5 s; the rest is for a slow machine."""


async def _live_s(daemon: Daemon) -> float:
    """Live seconds of lobby over all restarts."""
    (stream,) = json.loads(await daemon.get("/coverage"))["streams"]
    return float(stream["live_s"])


async def test_the_time_of_a_killed_daemon_is_uncovered_and_said(site: Site) -> None:
    await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    first = await site.desk.state("lobby", "covered", limit=20)
    await daemon.log.until(lambda e: e["event"] == "listening", limit=5, what="listening")
    await site.desk.said("/coverage", lambda c: c["streams_live"] == 1 and (c["coverage_1h"] or 0) > 0, limit=30)
    mark = len(site.desk.messages.entries)
    # the books are written every few seconds, coverage every ten: after two of these a record knows the stream as live
    await site.desk.messages.until(lambda m: m.last == "coverage", limit=30, what="coverage", since=mark, count=2)
    before = await _live_s(daemon)

    killed = time.monotonic()
    await daemon.stop(signal.SIGKILL)
    await eventually(lambda: time.monotonic() - killed > AWAY_S, limit=2 * AWAY_S, what="it is away for a while")
    mark = len(site.desk.messages.entries)
    await daemon.start()
    uncovered = await site.desk.state("lobby", "uncovered", reason="restart", limit=20, since=mark)
    assert uncovered.what.document["session"] != first.what.document["session"], "nobody saw that it is the same"
    begun = await site.desk.said("/lobby/breaches", lambda b: b["event"] == "begun", limit=20, since=mark)
    assert begun.what.document["schema"] == "streamwatch.breach/1"
    assert begun.what.document["reason"] == "restart"
    assert not begun.what.retained
    ended = await site.desk.said("/lobby/breaches", lambda b: b["event"] == "ended", limit=30, since=mark)
    assert ended.what.document["from"] == begun.what.document["from"]
    lost_s = ended.what.document["uncovered_s"]
    assert lost_s >= AWAY_S - MAX_GAP_S
    covered = await site.desk.state("lobby", "covered", limit=20, since=mark)
    assert covered.what.document["session"] == uncovered.what.document["session"]

    metric = "streamwatch_uncovered_seconds_total{reason=restart}"
    counted = await daemon.measured(metric, lambda value: value > 0, limit=SETTLED_S + MAX_GAP_S)
    assert counted <= lost_s + 0.1
    assert (await daemon.metrics())["streamwatch_coverage_window_ratio{window=1h}"] < 1
    assert await _live_s(daemon) > before
    shown = json.loads(await daemon.get("/coverage"))
    assert shown["node"]["breaches_1h"] >= 1
    assert shown["origins"][0]["name"] == "static"


async def test_a_stream_that_left_while_the_daemon_was_dead_ends_and_is_not_uncovered_for_ever(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    await site.desk.state("lobby", "covered", limit=20)
    mark = len(site.desk.messages.entries)
    await site.desk.messages.until(lambda m: m.last == "coverage", limit=30, what="coverage", since=mark, count=2)

    await daemon.stop(signal.SIGKILL)
    await publisher.stop()
    mark = len(site.desk.messages.entries)
    await daemon.start()
    await site.desk.state("lobby", "uncovered", reason="restart", limit=20, since=mark)
    await site.desk.state("lobby", "ended", limit=60, since=mark)
    shown = json.loads(await daemon.get("/coverage"))
    assert (shown["node"]["live"], shown["node"]["uncovered"]) == (0, 0)
