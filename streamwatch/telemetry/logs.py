"""Logs: one line an event, on standard error, with nothing in it that could identify a viewer or open a door.

Events speak once when something changes. A value that came from outside is made printable here, whoever logs it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

from streamwatch.domain.urls import SafeUrl, printable

Form = Literal["auto", "json", "text"]

_VALUE_LIMIT = 500


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
            structlog.processors.format_exc_info,
            _presentable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    # Libraries that speak through the standard library's logging: their warnings, on the same stream.
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", force=True)


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
