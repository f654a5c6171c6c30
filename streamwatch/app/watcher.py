"""The watcher process: `python -m streamwatch.app.watcher --link-fd N --sandbox MODE --grant JSON`, by the daemon.

Nothing but the sandbox is imported before it is entered: Landlock does not reach threads that already run, and numpy,
OpenCV and onnxruntime each start some when they are imported.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from streamwatch.domain.errors import SandboxError
from streamwatch.domain.urls import show_paths
from streamwatch.link.blackbox import BlackBox
from streamwatch.sandbox.enter import enter
from streamwatch.sandbox.grant import Grant

if TYPE_CHECKING:
    from streamwatch.sandbox.report import LayerState


def main() -> None:
    """Enter the sandbox, then work until the daemon says stop or is gone."""
    parser = argparse.ArgumentParser(prog="streamwatch watcher", description="Started by the daemon, not by hand.")
    parser.add_argument("--link-fd", type=int, required=True)
    parser.add_argument("--sandbox", choices=("required", "preferred", "off"), required=True)
    parser.add_argument("--grant", type=Grant.decode, required=True)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--names", choices=("shown", "hidden"), default="shown")
    arguments = parser.parse_args()
    show_paths(shown=arguments.names == "shown")
    black_box = BlackBox.inherited()
    layers: tuple[LayerState, ...] = ()
    refusal = ""
    try:
        layers = enter(arguments.sandbox, keep_fds=(arguments.link_fd,), grant=arguments.grant)
    except SandboxError as error:
        refusal = str(error)

    from streamwatch.app import workbench  # noqa: PLC0415  # only now: this imports the decoder and the engine

    workbench.serve(
        arguments.link_fd, layers=layers, refusal=refusal, black_box=black_box, log_level=arguments.log_level
    )
    sys.exit(0)


if __name__ == "__main__":
    main()
