"""`streamwatch probe`: what is at an address, and what watching it would cost."""

from __future__ import annotations

import json

import typer
from rich.table import Table

from streamwatch.app import examine
from streamwatch.app.price import GAP_S, cost
from streamwatch.cli import terminal
from streamwatch.domain.errors import OutsideError
from streamwatch.domain.streams import Reason
from streamwatch.link.messages import Found
from streamwatch.telemetry import logs


def probe(
    url: str = typer.Argument(metavar="URL", help="Stream (rtmp, rtmps, http(s) HLS, rtsp, srt) or file."),
    seconds: str = typer.Option("10s", "--for", help="How long to listen at most."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object."),
    sandbox: str = typer.Option("required", help="As privacy.sandbox: required, preferred or off."),
) -> None:
    """Say codec, size, frame rate, key interval and renditions of a stream, and what watching it would cost.

    Exit codes: 0 found, 2 wrong arguments, 3 nothing to watch there.
    """
    logs.configure(process="probe", level="warning")
    address = terminal.stream_url(url)
    found = terminal.run(
        examine.probe(
            address,
            seconds=terminal.seconds(seconds, option="--for"),
            options=examine.Options(sandbox=sandbox),
        ),
    )
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json", exclude={"type"}) | {"cost": cost(found)}))
    elif found.codec:
        _show(found)
    if not found.codec or found.reason is Reason.CODEC:
        reason = found.reason.value if found.reason else "silent"
        raise OutsideError(f"{address}: {reason}{': ' + found.detail if found.detail else ''}")


def _show(found: Found) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    fps = "unknown" if found.fps is None else f"{found.fps:g} frames/s"
    table.add_row("transport", found.transport)
    table.add_row("video", f"{found.codec}, {found.width}x{found.height}, {fps}, {found.bitrate / 1e6:.2f} Mbit/s")
    interval = "only one key picture seen" if found.key_interval_s is None else f"every {found.key_interval_s:.2f} s"
    table.add_row("key pictures", f"{interval}, {found.key_bytes / 1000:.0f} kB each")
    if found.renditions:
        table.add_row("renditions", ", ".join(f"{width}x{height}" for width, height in found.renditions))
    price = cost(found)
    if price["decode_s_per_min"] is not None:
        table.add_row(
            "cost",
            f"at a gap of {GAP_S:g} s: {price['looks_per_min']:g} looks and "
            f"{price['decode_s_per_min']:.2g} processor seconds of decoding a minute",
        )
    terminal.out.print(table)
