"""`streamwatch on-duty`: somebody is there to see alerts."""

from __future__ import annotations

from pathlib import Path

import typer

from streamwatch.alerts.commands import DUTY_LIMIT_S
from streamwatch.cli import asking, terminal
from streamwatch.domain.errors import Problem, UserError


def on_duty(
    config: Path | None = asking.CONFIG,
    who: str = asking.WHO,
    for_: str = typer.Option(..., "--for", help="For so long, e.g. 1h, at most 12h; 0s: you leave."),
    url: str = asking.URL,
    node: str = asking.NODE,
    username: str = asking.USERNAME,
    password_file: Path | None = asking.PASSWORD_FILE,
    ca: Path | None = asking.CA,
    as_json: bool = asking.AS_JSON,
) -> None:
    """Tell the running daemon that a moderator is there to see alerts for so long.

    Exit codes: 0 done, 1 refused, 2 wrong arguments or configuration, 3 no broker, or no daemon that answers.
    """
    seconds = terminal.seconds(for_, option="--for")
    if not 0 <= seconds <= DUTY_LIMIT_S:
        raise UserError(Problem("--for", "", f"{for_} is too long", f"at most {DUTY_LIMIT_S / 3600:g}h"))
    daemon = asking.daemon(config, who=who, url=url, node=node, username=username, password_file=password_file, ca=ca)
    done = f"{who} is on duty for {for_}" if seconds else f"{who} is no longer on duty"
    asking.send(daemon, verb="on_duty", who=who, body={"moderator": who, "for_s": seconds}, as_json=as_json, done=done)
