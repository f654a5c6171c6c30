"""`streamwatch alerts`: what the daemon's ledger holds, while the daemon runs or not."""

from __future__ import annotations

import json
import math
import os
import re
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from streamwatch.alerts import ulid
from streamwatch.cli import alerts_view, terminal
from streamwatch.cli.alerts_words import body_of, explain
from streamwatch.config.loader import Loaded, load
from streamwatch.config.specs import sid_key
from streamwatch.domain.decisions import Severity
from streamwatch.domain.errors import Problem, UserError
from streamwatch.domain.streams import topic_sid
from streamwatch.domain.urls import printable
from streamwatch.ledger.reading import AlertRow, RuleTally, StepRow, Wanted, reading

app = typer.Typer(
    help="The alerts in the daemon's ledger, read while it runs or not.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_CONFIG = typer.Argument(metavar="CONFIG", help="The daemon's configuration, for its state.folder.")
_LINES = typer.Option(False, "--json", help="One JSON object a line.")
_Z = 1.96
"""Of a normal distribution: 95 % lie within."""


@app.command("list", epilog="Example: streamwatch alerts list config/minimal.yaml --open --since 1d")
def list_(
    config: Path = _CONFIG,
    open_: bool = typer.Option(False, "--open", help="Only those that are open."),
    since: str = typer.Option("", help="Only those that opened within so long, e.g. 1d; default: all that are kept."),
    severity: Severity | None = typer.Option(None, help="Only those of this severity."),
    rule: str | None = typer.Option(None, help="Only those of this rule."),
    stream: str | None = typer.Option(None, help="Only those of this stream, by the id it has in the configuration."),
    limit: int = typer.Option(1000, min=1, max=100_000, help="So many at most, the newest."),
    as_json: bool = _LINES,
) -> None:
    """List alerts, oldest first.

    Exit codes: 0 listed, also where there are none; 2 wrong arguments or configuration, 3 there is no ledger.
    """
    loaded = load(config, environ=os.environ)
    wanted = Wanted(
        open_only=open_,
        from_id=_from(since),
        severity=severity.value if severity else None,
        rule=rule,
        stream=None if stream is None else stream_id(loaded, stream),
    )
    with reading(folder(loaded)) as ledger:
        found = ledger.alerts(wanted, limit=limit)
    if as_json:
        for alert in found:
            typer.echo(json.dumps(_line(alert), ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(alerts_view.listed(found, now=time.time(), width=console.width))
    if len(found) == limit:
        terminal.err.print(f"the newest {limit}; --limit shows more")


@app.command("show", epilog="Example: streamwatch alerts show 01K3J5V0G4 config/minimal.yaml")
def show(
    alert_id: str = typer.Argument(metavar="ID", help="The alert's id, or enough of its beginning."),
    config: Path = _CONFIG,
    as_json: bool = typer.Option(False, "--json", help="The alert with its steps as one JSON object."),
) -> None:
    """Explain an alert: which rule, which frames, who judged, every step, what people said.

    Exit codes: 0 shown, 2 no such alert or wrong configuration, 3 there is no ledger.
    """
    name = alert_id.upper()
    if not re.fullmatch(r"[0-9A-Z]{1,26}", name):
        raise UserError(
            Problem("ID", "", f"{printable(alert_id)!r} is no alert's id", "26 letters, or the first of them")
        )
    with reading(folder(load(config, environ=os.environ))) as ledger:
        found = ledger.find(name)
        if not found:
            raise UserError(
                Problem("ID", "", f"no alert is kept whose id begins with {name}", "`streamwatch alerts list`")
            )
        if len(found) > 1:
            raise UserError(Problem("ID", "", f"several alerts' ids begin with {name}", f"more of it: {found[0].id}"))
        steps = ledger.steps(found[0].id)
    if as_json:
        typer.echo(json.dumps({**_line(found[0]), "steps": [_step(step) for step in steps]}, ensure_ascii=False))
        return
    for heading, sentences in explain(found[0], steps):
        terminal.out.print(heading, style="bold")
        for sentence in sentences:
            terminal.out.print(f"  {sentence}")


@app.command("stats", epilog="Example: streamwatch alerts stats config/minimal.yaml --since 30d")
def stats(
    config: Path = _CONFIG,
    since: str = typer.Option("30d", help="Alerts that opened within so long."),
    as_json: bool = _LINES,
) -> None:
    """Count what became of each rule's alerts, and how many that people judged were right.

    Precision is confirmed / (confirmed + dismissed), with its 95 % interval, over no longer than every judged alert is
    kept: dismissed ones are deleted sooner than confirmed ones, and counting on would flatter the rule.

    Exit codes: 0 counted, 2 wrong arguments or configuration, 3 there is no ledger.
    """
    loaded = load(config, environ=os.environ)
    asked_s = terminal.seconds(since, option="--since")
    retention = loaded.config.state.retention
    judged_s = min(asked_s, retention.alerts, retention.dismissed)
    with reading(folder(loaded)) as ledger:
        tallies = ledger.tally(from_id=_from(since))
        recent = {(one.rule, one.test): one for one in ledger.tally(from_id=ulid.earliest(time.time() - judged_s))}
    rows = [(one, recent.get((one.rule, one.test))) for one in tallies]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(_counted(*row, judged_s=judged_s), ensure_ascii=False))
        return
    Console(highlight=False, markup=False, emoji=False).print(
        alerts_view.counted([_counted(*row, judged_s=judged_s) for row in rows])
    )
    if judged_s < asked_s:
        terminal.err.print(
            f"precision is of the last {alerts_view.span(judged_s)} only: judged alerts are kept together for no "
            "longer (state.retention.alerts, .dismissed)"
        )


# --- what the questions share ----------------------------------------------------------------------------------------


def folder(loaded: Loaded) -> Path:
    """Where the ledger of a configuration lies."""
    return Path(loaded.config.state.folder)


def stream_id(loaded: Loaded, named: str) -> str:
    """A stream's id in the ledger, by what the configuration calls it; under keyed ids a pseudonym is one already."""
    key = sid_key(loaded.config.privacy)
    known = {stream.id for stream in loaded.config.streams}
    return topic_sid(named, key) if key is not None and named in known else named


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Between which a share lies at 95 %, by Wilson's score; the whole range where nothing was tried."""
    if of == 0:
        return 0.0, 1.0
    share, square = hits / of, _Z * _Z
    middle = share + square / (2 * of)
    half = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max((middle - half) / (1 + square / of), 0.0), min((middle + half) / (1 + square / of), 1.0)


def _from(since: str) -> str:
    return ulid.earliest(time.time() - terminal.seconds(since, option="--since")) if since else ""


def _line(alert: AlertRow) -> dict[str, Any]:
    return {
        "alert_id": alert.id,
        "opened_at": alerts_view.made(alert.id),
        "stream": alert.stream,
        "rule": alert.rule,
        "severity": alert.severity,
        "kind": alert.kind,
        "open": alert.open,
        "acknowledged": alert.acknowledged,
        "fate": alert.fate,
        "steps_not_with_broker": alert.owed,
        "document": body_of(alert.document),
    }


def _step(step: StepRow) -> dict[str, Any]:
    return {
        "seq": step.seq,
        "event": step.event,
        "committed_at": step.committed_at,
        "offered_at": step.offered_at,
        "broker_has_it_at": step.acknowledged_at,
        "escalated": step.escalated,
        "document": body_of(step.body),
    }


def _counted(all_: RuleTally, judged: RuleTally | None, *, judged_s: float) -> dict[str, Any]:
    confirmed, dismissed = (judged.confirmed, judged.dismissed) if judged else (0, 0)
    of = confirmed + dismissed
    low, high = wilson(confirmed, of)
    return {
        "rule": all_.rule,
        "test": all_.test,
        "alerts": all_.alerts,
        "open": all_.open,
        "confirmed": all_.confirmed,
        "dismissed": all_.dismissed,
        "undecided": all_.undecided,
        "precision": round(confirmed / of, 4) if of else None,
        "precision_low": round(low, 4) if of else None,
        "precision_high": round(high, 4) if of else None,
        "precision_of": of,
        "precision_over_s": judged_s,
    }
