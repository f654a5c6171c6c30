"""`streamwatch run`: the daemon."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from streamwatch.app import daemon


class Level(StrEnum):
    """How much the log says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration file (YAML)."),
    log_level: Level = typer.Option(Level.INFO, help="How much the log says."),
) -> None:
    """Watch the configured streams until told to stop.

    SIGTERM or Ctrl-C stops in good order; SIGHUP or a changed file reloads, and a wrong file changes nothing.
    Exit codes: 0 stopped, 2 wrong configuration, 3 something outside is missing at start.
    """
    daemon.run(config, log_level=log_level.value)
