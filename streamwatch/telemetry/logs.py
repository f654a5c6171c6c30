"""Logs: one line an event, on standard error, with nothing in it that could identify a viewer or open a door.

Events speak once when something changes. Everything passes `redact`, whoever says it: this house, a library through
the standard library's logging or warnings, an exception that nobody caught.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any, Literal, TextIO

import structlog

from streamwatch.domain.urls import paths_shown
from streamwatch.telemetry import redact

Form = Literal["auto", "json", "text"]

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
    # Libraries that speak through the standard library's logging: their warnings, on the same way out.
    logging.basicConfig(handlers=[_Bridge(logging.WARNING)], level=logging.WARNING, force=True)


def catch_all() -> None:
    """Let what nobody catches be logged, instead of printed as it is. For processes that are ours from start to end."""
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    logging.captureWarnings(capture=True)


class _Bridge(logging.Handler):
    """Hands records of libraries to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()
        except Exception as error:  # noqa: BLE001 - words that do not fit their form
            said = f"{record.msg} ({type(error).__name__})"
        try:
            structlog.get_logger().log(record.levelno, "library says", logger=record.name, text=said,
                                       exc_info=record.exc_info or None)  # fmt: skip
        except Exception:  # noqa: BLE001 - as the standard library does, but without showing what could not be said
            sys.stderr.write("a library said something that cannot be logged\n")


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("unforeseen", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        thread = args.thread.name if args.thread else ""
        structlog.get_logger().critical(
            "unforeseen", thread=thread, exc_info=(args.exc_type, args.exc_value, args.exc_traceback)
        )


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    if args.exc_value is not None:
        structlog.get_logger().error(
            "unforeseen", where=str(args.err_msg or ""), exc_info=(args.exc_type, args.exc_value, args.exc_traceback)
        )


def _exceptions(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback; where names are hidden without the messages, which quote whatever they were about."""
    if paths_shown():
        return structlog.processors.format_exc_info(logger, name, event)
    found = event.pop("exc_info", None)
    if isinstance(found, tuple):
        found = found[1]
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
    return {
        redact.redacted(str(key), 100): redact.traceback(str(value)) if key == "exception" else redact.value(value)
        for key, value in event.items()
    }
