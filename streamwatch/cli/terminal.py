"""What all commands share: where words go, and how a person's arguments become values."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from streamwatch.config import durations
from streamwatch.domain.errors import Problem, UserError
from streamwatch.domain.urls import DEFAULT_PORTS, SafeUrl

T = TypeVar("T")

out = Console(highlight=False, markup=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

_STREAM_SCHEMES = ("rtmp", "rtmps", "http", "https", "rtsp", "rtsps", "srt")


def run(work: Coroutine[None, None, T]) -> T:
    """Run the command's work; Ctrl-C cancels it in good order and then counts as an interruption."""
    return asyncio.run(work)


def seconds(text: str, *, option: str) -> float:
    """`2s` → 2.0. Raises UserError naming the option."""
    try:
        value = durations.seconds(text)
    except ValueError as error:
        raise UserError(Problem(option, "", f"{text!r} is not a duration", durations.DURATION_FORM)) from error
    return value


def stream_url(text: str) -> SafeUrl:
    """An address to read, or a file that exists. Raises UserError."""
    url = SafeUrl(text)
    if url.scheme == "file" and "://" in text and not text.startswith("file://"):
        raise UserError(Problem("URL", "", f"{url} names no host", "rtmp://HOST:1935/APP/NAME, for example"))
    if url.scheme == "file":
        path = Path(url.path)
        if not path.is_file():
            raise UserError(
                Problem("URL", "", f"no such file: {url}", "a file, or an address such as rtmp://HOST/APP/NAME")
            )
        return SafeUrl(str(path.absolute()))
    if url.scheme not in _STREAM_SCHEMES:
        known = ", ".join(_STREAM_SCHEMES)
        raise UserError(
            Problem("URL", "", f"{url.scheme!r} is not a scheme that streams are read by", f"{known}, or a file")
        )
    if not url.host or url.port not in range(1, 65536):
        example = f"{url.scheme}://HOST:{DEFAULT_PORTS[url.scheme]}/…"
        raise UserError(Problem("URL", "", f"{url} names no host", example))
    if url.scheme.startswith("rtmp") and not url.path.strip("/"):
        raise UserError(Problem("URL", "", f"{url} names no stream", f"{url.scheme}://{url.host}/APP/NAME"))
    return url
