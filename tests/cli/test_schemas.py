"""What we publish is closed: nothing beside its fields, and an end to each of them. No field could hold a picture."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.commands import PingCommand, Reply
from streamwatch.cli.main import app
from streamwatch.coverage.documents import (
    BreachDocument,
    CoverageDocument,
    LayerEntry,
    OriginEntry,
    StateDocument,
    StatusDocument,
    UncoveredEntry,
)
from streamwatch.domain.streams import Reason, State, topic_sid
from streamwatch.domain.urls import printable

PUBLISHED = ("alert", "state", "coverage", "status", "breach", "audit")
HEARD = ("signal", "verdict")
MAX_BYTES = 4096
BLOB = re.compile(rb"[A-Za-z0-9+/=_-]{129,}")


def described(subject: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["schema", subject])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def nodes(node: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, inner in node.items():
            yield from nodes(inner, f"{path}/{key}")
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from nodes(inner, f"{path}/{index}")


def ends(node: dict[str, Any]) -> bool:
    if {"const", "enum"} & node.keys():
        return True
    match node.get("type"):
        case "string":
            return bool({"maxLength", "pattern"} & node.keys())
        case "array":
            return "maxItems" in node
        case "integer" | "number":
            return {"minimum", "exclusiveMinimum"} & node.keys() != set() and (
                {"maximum", "exclusiveMaximum"} & node.keys() != set()
            )
        case _:
            return True


@pytest.mark.parametrize("subject", [*PUBLISHED, *HEARD])
def test_every_field_of_every_schema_has_an_end(subject: str) -> None:
    assert [path for path, node in nodes(described(subject)) if not ends(node)] == []


@pytest.mark.parametrize("subject", PUBLISHED)
def test_what_we_publish_has_nothing_beside_its_fields_and_no_long_text(subject: str) -> None:
    schema = described(subject)
    objects = [(path, node) for path, node in nodes(schema) if node.get("type") == "object"]
    assert objects
    assert [path for path, node in objects if node.get("additionalProperties") is not False] == []
    assert max(node.get("maxLength", 0) for _, node in nodes(schema)) <= 600
    assert "contentEncoding" not in json.dumps(schema)


def test_the_walk_finds_what_has_no_end() -> None:
    for open_ in ({"type": "string"}, {"type": "array"}, {"type": "number", "minimum": 0}, {"type": "integer"}):
        assert not ends(open_)


@given(st.binary(min_size=100, max_size=400))
def test_no_text_carries_bytes_that_could_be_a_picture(data: bytes) -> None:
    for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data), data.hex().encode()):
        assert not BLOB.search(printable(encoded.decode(), 1000).encode())
        assert not BLOB.search(printable(f"so: {encoded.decode()} {encoded.decode()}", 1000).encode())
        assert not BLOB.search(topic_sid(encoded.decode()).encode())


HOSTILE = st.text(st.characters(codec="utf-8"), max_size=400) | st.sampled_from(
    [
        "\U0010ffff" * 400,
        '"' * 400,
        "\\" * 400,
        "\x00" * 400,
        "\u202e" * 400,
        "QUJD" * 100,
    ]
)
NUMBERS = st.floats(0, 1e12) | st.sampled_from([0.0, 1e12, 0.1 + 0.2])
COUNTS = st.integers(0, 10**9)
AT = st.just("2026-11-25T21:00:00.000Z")


def published(payload: bytes) -> None:
    assert len(payload) <= MAX_BYTES
    assert not BLOB.search(payload)


@given(HOSTILE, HOSTILE, NUMBERS)
def test_a_state_fits_whatever_it_names(stream: str, detail: str, seconds: float) -> None:
    document = StateDocument(
        stream=printable(stream), state=State.UNCOVERED, reason=Reason.STALLED, since="2026-11-25T21:00:00.000Z",
        gap_s=seconds, session="s" * 40, detail=printable(detail),
    )  # fmt: skip
    published(document.payload())
    StateDocument.model_validate_json(document.payload())


@settings(max_examples=50)
@given(st.lists(HOSTILE, max_size=30), st.lists(HOSTILE, max_size=15), COUNTS, NUMBERS)
def test_coverage_fits_whatever_it_names(sids: list[str], origins: list[str], count: int, seconds: float) -> None:
    document = CoverageDocument(
        at="2026-11-25T21:00:00.000Z",
        streams_live=count,
        streams_covered=count,
        coverage_1m=0.5,
        worst_gap_s=seconds,
        uncovered=tuple(
            UncoveredEntry(sid=topic_sid(sid), reason=Reason.QUARANTINED, since="2026-11-25T21:00:00.000Z")
            for sid in sids[:20]
        ),
        uncovered_total=count,
        origins=tuple(
            OriginEntry(name=printable(name, 64), live=count, covered=count, coverage_1h=0.5) for name in origins[:10]
        ),
    )
    published(document.payload())
    CoverageDocument.model_validate_json(document.payload())


@settings(max_examples=50)
@given(st.lists(HOSTILE, max_size=15), st.lists(HOSTILE, max_size=40))
def test_a_status_fits_whatever_it_says(reasons: list[str], layers: list[str]) -> None:
    document = StatusDocument(
        state="degraded",
        boot_id="b" * 64,
        version="v" * 64,
        since="2026-11-25T21:00:00.000Z",
        reasons=tuple(printable(reason) for reason in reasons),
        sandbox=tuple(LayerEntry(name=printable(name, 128), in_force=False, detail=printable(name)) for name in layers),
    )
    published(document.payload())


@given(HOSTILE, NUMBERS)
def test_a_breach_fits_whatever_it_names(stream: str, seconds: float) -> None:
    document = BreachDocument(
        event="ended", stream=printable(stream), session="s" * 40, reason=Reason.RESTART,
        from_="2026-11-25T21:00:00.000Z", to=None, ended_by="frame", uncovered_s=seconds, max_gap_s=seconds,
        worst_gap_s=seconds,
    )  # fmt: skip
    published(document.payload())


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128), HOSTILE)
def test_an_answer_fits_whatever_was_asked(request_id: str, why: str) -> None:
    command = PingCommand.model_validate_json(json.dumps({"request_id": request_id, "at": "2026-11-25T21:00:00Z"}))
    published(Reply.to(command, "ping", Answer(Result.REFUSED, why), version="0.1.0").encode())
