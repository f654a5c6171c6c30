"""`streamwatch bench`: what watching costs on this machine, measured with everything real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from streamwatch.bench import clip, scenarios
from streamwatch.bench import run as bench_run
from streamwatch.bench.scenarios import Kind, Scenario
from streamwatch.cli import bench_sampling, bench_view, terminal
from streamwatch.cli.bench_tell import teller
from streamwatch.domain.errors import OutsideError, Problem, UserError
from streamwatch.telemetry import logs

app = typer.Typer(
    help="Measure what watching costs on this machine.",
    epilog="Example: streamwatch bench --scenario 360p-10s --compare",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)


app.command("sampling")(bench_sampling.sampling)


@app.callback()
def bench(
    ctx: typer.Context,
    scenario: list[str] | None = typer.Option(None, help="Only these, by name; may be repeated. Default: all."),
    streams: int | None = typer.Option(None, min=1, max=5000, help="Number of streams, instead of the scenario's."),
    gap: str | None = typer.Option(None, help="Gap, instead of the scenario's."),
    size: str | None = typer.Option(None, help=f"Size of the pictures: {', '.join(clip.SIZES)}."),
    seconds: float | None = typer.Option(None, min=1, max=3600, help="Length of the window that is measured."),
    lookback: str | None = typer.Option(None, help="Look-back, instead of the scenario's."),
    hls: bool = typer.Option(False, "--hls", help="Read by HLS instead of RTMP."),
    no_inference: bool = typer.Option(False, "--no-inference", help="With the cheapest detector there can be."),
    fallback: bool = typer.Option(False, "--fallback", help="Read with FFmpeg's network code (fallback: true)."),
    find_limit: bool = typer.Option(False, "--find-limit", help="More and more streams, until the gap breaks."),
    compare: bool = typer.Option(False, "--compare", help="Measure the common ways on the same streams, too."),
    repeat: int = typer.Option(1, min=1, max=20, help="Runs of each; the median is shown."),
    publishers: int = typer.Option(32, min=1, max=64, help="Distinct streams; the watched ones are spread over them."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on standard output."),
    output: Path | None = typer.Option(None, help="Write the JSON document to this file, too."),
) -> None:
    """Run real publishers, ingest server, broker and daemon on loopback, and measure the daemon from outside.

    It needs nginx with its RTMP module, ffmpeg, mosquitto, and the extra `bench`. All scenarios take half an hour.
    Exit codes: 0 measured, 2 wrong arguments, 3 something is missing or cannot be covered.
    """
    if ctx.invoked_subcommand is not None:
        return
    logs.configure(process="bench", level="warning")
    custom = {
        "size": size,
        "gap_s": None if gap is None else terminal.seconds(gap, option="--gap"),
        "lookback_s": None if lookback is None else terminal.seconds(lookback, option="--lookback"),
        "streams": streams,
        "window_s": seconds,
        "hls": hls or None,
        "infer": False if no_inference else None,
        "fallback": fallback or None,
        "kind": Kind.LIMIT if find_limit else None,
    }
    chosen = _chosen(scenario or [], {name: value for name, value in custom.items() if value is not None})
    options = bench_run.Options(scenarios=chosen, repeat=repeat, compare=compare, publishers=publishers)
    with terminal.err.status("") as status:
        document = terminal.run(bench_run.run(options, told=teller(terminal.err, status)))
    text = json.dumps(document, indent=1)
    if output is not None:
        try:
            output.write_text(text + "\n")
        except OSError as error:
            raise OutsideError(f"cannot write {output}: {error.strerror or error}") from error
    if as_json:
        typer.echo(text)
    bench_view.show(document, terminal.err if as_json else terminal.out)


def _chosen(names: list[str], custom: dict[str, Any]) -> list[Scenario]:
    """The scenarios by name; without a name and with something of one's own, one that is called `custom`."""
    if "size" in custom and custom["size"] not in clip.SIZES:
        known = ", ".join(clip.SIZES)
        raise UserError(Problem("--size", "", f"{custom['size']!r} is not measured", known))
    if not names and custom:
        base = Scenario("custom", "360p", 10, 60, 32, "as asked for")
        return [replace(base, **custom)]
    chosen = []
    for name in names or [one.name for one in scenarios.SCENARIOS]:
        found = scenarios.named(name)
        if found is None:
            known = ", ".join(one.name for one in scenarios.SCENARIOS)
            raise UserError(Problem("--scenario", "", f"no scenario {name!r}", known))
        chosen.append(replace(found, **custom))
    return chosen
