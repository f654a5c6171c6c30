"""`streamwatch bench sampling`: what the sampler finds and costs, against looking at a fixed rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from streamwatch.bench.measure import Told
from streamwatch.bench.sampling import experiment, real
from streamwatch.cli import bench_sampling_view, terminal
from streamwatch.cli.bench_tell import teller
from streamwatch.domain.errors import OutsideError
from streamwatch.telemetry import logs


def sampling(
    quick: bool = typer.Option(False, "--quick", help="Recorded programmes, fewer runs, no servers: half a minute."),
    real_time: bool = typer.Option(True, "--real/--no-real", help="Check in real time with servers, if there are any."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on standard output."),
    output: Path | None = typer.Option(None, help="Write the JSON document to this file, too."),
) -> None:
    """Simulate the sampler with real packet sizes: what it finds, how soon, at what price, and under overload.

    It needs ffmpeg and the extra `bench`, and nginx with its RTMP module and mosquitto for the check in real time.
    Exit codes: 0 measured, whatever the goals; 2 wrong arguments; 3 something is missing.
    """
    logs.configure(process="bench", level="error")
    with terminal.err.status("") as status:
        told = teller(terminal.err, status)
        document = experiment.simulate(quick=quick, told=told)
        if not quick and real_time:
            document["real"] = _real(told)
    text = json.dumps(document, indent=1)
    if output is not None:
        try:
            output.write_text(text + "\n")
        except OSError as error:
            raise OutsideError(f"cannot write {output}: {error.strerror or error}") from error
    if as_json:
        typer.echo(text)
    bench_sampling_view.show(document, terminal.err if as_json else terminal.out)


def _real(told: Told) -> dict[str, Any]:
    """The check in real time; where it cannot be made the rest is not lost."""
    try:
        return terminal.run(real.check(experiment.spec(experiment.SHORT_S), told=told))
    except OutsideError as error:
        return {"failed": str(error)}
