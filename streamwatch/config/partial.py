"""A configuration of which parts are wrong, typed as far as it goes, so that the checks can still judge the rest."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from streamwatch.config.explain import section_in
from streamwatch.config.models import Config, Section, State

_MAX_ITEMS = 20_000
"""What the longest list of a configuration may hold; a longer one is wrong anyway."""


def partial(values: object, section: type[Section] = Config) -> Any:
    """An object with the attributes of `section`; None where a value is missing or wrong."""
    if section is State and isinstance(values, str):
        values = {"folder": values}
    given = values if isinstance(values, dict) else {}
    return SimpleNamespace(
        **{name: _attribute(section, name, field, given) for name, field in section.model_fields.items()}
    )


def _attribute(section: type[Section], name: str, field: FieldInfo, given: dict[str, object]) -> Any:
    value = given.get(field.alias or name)
    annotation: Any = field.annotation
    inner = section_in(annotation)
    if inner is None:
        return _leaf(section, name, value)
    if annotation is inner:
        return partial(value, inner)
    return tuple(partial(item, inner) for item in value[:_MAX_ITEMS]) if isinstance(value, list) else ()


def _leaf(section: type[Section], name: str, value: object) -> Any:
    if value is None:
        field = section.model_fields[name]
        if field.is_required():
            return None
        value = field.get_default(call_default_factory=True)
    try:
        return _adapter(section, name).validate_python(value)
    except ValidationError:
        return None


@cache
def _adapter(section: type[Section], name: str) -> TypeAdapter[Any]:
    field = section.model_fields[name]
    annotation: Any = field.annotation
    return TypeAdapter(Annotated[annotation, *field.metadata] if field.metadata else annotation)
