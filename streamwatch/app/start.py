"""How the processes start each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from streamwatch.fleet.base import Command
from streamwatch.sandbox.grant import Grant


def watcher_command(*, sandbox: str, grant: Grant, log_level: str = "info", names: str = "shown") -> Command:
    """The command line of a watcher, for the fleet."""

    def command(link_fd: int) -> Sequence[str]:
        return (
            sys.executable,
            "-P",  # or the folder in which the daemon was started is searched for modules, and may be read
            "-m",
            "streamwatch.app.watcher",
            "--link-fd",
            str(link_fd),
            "--sandbox",
            sandbox,
            "--grant",
            grant.encode(),
            "--log-level",
            log_level,
            "--names",
            names,
        )

    return command
