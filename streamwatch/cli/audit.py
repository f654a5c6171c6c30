"""`streamwatch audit`: whether the audit log is as it was written, and what stands in it."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from streamwatch.app.audit import Examined, examine, log_of
from streamwatch.audit import chain, checkpoint
from streamwatch.audit.chain import Entry, Unreadable
from streamwatch.audit.checkpoint import DAY_S, Checkpoint
from streamwatch.audit.segments import lines_of
from streamwatch.cli import terminal
from streamwatch.config.loader import load
from streamwatch.domain.clock import SystemClock, rfc3339
from streamwatch.domain.errors import Problem, UserError
from streamwatch.domain.urls import printable

app = typer.Typer(
    help="The audit log: is it as it was written, and what stands in it?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_PLACE = typer.Argument(metavar="CONFIG|FOLDER", help="The daemon's configuration, or its state folder.")
_SHOWN_VALUE = 400


@app.command("verify", epilog="Example: streamwatch audit verify config/minimal.yaml --checkpoint checkpoints.jsonl")
def verify(
    place: Path = _PLACE,
    files: list[Path] = typer.Option(
        [], "--checkpoint", metavar="FILE", help="Checkpoints as received from P/audit, one a line. May be repeated."
    ),
) -> None:
    """Find what was deleted, inserted, changed or moved in an audit log.

    Every damage is printed as FILE:LINE: what. Checkpoints that somebody else kept also show whether the log was
    cut off at its end, or written anew.
    Exit codes: 0 sound, 1 damaged, 2 there is no log or no checkpoint, 3 a file cannot be read.
    """
    told = [one for file in files for one in _checkpoints(file)]
    found = examine(_folder(place), told, kept_s=_kept_s(place))
    if files and not found.compared:
        raise UserError(
            Problem("--checkpoint", "", f"no checkpoint of {' or '.join(found.nodes)}", "those of this node")
        )
    for where, damage in found.damages:
        typer.echo(f"{where}: {damage}")
    if found.damages:
        terminal.err.print(f"damaged: {_summary(found)}")
        raise typer.Exit(1)
    typer.echo(f"sound: {_summary(found)}")
    if not files:
        terminal.err.print("note: whether its end was cut off, only checkpoints can tell (--checkpoint FILE)")


@app.command("show", epilog="Example: streamwatch audit show config/minimal.yaml --since 1d")
def show(
    place: Path = _PLACE,
    since: str = typer.Option("", help="Only what is not older than this, e.g. 1d."),
    as_json: bool = typer.Option(False, "--json", help="The lines as they stand in the log: one JSON object each."),
) -> None:
    """Print what stands in an audit log, the oldest first. Lines that cannot be read are named on standard error."""
    ago = timedelta(seconds=terminal.seconds(since, option="--since")) if since else None
    start = "" if ago is None else rfc3339(SystemClock().now() - ago)
    reading = log_of(_folder(place))
    for number, data in enumerate(reading.lines(), 1):
        try:
            entry = chain.read(data)
        except Unreadable as why:
            terminal.err.print(f"{reading.where(number)}: {why}")
            continue
        if entry.at >= start:
            typer.echo(data.decode("ascii").rstrip("\n") if as_json else _told(entry))


def _summary(found: Examined) -> str:
    tip = found.verified.tip
    lines = f"{found.verified.lines} lines in {found.segments} segments"
    if tip.n:
        lines += f", n={found.verified.first} to n={tip.n}, the newest of {found.verified.at}, hash {tip.hash}"
    return f"{lines}; {found.compared} checkpoints compared" if found.compared else lines


def _told(entry: Entry) -> str:
    facts = " ".join(f"{name}={_shown(value)}" for name, value in entry.facts.items() if value not in (None, ""))
    return f"{entry.at}  {entry.kind:<20} {printable(facts, chain.MAX_LINE)}".rstrip()


def _shown(value: Any) -> str:
    if isinstance(value, str) and value and not any(char.isspace() or char in '"{[' for char in value):
        return printable(value, _SHOWN_VALUE)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _folder(place: Path) -> Path:
    """The folder that is meant. Raises UserError."""
    if place.is_dir():
        return place
    if not place.exists():
        raise UserError(Problem(printable(str(place)), "", "there is no such file or folder", "CONFIG or FOLDER"))
    return Path(load(place, environ=os.environ).config.state.folder)


def _kept_s(place: Path) -> float:
    """For how long lines are kept at least, as far as `place` says: a segment goes once its last line may."""
    return DAY_S if place.is_dir() else load(place, environ=os.environ).config.state.retention.audit


def _checkpoints(file: Path) -> list[Checkpoint]:
    """What a file holds; lines that are none are counted on standard error. Raises UserError."""
    told, others = [], 0
    try:
        for data in lines_of(file):
            try:
                told.append(checkpoint.read(data))
            except Unreadable:
                others += bool(data.strip())
    except OSError as error:
        raise UserError(Problem(printable(str(file)), "", f"it cannot be read: {error.strerror}")) from error
    if not told:
        raise UserError(Problem(printable(str(file)), "", "there is no checkpoint in it", "as received from P/audit"))
    if others:
        terminal.err.print(f"note: {others} lines of {printable(str(file))} are no checkpoints")
    return told
