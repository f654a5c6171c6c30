"""JSON Schema of the configuration file, for editors and for tools that write one."""

from __future__ import annotations

from typing import Any

from streamwatch.config.models import Config

_SUBSTITUTED = {"type": "string", "pattern": r"\$\{"}
"""Any value may come from the environment or a file; only the loader knows what it will be."""
_NOTHING = {"type": "null"}
"""A key without a value counts as not written, so that all keys of a section can be commented out."""
_WORDS = {"enum": ["on", "off", "yes", "no"]}
"""What the loader reads as true and false beside `true` and `false`."""
_NOTES = ("description", "default")
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Bounds that pydantic leaves under its own names; those of durations and sizes a schema cannot say."""


def config_schema() -> dict[str, Any]:
    """The schema as a JSON-able value (draft 2020-12)."""
    schema = Config.model_json_schema(by_alias=True, mode="validation")
    definitions: dict[str, dict[str, Any]] = schema["$defs"]
    for section in (schema, *definitions.values()):
        section.pop("title", None)
        required = section.get("required", ())
        for key, value in section.get("properties", {}).items():
            section["properties"][key] = _property(value, definitions, optional=key not in required)
    folder = schema["properties"]["state"]["anyOf"]
    folder.insert(1, {"type": "string", "minLength": 1})
    notes = "Durations carry a unit (500ms, 10s, 5m, 2h, 7d). ${NAME} reads the environment, ${file:PATH} a file."
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "streamwatch configuration"}
    return {**head, **schema, "description": notes}


def _property(value: dict[str, Any], definitions: dict[str, dict[str, Any]], *, optional: bool) -> dict[str, Any]:
    """One key: what may stand there as `anyOf`, and its notes beside it, where editors look for them."""
    notes = {name: value[name] for name in _NOTES if value.get(name) not in (None, [])}
    rest = {name: inner for name, inner in value.items() if name not in (*_NOTES, "title")}
    written = [choice for choice in rest.pop("anyOf", [rest]) if choice != _NOTHING]
    choices = [also for choice in written for also in _choice(choice, definitions)]
    if optional:
        choices.append(_NOTHING)
    return {**notes, "anyOf": choices} if len(choices) > 1 else {**notes, **choices[0]}


def _choice(choice: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the loader accepts where pydantic's schema says `choice`."""
    if choice.get("type") == "array":
        items = _choice(choice["items"], definitions)
        return [{**choice, "items": {"anyOf": items} if len(items) > 1 else items[0]}]
    pointed = definitions[choice["$ref"].removeprefix("#/$defs/")] if "$ref" in choice else choice
    if "properties" in pointed:
        return [choice]
    if pointed.get("type") == "boolean":
        return [choice, _WORDS, _SUBSTITUTED]
    if "enum" in pointed:
        # YAML reads an unquoted 5 as a number; the loader does not care.
        numbers = [int(word) for word in pointed["enum"] if word.isdecimal()]
        return [choice, *([{"enum": numbers}] if numbers else []), _SUBSTITUTED]
    if pointed.get("type") == "string":
        plain = {name: inner for name, inner in choice.items() if name not in _BOUNDS}
        return [plain, _SUBSTITUTED] if "pattern" in plain else [plain]
    return [{_BOUNDS.get(name, name): inner for name, inner in choice.items()}, _SUBSTITUTED]
