"""`streamwatch coverage`: what the running daemon watches, what it does not, and why."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live

from streamwatch.cli import coverage_view
from streamwatch.config.loader import load
from streamwatch.domain.errors import OutsideError, Problem, UserError
from streamwatch.domain.urls import SafeUrl, printable

REFRESH_S = 1.0
_PATIENCE_S = 5.0
_MAX_ANSWER = 4 * 1024 * 1024
_DEFAULT_URL = "http://127.0.0.1:9464"
_WHERE = (
    "Say where it listens: `streamwatch coverage CONFIG`, with the daemon's configuration, or "
    "`streamwatch coverage --url http://HOST:PORT`"
)


def coverage(
    config: Path | None = typer.Argument(
        None, metavar="[CONFIG]", help="The daemon's configuration, for its http.listen."
    ),
    url: str = typer.Option("", help=f"Where the daemon listens; default: as in CONFIG, or {_DEFAULT_URL}."),
    watch: bool = typer.Option(False, "--watch", help="Look again every second, until interrupted."),
    as_json: bool = typer.Option(
        False, "--json", help="The daemon's answer as one JSON object (a line, with --watch)."
    ),
) -> None:
    """Show what the running daemon covers now, and covered in the last minute, hour and day.

    Exit codes: 0 every live stream is covered, or none is live (then it says so), 1 some are not,
    2 wrong arguments or configuration, 3 no daemon answers.
    """
    address = _address(config, url)
    try:
        answer = ask(address)  # also before watching: who was never there is a mistake; who goes away comes back
    except OutsideError as error:
        if config is not None or url:
            raise
        raise OutsideError(f"{error} {_WHERE}") from error
    if watch:
        _watch(address, answer, as_json=as_json)
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        console.print(coverage_view.draw(answer, width=console.width, height=None))
    if answer["node"]["uncovered"]:
        raise typer.Exit(1)


def ask(address: SafeUrl) -> dict[str, Any]:
    """What the daemon says now. Raises OutsideError where none answers as one."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no part in this
    try:
        with opener.open(f"{address.reveal().rstrip('/')}/coverage", timeout=_PATIENCE_S) as response:
            answer = json.loads(response.read(_MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise OutsideError(f"{address}: no streamwatch of this version answers there (HTTP {error.code})") from error
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise OutsideError(f"{address}: no daemon answers ({printable(str(why))}); is it running?") from error
    except ValueError as error:
        raise OutsideError(f"{address}: what answers there is no streamwatch") from error
    if not isinstance(answer, dict) or not {"at", "node", "origins", "streams"} <= answer.keys():
        raise OutsideError(f"{address}: what answers there is no streamwatch")
    return answer


def _watch(address: SafeUrl, answer: dict[str, Any], *, as_json: bool) -> NoReturn:
    if as_json:
        while True:
            typer.echo(json.dumps(answer))
            time.sleep(REFRESH_S)
            answer = ask(address)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:  # one picture after another: `Live` would keep them all back, and show the last
        for now, trouble in _looks(address, answer):
            console.print(coverage_view.draw(now, width=console.width, height=None, trouble=trouble))
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for now, trouble in _looks(address, answer):
            picture = coverage_view.draw(now, width=console.width, height=console.height, trouble=trouble)
            live.update(picture, refresh=True)
    raise AssertionError("looks for ever")


def _looks(address: SafeUrl, answer: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The daemon's answer every second, for ever; where none comes the last one, and why."""
    trouble = ""
    while True:
        yield answer, trouble
        time.sleep(REFRESH_S)
        try:
            answer, trouble = ask(address), ""
        except OutsideError as error:
            trouble = str(error)


def _address(config: Path | None, url: str) -> SafeUrl:
    if url:
        address = SafeUrl(url)
        if address.scheme not in ("http", "https") or not address.host or address.port not in range(1, 65536):
            raise UserError(Problem("--url", "", f"{address} is not where a daemon listens", _DEFAULT_URL))
        return address
    if config is None:
        return SafeUrl(_DEFAULT_URL)
    loaded = load(config, environ=os.environ)
    listen = loaded.config.http.listen
    if listen.port == 0:
        raise UserError(loaded.problem("http.listen", "port 0 is a free one, known to the daemon alone", "pass --url"))
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)  # noqa: S104  # everywhere is here too
    return SafeUrl(f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}")
