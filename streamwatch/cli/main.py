"""The command `streamwatch`. Machine output on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console

from streamwatch import __version__
from streamwatch.cli import check, demo, models, probe, run, schema, test_card, watch
from streamwatch.domain.errors import StreamwatchError, UserError, leaf
from streamwatch.domain.urls import printable

INTERRUPTED = 130
NO_READER = 141
"""As the shell counts a SIGPIPE."""

app = typer.Typer(
    name="streamwatch",
    help="Watches live streams for child safety without keeping a single picture: it alerts, people decide.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", epilog="Example: streamwatch run config/minimal.yaml")(run.run)
app.command("check", epilog="Example: streamwatch check --connect config/streamwatch.yaml")(check.check)
app.command("watch", epilog="Example: streamwatch watch rtmp://127.0.0.1/live/lobby --gap 2s")(watch.watch)
app.command("probe", epilog="Example: streamwatch probe http://127.0.0.1:8080/hls/lobby.m3u8 --json")(probe.probe)
app.command("demo", epilog="Example: streamwatch demo --until-alert")(demo.demo)
app.command("schema", epilog="Example: streamwatch schema alert > alert.schema.json")(schema.schema)
app.add_typer(test_card.app, name="test-card")
app.add_typer(models.app, name="models")


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


def main() -> None:
    """Run the command; turn our own errors into a message and the exit code of their class."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        try:
            app()
        except BaseExceptionGroup as group:
            if group.subgroup(BrokenPipeError) is not None:
                raise BrokenPipeError from group
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
