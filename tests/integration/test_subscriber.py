"""The example for integrators, as it stands in docs/, against a real broker."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tokenize
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streamwatch.alerts.commands import VerdictCommand
from tests.fakes.desk import Story
from tests.integration.people import Subscriber, publish
from tests.integration.process import Child
from tests.integration.servers import Mosquitto

EXAMPLE = Path(__file__).parents[2] / "docs/subscriber.py"
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
PATIENCE_S = 20
VERDICTS = "streamwatch/v1/edge-1/commands/verdict/anna"
TOPIC = "streamwatch/v1/edge-1/streams/lobby/alerts"


def test_it_is_short_enough_to_be_read() -> None:
    lines: set[int] = set()
    with EXAMPLE.open(encoding="utf-8") as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type not in LAYOUT and not token.string.startswith('"""'):
                lines.update(range(token.start[0], token.end[0] + 1))
    assert len(lines) <= 30


class Tool(Child):
    """The example at work."""

    def __init__(self, port: int) -> None:
        super().__init__("example", [sys.executable, str(EXAMPLE), "127.0.0.1", str(port), "anna"])


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path / "mosquitto") as made:
        yield made


async def told(tool: Tool, words: str, *, since: int = 0) -> None:
    await tool.out.until(lambda line: line.startswith(words), limit=PATIENCE_S, what=words, since=since)


async def test_it_prints_alerts_once_acknowledges_them_and_misses_none_while_it_is_away(broker: Mosquitto) -> None:
    story = Story().at(1).alarm()
    story.at(20).alarm()
    story.at(40).alarm()
    opened, second, third = (json.dumps(document) for document in story.documents)
    async with Subscriber(broker.port) as desk:
        tool = Tool(broker.port)
        await tool.start()
        try:
            await _subscribed(tool, broker)
            await publish(broker.port, TOPIC.replace("lobby", "~rights"), '{"probe":"a daemon tries whether it may"}')
            for body in (opened, opened, second, opened):
                await publish(broker.port, TOPIC, body)
            await told(tool, "high updated")
            shown = [line.split()[:3] for line in tool.out.all(lambda line: line.startswith("high"))]
            assert shown == [["high", "opened", "nudity"], ["high", "updated", "nudity"]]
            said = await desk.messages.until(
                lambda m: m.topic == VERDICTS and m.document["alert_id"] == story.last["alert_id"],
                limit=PATIENCE_S,
                what="a verdict",
            )
            assert VerdictCommand.model_validate_json(said.what.payload).verdict == "acknowledge"
        finally:
            await tool.stop(signal.SIGKILL)
        await publish(broker.port, TOPIC, third)
        again = Tool(broker.port)
        await again.start()
        try:
            await told(again, "high updated")
        finally:
            await again.stop(signal.SIGKILL)


async def _subscribed(tool: Tool, broker: Mosquitto) -> None:
    """It has told the broker what it wants to hear: a test alert that is said until it arrives."""
    probe: dict[str, Any] = Story().at(1).alarm("card").last
    async with asyncio.timeout(PATIENCE_S):
        while not tool.out.all(lambda line: line.startswith("test opened")):
            await publish(broker.port, TOPIC.replace("alerts", "tests"), json.dumps(probe))
