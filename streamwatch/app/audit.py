"""Putting the audit log together: for the daemon, and for those who read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from streamwatch import __version__
from streamwatch.app.settings import Settings
from streamwatch.audit.chain import Unreadable, read
from streamwatch.audit.checkpoint import DAY_S, Checkpoint, compare, wanted
from streamwatch.audit.log import AuditLog
from streamwatch.audit.segments import Reading
from streamwatch.audit.verification import Damage, Verified, verify
from streamwatch.config import files
from streamwatch.config.choices import Identify
from streamwatch.config.loader import MAX_FILE, digest
from streamwatch.daemon.auditing import STARTED, Auditor
from streamwatch.daemon.scribe import Scribe
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import Problem, UserError
from streamwatch.domain.urls import printable
from streamwatch.sandbox.report import LayerState
from streamwatch.telemetry.health import Health


def scribe(ready: Settings, *, health: Health, clock: Clock) -> Scribe:
    """Who writes the audit log of this daemon, in its state folder."""

    def trouble(what: str) -> None:
        health.degrade("audit-chain", f"{what}; `streamwatch audit verify` says what was done to it")

    return Scribe(
        journal=AuditLog(ready.state_folder, on_trouble=trouble),
        health=health,
        clock=clock,
        keep_s=ready.config.state.retention.audit,
    )


def auditor(ready: Settings, scribe: Scribe, *, clock: Clock, boot_id: str, layers: Sequence[LayerState]) -> Auditor:
    """Who tells it what happens. `layers`: the daemon's own sandbox."""
    config = ready.config

    def digest_now() -> str:
        try:
            return digest(files.read_text(ready.loaded.path, limit=MAX_FILE))
        except files.Unreadable:
            return ""

    return Auditor(
        scribe=scribe,
        clock=clock,
        node=config.node,
        boot_id=boot_id,
        version=__version__,
        identify=config.mqtt.identify is Identify.TOPIC,
        layers=[(layer.name, layer.in_force) for layer in layers],
        digest=digest_now,
    )


@dataclass(frozen=True, slots=True)
class Examined:
    """What is wrong with the log in a folder, and where."""

    verified: Verified
    damages: tuple[tuple[str, Damage], ...]
    """Each with its `FILE:LINE`, in the order of the lines."""
    segments: int
    nodes: tuple[str, ...] = field(default=())
    """Whose log it is, as it says itself."""
    compared: int = 0
    """Checkpoints that are of this log."""


def log_of(folder: Path) -> Reading:
    """The log in a folder. Raises UserError where there is none, OutsideError where the folder cannot be read."""
    reading = Reading(folder)
    if not reading.paths:
        where = printable(str(folder))
        raise UserError(Problem(where, "", "there is no audit log", "the state folder of a daemon that has run"))
    return reading


def examine(folder: Path, told: Sequence[Checkpoint] = (), *, kept_s: float = DAY_S) -> Examined:
    """Judge the log in a folder; checkpoints of other nodes are left out. Raises as `log_of`.

    `kept_s`: for how long its lines are kept at least.
    """
    reading = log_of(folder)
    nodes: set[str] = set()
    verified = verify(_noting(reading.lines(), nodes), wanted=wanted(told))
    ours = [one for one in told if not nodes or one.node in nodes]
    damages = sorted([*verified.damages, *compare(verified, ours, kept_s=kept_s)], key=lambda damage: damage.line)
    placed = tuple((reading.where(damage.line), damage) for damage in damages)
    return Examined(verified, placed, len(reading.paths), tuple(sorted(nodes)), len(ours))


def _noting(lines: Iterable[bytes], nodes: set[str]) -> Iterator[bytes]:
    """The lines, while the nodes that began in them are noted."""
    begins = f'"kind":"{STARTED}"'.encode()
    for data in lines:
        if begins in data:
            with suppress(Unreadable):
                nodes.add(str(read(data).facts.get("node", "")))
        yield data
