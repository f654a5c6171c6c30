"""What leaves a watcher cannot be a picture: every type that it can send is walked, field by field."""

from __future__ import annotations

import re
import types
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from streamwatch.domain.errors import LinkViolation
from streamwatch.link.frames import decode, encode
from streamwatch.link.messages import (
    FROM_WATCHER,
    MAX_FRAME,
    MAX_REPORT,
    MAX_SECONDS,
    TO_WATCHER,
    Message,
    Ready,
    RuleLevel,
    Sampled,
)
from tests.link.examples import AT, DOWN, LARGEST, SMALL, UP, hit, rule_level, sampled, stream_level


def flat(metadata: Any) -> list[Any]:
    constraints: list[Any] = []
    for item in metadata:
        constraints.extend(flat(item.metadata) if isinstance(item, FieldInfo) else [item])
    return constraints


def bounds(metadata: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in flat(metadata):
        for name in ("ge", "gt", "le", "lt", "max_length"):
            if getattr(item, name, None) is not None:
                found[name] = getattr(item, name)
        if isinstance(item, annotated_types.Len) and item.max_length is not None:
            found["max_length"] = item.max_length
    return found


def bounded_pattern(metadata: Any) -> bool:
    patterns = [pattern for item in flat(metadata) if (pattern := getattr(item, "pattern", None))]
    return any(re.fullmatch(r"\^\[[^\]]+\]\{\d+,\d+\}\$", pattern) for pattern in patterns)


def complaints(annotation: Any, metadata: Any, where: str) -> list[str]:  # noqa: C901, PLR0911 - one case a kind of type
    """What is unbounded, or could hold bytes, in a type; empty where nothing is."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return complaints(inner, [*metadata, *more], where)
    limits = bounds(metadata)
    if origin in {Union, types.UnionType}:
        return [c for part in get_args(annotation) for c in complaints(part, metadata, where)]
    if origin is Literal or annotation in {type(None), bool, float}:
        return []
    if annotation is AwareDatetime:
        return [] if limits.keys() & {"ge", "gt"} and limits.keys() & {"le", "lt"} else [f"{where}: any date"]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return []
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return walk(annotation)
    if annotation is int:
        return [] if {"ge", "le"} <= limits.keys() else [f"{where}: unbounded int"]
    if annotation is str:
        return [] if "max_length" in limits or bounded_pattern(metadata) else [f"{where}: unbounded str"]
    if origin is tuple:
        parts = get_args(annotation)
        endless = parts[-1] is Ellipsis and "max_length" not in limits
        items = [part for part in parts if part is not Ellipsis]
        return [f"{where}: unbounded tuple"] * endless + [c for part in items for c in complaints(part, [], where)]
    if origin is dict:
        key, value = get_args(annotation)
        closed = get_origin(key) is Literal
        return [f"{where}: open dict"] * (not closed) + complaints(value, [], where)
    return [f"{where}: {annotation!r} is not allowed"]


def walk(model: type[BaseModel]) -> list[str]:
    found = []
    if not (model.model_config.get("frozen") and model.model_config.get("extra") == "forbid"):
        found.append(f"{model.__name__}: not frozen, or open to unknown fields")
    for name, field in model.model_fields.items():
        found += complaints(field.annotation, field.metadata, f"{model.__name__}.{name}")
    return found


@pytest.mark.parametrize("model", UP + DOWN, ids=lambda model: model.__name__)
def test_no_message_can_hold_bytes_or_anything_without_an_end(model: type[Message]):
    assert walk(model) == []


class Leaky(Message):
    picture: bytes
    text: str
    many: tuple[int, ...]
    anything: Any
    listed: list[float]
    open_dict: dict[str, bool]
    at: AwareDatetime


def test_the_walk_finds_what_it_looks_for():
    kinds = [complaint.split(": ", 1)[1].split(" is not")[0] for complaint in walk(Leaky)]
    assert kinds == [
        "<class 'bytes'>",
        "unbounded str",
        "unbounded tuple",
        "unbounded int",
        "typing.Any",
        "list[float]",
        "open dict",
        "any date",
    ]


def test_every_type_has_an_example():
    assert {type(message) for message in SMALL} == {*UP, *DOWN}
    assert {type(message) for message in LARGEST} == set(UP)


@pytest.mark.parametrize("message", SMALL, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_journey(message: Message):
    up = isinstance(message, UP)
    body = encode(message, MAX_FRAME)[4:]
    assert decode(FROM_WATCHER if up else TO_WATCHER, body) == message
    with pytest.raises(LinkViolation):
        decode(TO_WATCHER if up else FROM_WATCHER, body)


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: type(message).__name__)
def test_the_largest_message_of_each_type_fits_or_is_made_to_fit(message: Message):
    limit = MAX_FRAME if isinstance(message, Ready) else MAX_REPORT
    body = encode(message, limit)[4:]
    assert len(body) <= limit
    assert type(decode(FROM_WATCHER, body)) is type(message)


def test_a_sample_that_is_too_large_keeps_its_highest_scores():
    values = tuple((f"{'label' * 20}{n}", n / 100) for n in range(100))
    line = sampled().scores[0]
    message = sampled(scores=tuple(line.model_copy(update={"values": values}) for _ in range(10)))
    small = decode(FROM_WATCHER, encode(message, MAX_REPORT)[4:])
    assert isinstance(small, Sampled)
    assert len(small.scores) == 10
    for line in small.scores:
        assert line.values[0][1] == 0.99
        assert 1 <= len(line.values) < 100


def test_a_level_that_is_too_large_keeps_its_newest_hits():
    message = LARGEST[5]
    assert isinstance(message, RuleLevel)
    numbered = message.model_copy(
        update={"hits": tuple(hit.model_copy(update={"arrival": float(n)}) for n, hit in enumerate(message.hits))}
    )
    small = decode(FROM_WATCHER, encode(numbered, 8 * 1024)[4:])
    assert isinstance(small, RuleLevel)
    assert small.hits[-1].arrival == 99
    assert small.level is message.level


def test_what_cannot_be_made_to_fit_is_refused_before_it_is_sent():
    with pytest.raises(LinkViolation, match="a StreamLevel that does not fit"):
        encode(stream_level("x" * 16_384), MAX_REPORT)


def test_an_error_never_repeats_what_was_sent():
    with pytest.raises(LinkViolation) as caught:
        decode(
            FROM_WATCHER, b'{"type": "failed", "what": "bug", "detail": 5, "secret-url": "rtmp://user:password@host"}'
        )
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("digits", [19, 400, 5000])
def test_a_number_cannot_carry_thousands_of_digits(digits: int):
    body = b'{"type": "ready", "pid": ' + b"9" * digits + b', "sandbox": [], "detectors": []}'
    if digits == 19:
        body = body.replace(b"9" * 19, b"9223372036854775808")
    with pytest.raises(LinkViolation):
        decode(FROM_WATCHER, body)


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"]
)
def test_a_date_that_cannot_be_shown_in_every_zone_is_no_date(at: str):
    for message in (sampled(), rule_level(last_seen=hit())):
        body = message.model_dump_json().replace(f"{AT:%Y-%m-%dT%H:%M:%S}.123000Z", at)
        assert at in body
        with pytest.raises(LinkViolation):
            decode(FROM_WATCHER, body.encode())


@pytest.mark.parametrize("arrival", ["1e10", "-1e10", "Infinity", "NaN", "1e999"])
def test_seconds_have_an_end(arrival: str):
    body = sampled().model_dump_json().replace('"arrival":1000.0', f'"arrival":{arrival}')
    assert arrival in body
    with pytest.raises(LinkViolation):
        decode(FROM_WATCHER, body.encode())


def test_a_streams_own_nonsense_about_time_is_brought_into_bounds_and_breaks_no_watcher():
    assert sampled(media_s=2.0**63).media_s == MAX_SECONDS
    assert sampled(media_s=-(2.0**63)).media_s == -MAX_SECONDS
