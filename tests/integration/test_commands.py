"""Commands by mosquitto's own clients, accepted and refused, on both versions of MQTT."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import Site
from tests.integration.daemon import NODE
from tests.integration.people import PREFIX, Message

P = f"{PREFIX}/{NODE}"


def _body(request_id: str, *, ago_s: float = 0, **more: Any) -> str:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return json.dumps({"request_id": request_id, "at": at.isoformat(), **more})


async def _ask(site: Site, verb: str, payload: str | bytes, *more: str, answer: str) -> Message:
    mark = len(site.desk.messages.entries)
    await site.say(f"{P}/commands/{verb}", payload, *more)
    found = await site.desk.messages.until(
        lambda m: m.topic == answer, limit=10, what=f"an answer on {answer}", since=mark
    )
    return found.what


async def test_commands_are_answered_on_the_response_topic_of_mqtt_5(site: Site) -> None:
    daemon = await site.daemon()
    await site.desk.said("/status", lambda s: s["state"] == "online", limit=20)
    wished = f"{P}/replies/ping/board-7"
    asking = ("-V", "mqttv5", "-D", "publish", "response-topic", wished, "-D", "publish", "correlation-data", "c-1")

    ping = _body("r1")
    done = await _ask(site, "ping", ping, *asking, answer=wished)
    assert (done.document["request_id"], done.document["result"]) == ("r1", "done")
    assert done.document["detail"]["version"]
    assert done.properties["correlation-data"] == "c-1"

    again = await _ask(site, "ping", ping, *asking, answer=wished)
    assert again.document == done.document
    refusals = [
        (_body("r1", note="another body"), "request_id"),
        (_body("r2", ago_s=600), "5 minutes"),
        ("{not json", "JSON"),
        (_body("r3", note="x" * 5000), "4096"),
        (json.dumps({"request_id": "r4"}), "at"),
    ]
    for body, why in refusals:
        refused = (await _ask(site, "ping", body, *asking, answer=wished)).document
        assert refused["result"] == "refused"
        assert why in refused["why"]
    metrics = await daemon.metrics()
    for result in ("replayed", "stale", "oversized"):
        assert metrics[f"streamwatch_commands_total{{result={result},verb=refused}}"] == 1
    assert metrics["streamwatch_commands_total{result=malformed,verb=refused}"] == 2


async def test_a_retained_command_is_refused_at_every_connection(site: Site) -> None:
    await site.say(f"{P}/commands/ping", _body("r1"), "-r")
    daemon = await site.daemon()

    refused = "streamwatch_commands_total{result=retained,verb=refused}"
    await daemon.measured(refused, lambda count: count == 1, limit=20)
    assert not site.desk.messages.all(lambda m: "/replies/" in m.topic and '"done"' in m.payload)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_commands_without_a_response_topic_are_answered_on_replies(site: Site, protocol: str) -> None:
    daemon = await site.daemon(mqtt={"url": site.broker.url, "protocol": protocol})
    await site.desk.said("/status", lambda s: s["state"] == "online", limit=20)

    done = await _ask(site, "ping", _body("r1"), answer=f"{P}/replies/ping")
    assert (done.document["request_id"], done.document["result"]) == ("r1", "done")
    refused = await _ask(site, "look", _body("r2", stream="nowhere"), answer=f"{P}/replies/look")
    assert refused.document["result"] == "refused"
    unnamed = await _ask(
        site, "verdict", _body("r3", alert_id="0" * 26, verdict="confirm"), answer=f"{P}/replies/verdict"
    )
    assert "commands/verdict/" in unnamed.document["why"]
    assert (await daemon.metrics())["streamwatch_commands_total{result=done,verb=ping}"] == 1
