"""From pydantic's errors to findings: which key was meant, which values would do, and what must not be repeated."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from streamwatch.config import fields
from streamwatch.config.checks import nearest
from streamwatch.config.fields import Hidden, Shown
from streamwatch.config.findings import VALUE, Finding, Path
from streamwatch.config.models import Config, Section


def keys(section: type[Section]) -> dict[str, FieldInfo]:
    """The keys of a section as they are written, with their fields."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def section_in(annotation: Any) -> type[Section] | None:
    """The section that an annotation holds, alone or in a tuple; None for single values."""
    return _section_in(annotation)


@cache
def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part)) is not None), None)


def at(path: Path) -> tuple[type[Section] | None, FieldInfo | None]:
    """The section and the field a path leads to; the section alone where its last key is unknown there."""
    section: type[Section] | None = Config
    field: FieldInfo | None = None
    for part in path:
        if isinstance(part, int):
            continue
        if section is None:
            return None, field
        field = keys(section).get(part)
        if field is None:
            return section, None
        section = section_in(field.annotation)
    return section, field


def marks(field: FieldInfo) -> tuple[object, ...]:
    """Everything attached to a field's type, at any depth."""
    annotation: Any = field.annotation
    return (*field.metadata, *_inner_marks(annotation))


@cache
def _inner_marks(annotation: Any) -> tuple[object, ...]:
    inner = tuple(mark for part in get_args(annotation) for mark in _inner_marks(part))
    return (*getattr(annotation, "__metadata__", ()), *inner)


def hidden(path: Path) -> Path | None:
    """The part of a path that leads to a value no message may repeat; None where all may be shown."""
    for length in range(1, len(path) + 1):
        field = at(path[:length])[1]
        if field is not None and any(isinstance(mark, Hidden) for mark in marks(field)):
            return path[:length]
    return None


def finding(error: ErrorDetails) -> Finding:
    """One of pydantic's errors in our words."""
    path: Path = tuple(error["loc"])
    kind, context, field = error["type"], error.get("ctx", {}), at(path)[1]
    if kind == "extra_forbidden":
        return _unknown(path)
    wrong, right = f"{VALUE} cannot be used here ({kind})", _description(field)
    match kind:
        case "missing":
            wrong = "missing"
        case fields.FINDING:
            wrong, right = f"{VALUE} {context['wrong']}", str(context["right"])
        case "enum" | "literal_error":
            wrong, right = f"{VALUE} is none of the choices", str(context["expected"]).replace("'", "")
        case "greater_than" | "greater_than_equal":
            wrong, right = f"{VALUE} is too small", _range(field)
        case "less_than" | "less_than_equal":
            wrong, right = f"{VALUE} is too large", _range(field)
        case "tuple_type":
            wrong, right = f"{VALUE} is not a list", "entries that begin with `- `, or [a, b]"
        case "too_long":
            wrong, right = "too many entries", f"at most {context['max_length']}"
    return Finding(path, wrong, right)


def _description(field: FieldInfo | None) -> str:
    text = (field.description or "") if field else ""
    return text[:1].lower() + text[1:].rstrip(".")


def _range(field: FieldInfo | None) -> str:
    if field is None:
        return ""
    show = next((mark.text for mark in marks(field) if isinstance(mark, Shown)), "{:.15g}".format)
    least = next((mark.ge for mark in marks(field) if isinstance(mark, Ge)), None)
    above = next((mark.gt for mark in marks(field) if isinstance(mark, Gt)), None)
    most = next((mark.le for mark in marks(field) if isinstance(mark, Le)), None)
    low = f"{show(least)} or more" if least is not None else f"more than {show(above)}" if above is not None else ""
    high = f"at most {show(most)}" if most is not None else ""
    return ", ".join(part for part in (low, high) if part)


def _unknown(path: Path) -> Finding:
    section, _ = at(path)
    written = str(path[-1])
    known = list(keys(section)) if section else []
    homes = _homes().get(written, ())
    right = nearest(written, known)
    if not right.startswith("did you mean") and homes:
        right = f"it belongs in {' or '.join(homes)}"
    return Finding(path, "unknown key", right)


@cache
def _homes() -> dict[str, tuple[str, ...]]:
    """Which sections know a key, for keys written in the wrong one."""
    found: dict[str, tuple[str, ...]] = {}

    def walk(section: type[Section], name: str) -> None:
        for key, field in keys(section).items():
            found[key] = (*found.get(key, ()), name) if name else found.get(key, ())
            inner = section_in(field.annotation)
            if inner is not None:
                several = "[]" if inner is not field.annotation else ""
                walk(inner, f"{name}.{key}{several}" if name else f"{key}{several}")

    walk(Config, "")
    return {key: homes for key, homes in found.items() if homes}
