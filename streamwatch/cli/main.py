"""The command `streamwatch`. Machine output on standard output, everything else on standard error."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from streamwatch import __version__
from streamwatch.domain.errors import OutsideError, StreamwatchError, UserError, leaf
from streamwatch.domain.urls import printable

INTERRUPTED = 130
NO_READER = 141
"""As the shell counts a SIGPIPE."""

EXAMPLES = {
    "run": "streamwatch run config/minimal.yaml",
    "check": "streamwatch check --connect config/streamwatch.yaml",
    "coverage": "streamwatch coverage config/minimal.yaml --watch",
    "audit": "streamwatch audit verify config/minimal.yaml",
    "alerts": "streamwatch alerts list config/minimal.yaml --open",
    "verdict": "streamwatch verdict 01K3J5V0G4QZ8N6M2T7R1XYWBC confirm my.yaml --as anna --password-file anna.txt",
    "on-duty": "streamwatch on-duty config/minimal.yaml --as anna --for 1h --password-file anna.txt",
    "replay": "streamwatch replay config/minimal.yaml --rules new.yaml --since 7d",
    "watch": "streamwatch watch rtmp://127.0.0.1/live/lobby --gap 2s",
    "probe": "streamwatch probe http://127.0.0.1:8080/hls/lobby.m3u8 --json",
    "demo": "streamwatch demo --until-alert",
    "models": "streamwatch models verify models/test-card",
    "test-card": "streamwatch test-card publish rtmp://127.0.0.1/live/lobby --for 1m",
    "bench": "streamwatch bench --scenario 360p-10s --compare",
    "schema": "streamwatch schema alert > alert.schema.json",
}
"""Every command, in the order of the help, with the example that its help ends with."""


class _OnDemand(TyperGroup):
    """Loads a command's module when it is called: `schema` need not wait for a daemon's libraries."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command."""
        del ctx
        return list(EXAMPLES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load a command; None for an unknown word, which the caller answers."""
        del ctx
        if cmd_name not in EXAMPLES:
            return None
        word = cmd_name.replace("-", "_")
        module = import_module(f"streamwatch.cli.{word}")
        group: typer.Typer | None = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False, rich_markup_mode=None)
            group.command(cmd_name, epilog=f"Example: {EXAMPLES[cmd_name]}")(getattr(module, word))
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="streamwatch",
    cls=_OnDemand,
    help="Watches live streams for child safety without keeping a single picture: it alerts, people decide.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"streamwatch {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options of the command as a whole."""
    del version


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO)


def main() -> None:
    """Run the command; turn our own errors into a message and the exit code of their class."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        try:
            app()
        except BaseExceptionGroup as group:
            if group.subgroup(BrokenPipeError) is not None:
                raise BrokenPipeError from group
            if (full := group.subgroup(_is_full)) is not None:
                raise OutsideError(f"the output cannot be written: {full.exceptions[0]}") from group
            ours = leaf(group)
            if ours is None:
                raise
            raise ours from group
    except UserError as error:
        for problem in error.problems:
            errors.print(str(problem))
        sys.exit(error.exit_code)
    except StreamwatchError as error:
        errors.print(f"streamwatch: {printable(str(error), 2000)}")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read our output has enough; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NO_READER)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
