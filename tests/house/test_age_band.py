"""An age band comes in, raises the rate of looks, and goes nowhere: no document, reply, log line, metric or message."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs

from streamwatch.alerts import commands, document
from streamwatch.alerts.base import RiskSignal, StreamFacts
from streamwatch.coverage import documents
from streamwatch.domain.decisions import Level
from streamwatch.domain.streams import StreamSpec
from streamwatch.link.messages import FromWatcher, ToWatcher
from tests.daemon.stage import Stage, running, setup_of, spec
from tests.daemon.test_signals import signal

BAND = re.compile(r"(?<![a-z])(age|ages|aged|band|minors?|child(ren)?|adults?)(?![a-z])", re.IGNORECASE)
"""In names as `age_band` and in words."""

PUBLISHED = {
    "alert": document.schema(),
    "reply": commands.Reply.model_json_schema(),
    "state": documents.schema(documents.StateDocument),
    "coverage": documents.schema(documents.CoverageDocument),
    "status": documents.schema(documents.StatusDocument),
}


def names(schema: Any) -> Iterator[str]:
    """Every member and every word of a closed list, however deep."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (str(word) for word in schema.get("enum", ()))
        for inner in schema.values():
            yield from names(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from names(inner)


def test_the_walk_finds_what_it_looks_for() -> None:
    asked = set(names(commands.schema(commands.SignalCommand)))
    assert {name for name in asked if BAND.search(name.replace("_", " "))} == {"age_band", "adult", "minor"}


@pytest.mark.parametrize("published", PUBLISHED)
def test_no_published_document_has_a_place_for_it(published: str) -> None:
    assert [name for name in names(PUBLISHED[published]) if BAND.search(name.replace("_", " "))] == []


def test_no_message_between_daemon_and_watcher_has_a_place_for_it() -> None:
    for union in (ToWatcher, FromWatcher):
        for message in get_args(get_args(union)[0]):
            assert [name for name in names(message.model_json_schema()) if BAND.search(name.replace("_", " "))] == []


def test_what_an_alert_is_made_of_has_no_place_for_it() -> None:
    for kind in (StreamFacts, RiskSignal, StreamSpec):
        assert [field.name for field in dataclasses.fields(kind) if BAND.search(field.name.replace("_", " "))] == []


async def test_nothing_that_a_daemon_says_tells_it() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    with capture_logs() as lines:
        async with running(stage):
            await stage.covered("lobby")
            for strength in (0.1, 0.0, 0.9):
                await signal(stage, strength=strength, age_band="minor")
                await signal(stage, "reports", strength=strength, age_band="minor", stream="hall")
            await signal(stage, strength=2, age_band="minor")
            await stage.command("boost/ann", stream="lobby", suspicion=0.1)
            await stage.decided("lobby", Level.ALARM)
            await stage.pass_time(11)
            await stage.decided("lobby", Level.CALM)
            await stage.pass_time(1)
            seen = json.dumps([stage.service.streams(), stage.service.facts(), stage.service.missing()])
    said = [message.payload.decode() for message in stage.broker.published if "/signals/" not in message.topic]
    assert len(said) > 10
    metrics = [row for row in stage.metrics.render().decode().splitlines() if row[0] != "#" and "_bucket{" not in row]
    for text in [*said, *map(str, lines), seen, *metrics]:
        assert not BAND.search(text.replace("_", " ")), text
        assert "0.25" not in text, "nor does a number that stands for it"
