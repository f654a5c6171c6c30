"""`streamwatch run`: the daemon."""

from __future__ import annotations

from pathlib import Path

import typer

from streamwatch.app import daemon


def run(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration file (YAML)."),
    log_level: str = typer.Option("info", help="debug, info, warning or error."),
) -> None:
    """Watch the configured streams until told to stop.

    SIGTERM or Ctrl-C stops in good order; SIGHUP or a changed file reloads, and a wrong file changes nothing.
    Exit codes: 0 stopped, 2 wrong configuration, 3 something outside is missing at start.
    """
    daemon.run(config, log_level=log_level)
