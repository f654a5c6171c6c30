"""The real daemon at a mosquitto that runs by `config/mosquitto/`, with all its rights and without one of them."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.account import Account, account
from tests.fakes.mosquitto import RecipeMosquitto
from tests.integration.daemon import NODE, Daemon, config

P = f"streamwatch/v1/{NODE}"
RIGHTS = f"topic read {P}/streams/~rights/+"


@pytest.fixture
async def broker(tmp_path: Path):
    made = RecipeMosquitto(tmp_path / "broker", NODE, "anna", "aude")
    await made.start()
    yield made
    await made.stop()


def settings(folder: Path, broker: RecipeMosquitto, protocol: str) -> dict[str, object]:
    made = config(folder, broker=broker.url, streams={"lobby": "rtmp://127.0.0.1:1/live/lobby"})
    mqtt = {"username": NODE, "password": broker.word, "ca": str(broker.ca), "protocol": protocol}
    return {**made, "mqtt": {**made["mqtt"], **mqtt}}


def about_the_broker(reasons: list[str]) -> list[str]:
    """A machine that is busy may lack its watchers for a while, which is not what is asked here."""
    return [reason for reason in reasons if reason.startswith(("rights", "broker", "subscriptions", "identifier"))]


def ping(number: int) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"request_id": f"r{number}", "at": at}).encode()


async def asked(anna: Account, number: int) -> dict[str, object]:
    assert await anna.say(f"{P}/commands/ping/anna", ping(number))
    return await anna.until("replies/ping", lambda document: document["request_id"] == f"r{number}")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_daemon_has_its_rights_hears_its_people_and_says_which_rule_went_missing(tmp_path, broker, protocol):
    async with Daemon(tmp_path, settings(tmp_path, broker, protocol)) as daemon:
        async with account(broker, "anna", protocol) as anna:
            await anna.listen(f"{P}/status", f"{P}/replies/+")
            await anna.until("status", lambda document: document["state"] != "offline")
            assert (await asked(anna, 1))["result"] == "done"
            await anna.say(f"{P}/commands/ping/somebody", ping(2))
            assert (await asked(anna, 3))["result"] == "done", "and the second was never answered"
        assert not about_the_broker((await daemon.health())["reasons"])
        await broker.stop()
        broker.without = RIGHTS
        await broker.start()
        async with account(broker, "anna", protocol) as anna:
            await anna.listen(f"{P}/status")
            wrong = await anna.until("status", lambda document: bool(about_the_broker(document["reasons"])))
            (reason,) = about_the_broker(wrong["reasons"])
            assert wrong["state"] == "degraded"
            assert f"`topic write {P}/streams/+/alerts, {RIGHTS.removeprefix('topic ')}`" in reason
            await daemon.stop(signal.SIGKILL)
            await anna.until("status", lambda document: document["state"] == "offline")


async def test_a_daemon_says_which_certificate_it_does_not_trust(tmp_path, broker):
    made = settings(tmp_path, broker, "auto")
    async with Daemon(tmp_path, {**made, "mqtt": {**made["mqtt"], "ca": None}}) as daemon:  # type: ignore[dict-item]
        heard = await daemon.log.until(lambda event: event["event"] == "degraded", limit=15, what="degraded")
        assert "certificate verify failed" in heard.what["reason"]
