"""What the commands that talk to a daemon by MQTT share: its broker, and who asks."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from streamwatch.app import asking
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.topics import Topics
from streamwatch.cli import terminal
from streamwatch.config.files import Unreadable, read_text
from streamwatch.config.loader import load
from streamwatch.config.models import Mqtt
from streamwatch.domain.errors import BusRefused, Problem, UserError
from streamwatch.domain.urls import SafeUrl, printable

CONFIG = typer.Argument(
    None, metavar="[CONFIG]", help="The daemon's configuration; without it, --url and --node are needed."
)
WHO = typer.Option(..., "--as", metavar="NAME", help="Who says it: the name that the broker knows you by.")
URL = typer.Option("", help="The broker, e.g. mqtts://broker.example.org; default: as in CONFIG.")
NODE = typer.Option("", help="The daemon's node; default: as in CONFIG.")
USERNAME = typer.Option("", help="User at the broker; default: NAME with --password-file, else as in CONFIG.")
PASSWORD_FILE = typer.Option(None, "--password-file", help="File with your password; default: as in CONFIG.")
CA = typer.Option(None, "--ca", metavar="FILE", help="Certificates to trust (PEM); default: CONFIG's, or the system's.")
AS_JSON = typer.Option(False, "--json", help="The daemon's reply as one JSON object.")
_MAX_PASSWORD = 4096
_SCHEMES = ("mqtt", "mqtts", "ws", "wss")


def daemon(
    config: Path | None,
    *,
    who: str,
    url: str,
    node: str,
    username: str,
    password_file: Path | None,
    ca: Path | None = None,
) -> asking.Daemon:
    """Which daemon is meant. What is named here wins over the configuration, and a user's name over its password."""
    username = username or (who if password_file is not None else "")
    if config is not None:
        loaded = load(config, environ=os.environ)
        options, mqtt = asking.broker_options(loaded), loaded.config.mqtt
        prefix, node = mqtt.prefix, node or loaded.config.node
        if url:
            options = replace(options, url=_url(url))
    elif url and node:
        options = BrokerOptions(url=_url(url), node=node)
        prefix = str(Mqtt.model_fields["prefix"].default)
    else:
        raise UserError(Problem("CONFIG", "", "which daemon is not known", "its configuration, or --url and --node"))
    if ca is not None:
        options = replace(options, ca=ca)
    if username:
        options = replace(options, username=username, password=None)
    if password_file is not None:
        options = replace(options, password=_secret(password_file))
    try:
        return asking.Daemon(options, Topics(prefix, node))
    except ValueError as error:
        raise UserError(Problem("--node", "", str(error), "1 to 64 of A-Z a-z 0-9 _ . -")) from error


def send(daemon: asking.Daemon, *, verb: str, who: str, body: dict[str, Any], as_json: bool, done: str) -> None:
    """Send a command and say what happened; `done`: words for what the daemon did. Exits with 1 where it did not."""
    try:
        daemon.topics.command(verb, who)
    except ValueError as error:
        raise UserError(Problem("--as", "", f"{printable(who)!r} is no name", "without / + # in it")) from error
    try:
        reply = terminal.run(asking.command(daemon, verb=verb, who=who, body=body, at=datetime.now(UTC)))
    except BusRefused as error:
        account = daemon.broker.username or "nobody in particular"
        terminal.err.print(f"refused by the broker, which knows you as {account} (--password-file: as NAME): {error}")
        raise typer.Exit(1) from error
    result, why = str(reply.get("result")), str(reply.get("why") or "")
    if as_json:
        typer.echo(json.dumps(reply, ensure_ascii=False))
    elif result == "done":
        terminal.out.print(done + (f" (step {reply['seq']})" if reply.get("seq") is not None else ""))
    elif result == "proposed_dismissal":
        terminal.out.print("proposed: dismissing this alert takes a second, different person")
    else:
        terminal.err.print(f"refused by {daemon.topics.root}: {printable(why, 300) or 'no reason given'}")
    if result not in ("done", "proposed_dismissal"):
        raise typer.Exit(1)


def _url(text: str) -> SafeUrl:
    url = SafeUrl(text)
    if url.scheme not in _SCHEMES or not url.host or url.port not in range(1, 65536):
        raise UserError(Problem("--url", "", f"{url} is no broker", "mqtt://, mqtts://, ws:// or wss://HOST:PORT"))
    return url


def _secret(path: Path) -> str:
    try:
        return read_text(path, limit=_MAX_PASSWORD).rstrip("\r\n")
    except Unreadable as why:
        raise UserError(Problem(printable(str(path)), "", why.wrong, why.right)) from why
