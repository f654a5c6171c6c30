"""`streamwatch schema`: JSON Schema of what we read and publish, for integrators."""

from __future__ import annotations

import json
from enum import StrEnum

import typer

from streamwatch.alerts import commands, document
from streamwatch.audit import checkpoint
from streamwatch.config.schema import config_schema
from streamwatch.coverage import documents


class Subject(StrEnum):
    """What can be described."""

    CONFIG = "config"
    ALERT = "alert"
    STATE = "state"
    COVERAGE = "coverage"
    STATUS = "status"
    BREACH = "breach"
    AUDIT = "audit"
    VERDICT = "verdict"
    SIGNAL = "signal"
    MUTE = "mute"
    BOOST = "boost"
    LOOK = "look"
    RESYNC = "resync"
    PING = "ping"
    ON_DUTY = "on_duty"
    PRESERVE_ACK = "preserve_ack"


def schema(subject: Subject = typer.Argument(help="What to describe.")) -> None:
    """Print the JSON Schema of the configuration, of a published document, or of what others may send."""
    match subject:
        case Subject.CONFIG:
            described = config_schema()
        case Subject.ALERT:
            described = document.schema()
        case Subject.STATE:
            described = documents.schema(documents.StateDocument)
        case Subject.COVERAGE:
            described = documents.schema(documents.CoverageDocument)
        case Subject.STATUS:
            described = documents.schema(documents.StatusDocument)
        case Subject.BREACH:
            described = documents.schema(documents.BreachDocument)
        case Subject.AUDIT:
            described = checkpoint.schema()
        case Subject.VERDICT:
            described = commands.schema()
        case Subject.SIGNAL:
            described = commands.schema(commands.SignalCommand)
        case _:
            described = commands.schema(commands.COMMANDS[subject.value])
    typer.echo(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **described}, indent=2))
