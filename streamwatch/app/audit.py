"""Putting the audit log together: for the daemon, and for those who read it."""

from __future__ import annotations

from collections.abc import Sequence

from streamwatch import __version__
from streamwatch.app.settings import Settings
from streamwatch.audit.log import AuditLog
from streamwatch.config.choices import Identify
from streamwatch.config.files import Unreadable, read_text
from streamwatch.config.loader import MAX_FILE, digest
from streamwatch.daemon.auditing import Auditor
from streamwatch.domain.clock import Clock
from streamwatch.sandbox.report import LayerState
from streamwatch.telemetry.health import Health


def auditor(ready: Settings, *, health: Health, clock: Clock, boot_id: str, layers: Sequence[LayerState]) -> Auditor:
    """Who writes the audit log of this daemon, in its state folder. `layers`: its own sandbox."""
    config = ready.config

    def trouble(what: str) -> None:
        health.degrade("audit-chain", f"{what}; `streamwatch audit verify` says what was done to it")

    def digest_now() -> str:
        try:
            return digest(read_text(ready.loaded.path, limit=MAX_FILE))
        except Unreadable:
            return ""

    return Auditor(
        journal=AuditLog(ready.state_folder, on_trouble=trouble),
        health=health,
        clock=clock,
        node=config.node,
        boot_id=boot_id,
        version=__version__,
        keep_s=config.state.retention.audit,
        identify=config.mqtt.identify is Identify.TOPIC,
        layers=[(layer.name, layer.in_force) for layer in layers],
        digest=digest_now,
    )
