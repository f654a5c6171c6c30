"""`streamwatch demo`: see it work, with nothing configured and nothing else installed."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from rich.live import Live

from streamwatch.app.demo import Demo
from streamwatch.cli import demo_view, terminal
from streamwatch.telemetry import logs

REFRESH_S = 0.25


def demo(
    until_alert: bool = typer.Option(False, "--until-alert", help="End as soon as each of the two streams alerted."),
    timeout: float = typer.Option(60.0, min=1, help="With --until-alert: seconds until giving up."),
    port: int = typer.Option(0, min=0, max=65535, help="The broker's port; default: a free one."),
) -> None:
    """Run the whole system on this machine: broker, two synthetic live streams, daemon, subscriber.

    The streams show a harmless test card from time to time; the alerts that a subscriber receives are shown.
    Exit codes: 0 ended, or alerts of both streams received; 1 no such alerts in time.
    """
    logs.configure(process="demo", level="error")
    as_view = sys.stdout.isatty()
    complete = terminal.run(_run(until_alert=until_alert, timeout_s=timeout, port=port, as_view=as_view))
    if until_alert:
        if not complete:
            terminal.err.print(f"no alert of both streams within {timeout:g} s")
            raise typer.Exit(1)
        terminal.err.print("an alert of each stream was received")


async def _run(*, until_alert: bool, timeout_s: float, port: int, as_view: bool) -> bool:
    if not as_view:
        show = Demo(port=port, changed=_say)
        return await show.run(until_alert=until_alert, timeout_s=timeout_s if until_alert else None)
    console = Console(markup=False, emoji=False)
    show = Demo(port=port)
    with Live(console=console, auto_refresh=False, screen=False) as live:
        running = asyncio.create_task(
            show.run(until_alert=until_alert, timeout_s=timeout_s if until_alert else None), name="demo"
        )
        try:
            while not running.done():
                live.update(demo_view.draw(show.scene, width=console.width, height=console.height), refresh=True)
                await asyncio.wait({running}, timeout=REFRESH_S)
        finally:
            live.update(demo_view.draw(show.scene, width=console.width, height=console.height), refresh=True)
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
        return running.result()


def _say(what: str, document: dict[str, Any]) -> None:
    """One line an event, where there is no terminal to draw on."""
    at = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  # the visitor's clock
    match what:
        case "address":
            line = f"{document['name']}: {document['address']}"
        case "state":
            reason = f" ({document['reason']})" if document["reason"] else ""
            line = f"stream {document['stream']}: {document['state']}{reason}"
        case "alert":
            line = demo_view.alert_line(document)
        case "status":
            reasons = f": {'; '.join(document['reasons'])}" if document["reasons"] else ""
            line = f"daemon: {document['state']}{reasons}"
        case _:
            line = f"coverage: {demo_view.coverage_line(document)}"
    typer.echo(f"{at}  {line}")
