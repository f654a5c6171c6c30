"""`streamwatch check`: everything that is wrong with a configuration, in one run."""

from __future__ import annotations

from pathlib import Path

import typer

from streamwatch.app import check as checks
from streamwatch.app import settings
from streamwatch.cli import terminal
from streamwatch.domain.errors import OutsideError
from streamwatch.telemetry import logs


def check(
    config: Path = typer.Argument(metavar="CONFIG", help="Configuration file (YAML)."),
    connect: bool = typer.Option(False, "--connect", help="Also try the broker and every stream."),
) -> None:
    """Check a configuration and the models it names; with --connect also what is outside.

    Every problem is printed as FILE:LINE: key: what is wrong (what would be right).
    Exit codes: 0 all is well, 2 the configuration is wrong, 3 something outside is missing.
    """
    logs.configure(process="check", level="error")
    ready = settings.read(config)
    remarks = ready.loaded.remarks()
    for remark in remarks:
        terminal.out.print(f"note: {remark}")
    for layer in checks.sandbox(ready):
        terminal.out.print(f"sandbox: {layer.name}: {layer.word}{f': {layer.detail}' if layer.detail else ''}")
    config_ = ready.config
    terminal.out.print(
        f"{config}: good: node {config_.node}, {len(config_.streams)} streams, {len(config_.detectors)} detectors, "
        f"{len(config_.rules)} rules and {ready.builtin_rules} built in about evasion, {ready.watchers} watchers",
    )
    if not connect:
        return
    missing = 0
    for finding in terminal.run(checks.connect(ready)):
        missing += not finding.good
        terminal.out.print(f"{'good' if finding.good else 'MISSING'}: {finding.what}: {finding.said}")
    if missing:
        raise OutsideError(f"{missing} of the things outside are missing")
