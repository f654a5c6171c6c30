"""Logs: one line an event, on standard error, with nothing in it that could identify a viewer or open a door.

Events speak once when something changes. A value that came from outside is made printable here, whoever logs it.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any, Literal, TextIO

import structlog

from streamwatch.domain.urls import SafeUrl, paths_shown, printable

Form = Literal["auto", "json", "text"]

_VALUE_LIMIT = 500
_FRAMES = 20


def configure(*, process: str, form: Form = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Set up logging for this process. `auto`: text on a terminal, JSON lines elsewhere."""
    out = stream or sys.stderr
    as_text = form == "text" or (form == "auto" and out.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(),
            pad_event_to=34,
            exception_formatter=structlog.dev.plain_traceback,
        )
        if as_text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _named(process),
            # Never with local variables: they hold addresses, and in a watcher pictures.
            _exceptions,
            _presentable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    # Libraries that speak through the standard library's logging: their warnings, on the same stream.
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", force=True)


def _exceptions(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback; where names are hidden without the messages, which quote whatever they were about."""
    if paths_shown():
        return structlog.processors.format_exc_info(logger, name, event)
    found = event.pop("exc_info", None)
    error = found if isinstance(found, BaseException) else sys.exc_info()[1] if found else None
    if error is not None:
        event["exception"] = "\n".join(_silent(error))
    return event


def _silent(error: BaseException) -> Iterator[str]:
    """An error and what led to it, as types and places alone."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield f"{type(one).__module__}.{type(one).__qualname__}"
        for frame in traceback.extract_tb(one.__traceback__)[-_FRAMES:]:
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        one = one.__cause__ or one.__context__


def _named(process: str) -> structlog.typing.Processor:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add


def _presentable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, SafeUrl):
            event[key] = str(value)
        elif isinstance(value, str) and key != "exception":
            event[key] = printable(value, _VALUE_LIMIT)
        elif isinstance(value, (bytes, bytearray, memoryview)):
            event[key] = f"<{len(value)} bytes>"
    return event
