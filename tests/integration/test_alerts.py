"""From a picture on air to a message at the desk, through real servers on both sides."""

from __future__ import annotations

import asyncio
import time

from tests.integration.conftest import Site
from tests.integration.daemon import MAX_GAP_S, RULE, RULE_CLOSE_S
from tests.integration.publish import Broadcast
from tests.integration.servers import HLS_TARGET_S

REAL_RULE = {**RULE, "name": "real", "detector": "second", "severity": "high"}
"""Of a second detector with the same model: a label is judged by test rules or by real ones, never by both."""


async def _card_on_and_off(site: Site, publisher: Broadcast, sid: str, *, extra_s: float) -> None:
    """`extra_s`: what the transport may hold back."""
    await site.desk.state(sid, "covered", limit=20 + extra_s)

    shown = publisher.show("card")
    opened = await site.desk.event(sid, "opened", limit=30)
    site.within(f"{sid} opened", opened.at - shown, 2 * MAX_GAP_S + 2 + extra_s)
    updated = await site.desk.event(sid, "updated", limit=20)
    assert updated.what.document["still_live"] is True

    gone = publisher.show("calm")
    closed = await site.desk.event(sid, "closed", limit=30)
    site.within(f"{sid} closed", closed.at - gone, RULE_CLOSE_S + 2 * MAX_GAP_S + 2 + extra_s)
    assert closed.what.document["close_reason"] == "quiet"
    assert {m.document["alert_id"] for m in (opened.what, updated.what, closed.what)} == {
        opened.what.document["alert_id"]
    }


async def test_card_on_air_opens_updates_and_closes_an_alert(site: Site) -> None:
    rtmp, hls = await site.broadcast("live", "lobby"), await site.broadcast("hls", "hall")
    await site.daemon("live/lobby", "hls/hall")

    await asyncio.gather(
        _card_on_and_off(site, rtmp, "lobby", extra_s=0),
        _card_on_and_off(site, hls, "hall", extra_s=3 * HLS_TARGET_S),
    )

    assert len(site.desk.alerts) == 2
    assert not site.desk.messages.all(lambda m: m.last == "alerts")


async def test_a_real_rule_speaks_on_the_alerts_topic_beside_the_test_rule(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    models = [{"name": name, "kind": "onnx", "model": "models/test-card"} for name in ("test-card", "second")]
    await site.daemon("live/lobby", rules=(RULE, REAL_RULE), detectors=models)
    await site.desk.state("lobby", "covered", limit=20)

    publisher.show("card")
    test, real = await asyncio.gather(
        site.desk.event("lobby", "opened", limit=20, kind="tests"),
        site.desk.event("lobby", "opened", limit=20, kind="alerts"),
    )

    assert (test.what.document["severity"], test.what.document["rule"]) == ("test", "test-card")
    assert (real.what.document["severity"], real.what.document["rule"]) == ("high", "real")
    assert test.what.document["alert_id"] != real.what.document["alert_id"]
    assert not site.desk.messages.all(lambda m: m.retained and m.last in ("alerts", "tests"))


async def test_end_of_the_publication_ends_stream_and_alert(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    await site.daemon("live/lobby")
    await site.desk.state("lobby", "covered", limit=20)
    publisher.show("card")
    await site.desk.event("lobby", "opened", limit=20)

    stopped = time.monotonic()
    await publisher.stop()

    closed = await site.desk.event("lobby", "closed", limit=10)
    site.within("closed after the end", closed.at - stopped, 5)
    assert closed.what.document["close_reason"] == "ended"
    assert closed.what.document["still_live"] is False
    ended = await site.desk.state("lobby", "ended", limit=10)
    assert not ended.what.retained
    await site.desk.messages.until(
        lambda m: m.topic.endswith("/lobby/state") and not m.payload, limit=5, what="the retained state is cleared"
    )
    assert [m for m in await site.retained() if m.topic.endswith("/lobby/state")] == []
