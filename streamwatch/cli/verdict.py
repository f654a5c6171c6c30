"""`streamwatch verdict`: a person's word on an alert, from a terminal."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import typer

from streamwatch.alerts import ulid
from streamwatch.alerts.parts import MAX_NOTE
from streamwatch.cli import asking
from streamwatch.domain.alerts import Verdict
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.errors import Problem, UserError
from streamwatch.domain.urls import printable

_FORM = "FROM..TO, such as 2026-11-21T10:00:00Z..2026-11-21T10:02:30Z"
_MAX_SPANS = 20
_DONE = {
    Verdict.ACKNOWLEDGE: "acknowledged",
    Verdict.CONFIRM: "confirmed",
    Verdict.ESCALATE: "escalated",
    Verdict.DISMISS: "dismissed",
    Verdict.REOPEN: "opened again",
}


def verdict(
    alert_id: str = typer.Argument(metavar="ALERT_ID", help="The alert, as `streamwatch alerts list` names it."),
    word: Verdict = typer.Argument(metavar="|".join(Verdict), help="What you say of it.", show_choices=False),
    config: Path | None = asking.CONFIG,
    who: str = asking.WHO,
    note: str = typer.Option("", help="For those who read it later, at most 500 characters."),
    viewed: list[str] = typer.Option([], metavar="FROM..TO", help="A span that you looked at; may be given again."),
    url: str = asking.URL,
    node: str = asking.NODE,
    username: str = asking.USERNAME,
    password_file: Path | None = asking.PASSWORD_FILE,
    ca: Path | None = asking.CA,
    as_json: bool = asking.AS_JSON,
) -> None:
    """Tell the running daemon what a person says of an alert, and print what came of it.

    Exit codes: 0 done, also where a second person must agree; 1 refused, 2 wrong arguments or configuration,
    3 no broker, or no daemon that answers.
    """
    name = alert_id.upper()
    if not re.fullmatch(ulid.PATTERN, name):
        raise UserError(Problem("ALERT_ID", "", f"{printable(alert_id)!r} is no alert's id", "its 26 letters"))
    if len(note) > MAX_NOTE:
        raise UserError(Problem("--note", "", f"{len(note)} characters are too many", f"at most {MAX_NOTE}"))
    if len(viewed) > _MAX_SPANS:
        raise UserError(Problem("--viewed", "", "too many spans", f"at most {_MAX_SPANS}"))
    body: dict[str, object] = {"alert_id": name, "verdict": word.value, "moderator": who, "note": note}
    if viewed:
        body["viewed"] = [span(text) for text in viewed]
    daemon = asking.daemon(config, who=who, url=url, node=node, username=username, password_file=password_file, ca=ca)
    done = f"alert {name} {_DONE[word]}"
    asking.send(daemon, verb="verdict", who=who, body=body, as_json=as_json, done=done)


def span(text: str) -> dict[str, str]:
    """`FROM..TO` as a verdict holds it. Raises UserError."""
    begin, found, end = text.partition("..")
    try:
        first, last = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    except ValueError as error:
        raise UserError(Problem("--viewed", "", f"{printable(text)!r} is no span of time", _FORM)) from error
    if not found or first.tzinfo is None or last.tzinfo is None:
        raise UserError(Problem("--viewed", "", f"{printable(text)!r} has no time zone", _FORM))
    if last < first:
        raise UserError(Problem("--viewed", "", f"{printable(text)!r} ends before it begins", _FORM))
    return {"from": rfc3339(first), "to": rfc3339(last)}
