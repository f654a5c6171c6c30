"""The schema says what the loader does, as far as a schema can. Judged by a small validator of the words it uses."""

import json
import re
from pathlib import Path

import pytest
import yaml

from streamwatch.config.schema import config_schema
from tests.config.conftest import MINIMAL

SCHEMA = config_schema()
FOLDER = Path(__file__).parents[2] / "config"
TYPES = {
    "string": str, "boolean": bool, "array": list, "object": dict, "null": type(None),
    "integer": int, "number": (int, float),
}  # fmt: skip
NOTES = {"description", "default", "title", "$schema", "$defs"}


def is_type(value, name):
    return isinstance(value, TYPES[name]) and not (isinstance(value, bool) and name in {"integer", "number"})


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


RULES = {
    "$ref": lambda value, rule, _: accepts(value, SCHEMA["$defs"][rule.removeprefix("#/$defs/")]),
    "anyOf": lambda value, rule, _: any(accepts(value, choice) for choice in rule),
    "type": lambda value, rule, _: is_type(value, rule),
    "enum": lambda value, rule, _: value in rule,
    "pattern": lambda value, rule, _: not isinstance(value, str) or re.search(rule, value) is not None,
    "minLength": lambda value, rule, _: not isinstance(value, str) or len(value) >= rule,
    "maxLength": lambda value, rule, _: not isinstance(value, str) or len(value) <= rule,
    "minimum": lambda value, rule, _: not is_number(value) or value >= rule,
    "maximum": lambda value, rule, _: not is_number(value) or value <= rule,
    "exclusiveMinimum": lambda value, rule, _: not is_number(value) or value > rule,
    "items": lambda value, rule, _: not isinstance(value, list) or all(accepts(one, rule) for one in value),
    "maxItems": lambda value, rule, _: not isinstance(value, list) or len(value) <= rule,
    "required": lambda value, rule, _: not isinstance(value, dict) or set(rule) <= set(value),
    "properties": lambda value, rule, _: (
        not isinstance(value, dict) or all(accepts(inner, rule[key]) for key, inner in value.items() if key in rule)
    ),
    "additionalProperties": lambda value, rule, schema: (
        rule is False and (not isinstance(value, dict) or set(value) <= set(schema["properties"]))
    ),
}


def accepts(value, schema):
    return all(RULES[word](value, rule, schema) for word, rule in schema.items() if word not in NOTES)


def test_it_says_what_it_is():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "streamwatch configuration"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("name", ["streamwatch.yaml", "minimal.yaml"])
def test_it_accepts_the_files_we_ship(name):
    assert accepts(yaml.safe_load((FOLDER / name).read_text()), SCHEMA)


def changed(path, value):
    document = yaml.safe_load(MINIMAL)
    place = document
    *steps, last = path
    for step in steps:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sampling", "max_gap"), "500ms"), (("sampling", "max_gap"), "${GAP}"), (("sampling", "novelty"), "off"),
        (("sampling", "novelty"), True), (("limits", "watchers"), 2), (("limits", "watchers"), "${N}"),
        (("sampling",), None),
        (("state",), "./x"), (("state",), {"folder": "x"}), (("mqtt", "protocol"), 5), (("mqtt", "protocol"), "3.1.1"),
        (("rules", 0, "severity"), "${S}"), (("rules", 0, "close"), {"for": "5s"}), (("mqtt", "password"), "${file:x}"),
        (("http", "listen"), "[::]:1"), (("streams", 0, "sampling"), {"max_gap": "1s"}),
    ],
)  # fmt: skip
def test_it_accepts(path, value):
    assert accepts(changed(path, value), SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sampling", "max_gap"), 10), (("sampling", "max_gap"), "10"), (("sampling", "max_gap"), "10 s"),
        (("nod",), "x"),
        (("sampling", "jitter"), 0.6), (("limits", "watchers"), 0), (("limits", "memory"), 5), (("node",), "a b"),
        (("rules", 0, "severity"), "hi"), (("streams", 0, "ur"), "x"), (("streams",), "x"), (("mqtt",), None),
        (("mqtt", "protocol"), 4), (("sampling", "novelty"), 1), (("rules", 0, "close"), {"for_": "5s"}),
    ],
)  # fmt: skip
def test_it_refuses(path, value):
    assert not accepts(changed(path, value), SCHEMA)


def test_every_key_is_described():
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        for key, value in section.get("properties", {}).items():
            described = value.get("description") or "$ref" in json.dumps(value)
            assert described, key
