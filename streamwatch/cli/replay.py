"""`streamwatch replay`: what changed rules would have made of the scores that were kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from streamwatch.alerts import ulid
from streamwatch.app.replay import Did, Happened, Replayed, Would, compare
from streamwatch.app.replay import replay as run_replay
from streamwatch.cli import replay_view, terminal
from streamwatch.cli.alerts import folder
from streamwatch.cli.alerts_words import body_of, span
from streamwatch.config.loader import Loaded, load, load_rules
from streamwatch.config.models import Config
from streamwatch.config.specs import rule_specs
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.decisions import Kind, RuleSpec
from streamwatch.domain.errors import OutsideError, UserError
from streamwatch.domain.evasion import DETECTOR as EVASION
from streamwatch.ledger.database import ReadOnly
from streamwatch.ledger.reading import AlertRow, Reading, Wanted
from streamwatch.ledger.samples import Scored, stored

_ALL = 1_000_000
_TOLD = 250_000
"""Frames: a quarter of a minute."""


def replay(
    config: Path = typer.Argument(metavar="CONFIG", help="The daemon's configuration, for its state.folder."),
    rules: Path = typer.Option(..., "--rules", metavar="NEW.yaml", help="A file with `rules:`, or a configuration."),
    since: str = typer.Option("7d", help="Over the scores of so long."),
    as_json: bool = typer.Option(False, "--json", help="One JSON object a line."),
) -> None:
    """Run the rules of a file over the scores that the daemon kept (state.retention.samples), and compare.

    It says what would have opened and did not, what did and would not have, and what people had said of that.

    Exit codes: 0 done, 2 wrong arguments or configuration, or no scores are to be kept; 3 there is no ledger, or there
    are no scores yet.
    """
    loaded = load(config, environ=os.environ)
    new = load_rules(rules, base=config, environ=os.environ)
    chosen = tuple(rule for rule in specs(new.config) if rule.detector != EVASION)
    now = time.time()
    from_s = now - terminal.seconds(since, option="--since")
    file = ReadOnly(folder(loaded))
    try:
        replayed = run_replay(_told(stored(file, since=from_s)), chosen)
        _require(replayed, loaded, since)
        happened = list(_happened(Reading(file), chosen, loaded, from_s))
    finally:
        file.close()
    retention = loaded.config.state.retention
    known_since = now - min(retention.unconfirmed, retention.dismissed, retention.alerts)
    woulds, dids = compare(replayed, happened, {rule.name: rule for rule in chosen}, known_since=known_since)
    remarks = list(_remarks(replayed, chosen, new, known_since if known_since > from_s else None))
    if as_json:
        for line in lines(replayed, woulds, dids, remarks):
            typer.echo(json.dumps(line, ensure_ascii=False))
        return
    Console(highlight=False, markup=False, emoji=False).print(
        replay_view.draw(replayed, woulds, dids, {rule.name: rule for rule in chosen})
    )
    for remark in remarks:
        terminal.err.print(f"note: {remark}")


def specs(config: Config) -> tuple[RuleSpec, ...]:
    """The rules of a configuration, without a look at any model: what a detector finds makes no difference here."""
    kinds = {detector.name: Kind.CLASSIFIER for detector in config.detectors}
    return rule_specs(config, {**kinds, EVASION: Kind.EVASION})


def lines(
    replayed: Replayed, woulds: Sequence[Would], dids: Sequence[Did], remarks: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Machine output: what would have opened, what did, and the sum of it."""
    for would in woulds:
        one = would.opening
        yield {
            "type": "would_open", "rule": one.rule, "stream": one.stream, "from": _at(one.first), "to": _at(one.last),
            "score": round(one.score, 4), "hits": one.hits, "did": would.did, "alert_ids": list(would.alerts),
        }  # fmt: skip
    for did in dids:
        alert = did.alert
        yield {
            "type": "did_open", "rule": alert.rule, "stream": alert.stream, "from": _at(alert.first),
            "to": _at(alert.last), "alert_id": alert.alert_id, "fate": alert.fate, "would": did.would,
        }  # fmt: skip
    yield {
        "type": "summary", "frames": replayed.frames, "unreadable": replayed.unreadable,
        "streams": len(replayed.spans), "would_open": len(woulds), "did_open": len(dids),
        "new": sum(would.did is False for would in woulds), "gone": sum(did.would is False for did in dids),
        "remarks": list(remarks),
    }  # fmt: skip


def _told(frames: Iterator[Scored | None]) -> Iterator[Scored | None]:
    """The frames; who watches is told now and then how many they are."""
    for number, frame in enumerate(frames, start=1):
        if number % _TOLD == 0 and terminal.err.is_terminal:
            terminal.err.print(f"{number} frames …")
        yield frame


def _require(replayed: Replayed, loaded: Loaded, since: str) -> None:
    if replayed.frames:
        return
    if loaded.config.state.retention.samples <= 0:
        raise UserError(
            loaded.problem(
                "state.retention.samples", "scores of single frames are not kept", "such as 7d; then let it run"
            )
        )
    raise OutsideError(
        f"{folder(loaded)} holds no scores of the last {since}: has the daemon run since it was told to keep them?"
    )


def _happened(ledger: Reading, rules: Sequence[RuleSpec], loaded: Loaded, from_s: float) -> Iterator[Happened]:
    """Alerts of rules that were replayed, or that the new file has no more; not of evasion, nor about many streams."""
    names = {rule.name for rule in rules} | {rule.name for rule in loaded.config.rules if rule.detector != EVASION}
    for row in ledger.alerts(Wanted(from_id=ulid.earliest(from_s)), limit=_ALL):
        document = body_of(row.document)
        if row.rule in names and row.kind != Kind.EVASION.value and "summary" not in document:
            yield _alert(row, document)


def _alert(row: AlertRow, document: dict[str, Any]) -> Happened:
    made = ulid.seconds(row.id)
    first, last = (_seconds(document.get(name), made) for name in ("first_seen", "last_seen"))
    return Happened(row.id, row.rule, row.stream, first, max(first, last), row.fate)


def _seconds(moment: object, otherwise: float) -> float:
    """Wall seconds of a moment in a document."""
    try:
        return datetime.fromisoformat(moment["at"]).timestamp()  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return otherwise


def _remarks(replayed: Replayed, rules: Sequence[RuleSpec], new: Loaded, known_since: float | None) -> Iterator[str]:
    """What a reader of the figures must know."""
    for rule in rules:
        if (rule.detector, rule.label) not in replayed.seen:
            yield f"rule {rule.name}: no score of detector {rule.detector}, label {rule.label} is kept"
    if any(rule.detector == EVASION for rule in new.config.rules):
        yield "rules about evasion are not replayed: their signs are not kept as scores"
    if known_since is not None:
        yield (
            f"alerts that nobody confirmed are kept for {span(time.time() - known_since)}: of what would have opened "
            "before, it is not known whether it did"
        )
    if replayed.unreadable:
        yield f"{replayed.unreadable} frames cannot be read and are left out"
    yield "a rule that suspects sooner would also have looked more often; what it would have seen then is not known"


def _at(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds).astimezone())
