"""`streamwatch watch`: one stream, no broker, every look on the terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from streamwatch.app import examine
from streamwatch.app.equipment import Equipped, equip
from streamwatch.cli import terminal
from streamwatch.config.models import Sampling
from streamwatch.detectors.shipped import find_folder
from streamwatch.domain.alerts import AlertEvent, Event
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.decisions import CloseWhen, Kind, Mode, OpenWhen, RuleSpec, Severity
from streamwatch.domain.errors import OutsideError, Problem, UserError
from streamwatch.domain.media import Aim
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl, printable
from streamwatch.evasion.rules import builtin
from streamwatch.link.messages import Sampled
from streamwatch.telemetry import logs

_BAR = 24
_NAME = "watch"


def watch(
    url: str = typer.Argument(metavar="URL", help="Stream (rtmp, rtmps, http(s) HLS, rtsp, srt) or file."),
    detector: str = typer.Option("models/test-card", metavar="MODEL", help="Model folder; default: the test card's."),
    gap: str = typer.Option("10s", help="Longest time between two looks while nothing is suspected."),
    for_: str | None = typer.Option(None, "--for", help="Stop after so long, e.g. 30s; default: when the stream ends."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line: sample, alert, state."),
    fast: bool = typer.Option(False, "--fast", help="Read a file as fast as it can be scored."),
    sandbox: str = typer.Option("required", help="As privacy.sandbox: required, preferred or off."),
) -> None:
    """Examine one stream or file, with no broker, and print each look and each alert.

    Exit codes: 0 done, 2 wrong arguments, 3 the stream was never live.
    """
    logs.configure(process="watch", level="warning")
    address = terminal.stream_url(url)
    equipped = equip(
        name=_NAME,
        kind="onnx",
        folder=find_folder(detector, Path.cwd(), where="--detector", key=""),
        mode=Mode.ACTIVE,
    )
    spec = _spec(address, terminal.seconds(gap, option="--gap"), fast=fast)
    if sandbox not in {"required", "preferred", "off"}:
        raise UserError(Problem("--sandbox", "", f"{sandbox!r} is unknown", "required, preferred or off"))
    options = examine.Options(
        sandbox=sandbox,
        for_s=None if for_ is None else terminal.seconds(for_, option="--for"),
    )
    tell = _lines if as_json else _words
    if not as_json:
        terminal.err.print(f"watching {address}, detector {detector}; Ctrl-C stops")
    was_live = terminal.run(
        examine.watch(spec, equipped=[equipped], rules=_rules(equipped), options=options, tell=tell),
    )
    if not was_live:
        raise OutsideError(f"{address} was never live while we watched")


def _spec(url: SafeUrl, gap_s: float, *, fast: bool) -> StreamSpec:
    defaults = Sampling()
    if gap_s <= 0:
        raise UserError(Problem("--gap", "", "a gap is longer than nothing", "for example 2s"))
    return StreamSpec(
        id=StreamId(_NAME),
        url=url,
        name=printable(str(url), 100),
        sampling=SamplingSpec(
            max_gap_s=gap_s,
            min_gap_s=min(defaults.min_gap, gap_s),
            lookback_s=defaults.lookback,
            novelty=defaults.novelty,
            jitter=defaults.jitter,
            inner=defaults.inner,
            young_s=defaults.young,
        ),
        fast=fast,
    )


def _rules(equipped: Equipped) -> tuple[RuleSpec, ...]:
    """One rule a label, with the thresholds that the model's manifest recommends, and those about evasion."""
    manifest = equipped.verified.manifest
    test = manifest.kind is Kind.TEST
    rules = []
    for label in equipped.verified.labels:
        advised = manifest.thresholds.get(label)
        rules.append(
            RuleSpec(
                name=label,
                detector=_NAME,
                label=label,
                severity=Severity.TEST if test else Severity.HIGH,
                kind=manifest.kind,
                open=OpenWhen(advised.open if advised else 0.8, hits=2, within_s=10, spacing_s=0.4),
                close=CloseWhen(advised.close if advised else 0.5, for_s=30),
                cooldown_s=0,
            ),
        )
    return (*rules, *builtin(Severity.LOW))


def _lines(said: Sampled | examine.Change | AlertEvent) -> None:
    """Machine output: one JSON object a line."""
    line: dict[str, Any]
    match said:
        case Sampled():
            line = {
                "type": "sample",
                "at": rfc3339(said.at),
                "media_s": said.media_s,
                "scores": {label: round(score, 4) for scores in said.scores for label, score in scores.values},
                "gap_s": None if said.gap_s is None else round(said.gap_s, 3),
                "key": said.key,
                "look": said.look.value,
                "corrupt": said.corrupt,
                "blind": said.blind,
            }
        case examine.Change(state, detail):
            line = {
                "type": "state",
                "at": rfc3339(datetime.now(UTC)),
                "state": state.state.value,
                "reason": state.reason.value if state.reason else None,
                "detail": detail,
            }
        case AlertEvent():
            line = {"type": "alert", **json.loads(said.body)}
    typer.echo(json.dumps(line, ensure_ascii=False))


def _words(said: Sampled | examine.Change | AlertEvent) -> None:
    """For people."""
    match said:
        case Sampled():
            gap = "     -  " if said.gap_s is None else f"{said.gap_s:6.2f} s"
            line = Text(f"{said.at:%H:%M:%S}  media {said.media_s:9.2f} s  gap {gap}  ")
            for scores in said.scores:
                for label, score in scores.values:
                    style = "bold red" if score >= 0.8 else "yellow" if score >= 0.5 else "green"  # noqa: PLR2004
                    line.append(f"{label} {score:.3f} ")
                    line.append("█" * round(score * _BAR), style=style)
                    line.append("·" * (_BAR - round(score * _BAR)), style="dim")
            if said.look is Aim.BACK:
                line.append("  look-back", style="dim")
            if said.corrupt:
                line.append("  damaged picture", style="yellow")
            if said.blind:
                line.append("  nothing to see in it", style="yellow")
            terminal.out.print(line)
        case examine.Change(state, detail):
            reason = f": {state.reason.value}" if state.reason else ""
            explained = f" ({detail})" if detail else ""
            terminal.out.print(Text(f"{datetime.now():%H:%M:%S}  {state.state.value}{reason}{explained}", style="bold"))  # noqa: DTZ005
        case AlertEvent():
            body = json.loads(said.body)
            why = f" ({body['close_reason']})" if body.get("close_reason") else ""
            back = said.event is Event.OPENED and body["trace"].get("confirmed_by") == "look-back"
            score = body.get("score")
            how = ", confirmed by the look-back" if back else ""
            text = f"{datetime.now():%H:%M:%S}  ALERT {said.event.value}{why}: rule {body['rule']}, score {score}{how}"  # noqa: DTZ005
            terminal.out.print(Text(text, style="bold red" if said.event.value == "opened" else "bold"))
