"""Runs code in a real process that has entered the sandbox: the only place where it can be tried."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from streamwatch.sandbox.grant import ANYWHERE, Grant

REPOSITORY = Path(__file__).parents[2]

ENTER = """
from streamwatch.sandbox.enter import enter
from streamwatch.sandbox.grant import Grant
states = enter({mode!r}, keep_fds={keep!r}, grant={grant!r})
"""


def run(
    code: str,
    *,
    mode: str | None = "required",
    keep: Sequence[int] = (),
    grant: Grant = ANYWHERE,
    env: dict[str, str] | None = None,
    before: str = "",
    command: Sequence[str] = (),
    **options: object,
) -> subprocess.CompletedProcess[str]:
    """Run `code` after entering the sandbox (`mode` None: without), output captured through pipes."""
    entered = ENTER.format(mode=mode, keep=tuple(keep), grant=grant) if mode else ""
    script = textwrap.dedent(before) + entered + textwrap.dedent(code)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **(env or {})}
    return subprocess.run(
        [*command, sys.executable, "-c", script],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def output(code: str, **options: object) -> str:
    """What `code` printed; fails with its stderr where it did not end well."""
    done = run(code, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def alive(pid: int) -> bool:
    """Whether the process still runs; waits up to 5 s for its end through a pidfd, which becomes readable then."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return not select.select([descriptor], [], [], 5)[0]
    finally:
        os.close(descriptor)
