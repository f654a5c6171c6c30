"""Types of single values: text from the file becomes a number, a duration, an address, or a finding.

Validators answer with half a sentence about the value (`is not a duration`) and never repeat the value itself:
whether it may be shown is decided in one place, the loader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from streamwatch.config import durations
from streamwatch.domain.urls import is_bidi

MAX_LINE = 4096

FINDING = "finding"
"""Type of the pydantic errors that carry a `wrong` and a `right` of ours."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,2})?", re.ASCII)
_ON = frozenset({"true", "yes", "on"})
_OFF = frozenset({"false", "no", "off"})
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_MIN_SECRET = 16


@dataclass(frozen=True, slots=True)
class Hidden:
    """Marks a field whose value no message may repeat: a secret, or an address that may hold one."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Marks a number that messages show in its unit."""

    text: Callable[[Any], str]


def written(default: str, **rules: Any) -> Any:
    """Describe a field whose default stands in the code as an operator would write it, with its unit."""
    return Field(default, **rules)


def no(wrong: str, right: str = "") -> NoReturn:
    """Refuse a value. Raises the pydantic error that becomes our finding."""
    raise PydanticCustomError(FINDING, "{wrong}", {"wrong": wrong, "right": right})


def one_value(value: object) -> str:
    """The text of a scalar; a list or section in its place is refused."""
    if not isinstance(value, str):
        no("is not one value", "text or a number on one line")
    return value


def _duration(value: object) -> float:
    if isinstance(value, float):  # from code, not from a file: scalars of a file are text
        return value
    text = one_value(value)
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise explained(error, durations.DURATION_FORM) from error


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = one_value(value)
    try:
        return durations.size(text)
    except ValueError as error:
        raise explained(error, durations.SIZE_FORM) from error


def explained(error: ValueError, right: str) -> PydanticCustomError:
    """Our finding for an error whose text says what is wrong."""
    return PydanticCustomError(FINDING, "{wrong}", {"wrong": str(error), "right": right})


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = one_value(value)
    if _WHOLE.fullmatch(text) is None:
        no("is not a whole number", "digits only, such as 2")
    return int(text)


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    text = one_value(value)
    if _NUMBER.fullmatch(text) is None:
        no("is not a number", "such as 0.8")
    return float(text)


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = one_value(value).lower()
    if word not in _ON | _OFF:
        no("is neither true nor false", "true or false")
    return word in _ON


def _named(value: object) -> str:
    text = one_value(value)
    if _NAME.fullmatch(text) is None:
        no("is not a name", "1 to 64 of A-Z a-z 0-9 _ . -")
    return text


def line(limit: int) -> Callable[[object], str]:
    """A validator of one line of printable text, in any script, of at most `limit` characters."""

    def check(value: object) -> str:
        text = one_value(value)
        if not text.strip():
            no("is empty", "some text")
        if len(text) > limit:
            no("is too long", f"at most {limit} characters")
        if CONTROL.search(text):
            no("has control characters or line breaks in it", "one line of printable text")
        if any(map(is_bidi, text)):
            no("has marks in it that turn the direction of text", "the same without them: it is shown to people")
        return text

    return check


def _secret(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return one_value(value)


def _long_secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value().encode("utf-8", "replace")) < _MIN_SECRET:
        no("is too short", f"at least {_MIN_SECRET} bytes, for example of `openssl rand -hex 32`")
    return value


def _path(value: object) -> str:
    text = line(MAX_LINE)(str(value) if isinstance(value, PurePath) else value)
    if text.startswith("~"):
        no("begins with ~, which is not expanded here", "an absolute path")
    return text


DURATION_SCHEMA = {"type": "string", "pattern": durations.DURATION_PATTERN}
NAME_SCHEMA = {"type": "string", "pattern": f"^{_NAME.pattern}$"}
TEXT_SCHEMA = {"type": "string", "minLength": 1}

Duration = Annotated[float, BeforeValidator(_duration), Shown(durations.duration), WithJsonSchema(DURATION_SCHEMA)]
"""Seconds; in the file a number with a unit."""
Size = Annotated[
    int,
    BeforeValidator(_size),
    Shown(durations.size_text),
    WithJsonSchema({"type": "string", "pattern": durations.SIZE_PATTERN}),
]
"""Bytes; in the file a number with a unit."""
Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Name = Annotated[str, BeforeValidator(_named), WithJsonSchema(NAME_SCHEMA)]
Label = Annotated[str, BeforeValidator(line(128)), WithJsonSchema({**TEXT_SCHEMA, "maxLength": 128})]
Line = Annotated[str, BeforeValidator(line(1000)), WithJsonSchema({**TEXT_SCHEMA, "maxLength": 1000})]
FilePath = Annotated[str, BeforeValidator(_path), WithJsonSchema(TEXT_SCHEMA)]
Secret = Annotated[SecretStr, Hidden(), BeforeValidator(_secret), WithJsonSchema({"type": "string"})]
LongSecret = Annotated[Secret, AfterValidator(_long_secret)]
