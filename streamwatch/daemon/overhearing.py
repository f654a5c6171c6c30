"""The audit log's ears: at the gate for commands, and where watchers are heard. What passes, passes unchanged."""

from __future__ import annotations

import json
from typing import Any

from streamwatch.alerts.commands import SIGNAL, Reply
from streamwatch.alerts.gate import Accepted, Answered, CommandGate, SeenCommands
from streamwatch.daemon.auditing import Auditor
from streamwatch.domain.clock import Clock
from streamwatch.fleet.base import FleetHandler, Report
from streamwatch.link.messages import Ready


class AuditedGate(CommandGate):
    """The gate, with a witness. Signals are reasons to look and no decisions: they are not told."""

    def __init__(self, auditor: Auditor, *, seen: SeenCommands, clock: Clock, identify: bool) -> None:
        super().__init__(seen=seen, clock=clock, identify=identify)
        self._auditor = auditor

    def judge(self, *, verb: str, who: str | None, payload: bytes, retained: bool) -> Accepted | Answered:
        """Judge one message, and tell of a refusal. Raises LedgerError as the gate does."""
        judged = super().judge(verb=verb, who=who, payload=payload, retained=retained)
        if isinstance(judged, Answered) and judged.refusal is not None:
            reply: dict[str, Any] = json.loads(judged.reply) if judged.reply else {}
            self._auditor.rejected(verb, who or "", judged.refusal.value, reply.get("request_id"))
        return judged

    def answer(self, accepted: Accepted, reply: Reply) -> bytes:
        """Tell of an executed command, and remember its reply. Raises LedgerError as the gate does."""
        if accepted.verb != SIGNAL:
            self._auditor.accepted(accepted.verb, accepted.command, accepted.who, reply.model_dump(mode="json"))
        return super().answer(accepted, reply)


class AuditedHandler:
    """Hears the fleet in the place of another one, and tells of watchers that are lost."""

    def __init__(self, handler: FleetHandler, auditor: Auditor) -> None:
        self._handler = handler
        self._auditor = auditor

    async def on_ready(self, slot: int, ready: Ready) -> None:
        """A watcher is at work: how it is confined is told where it changed."""
        self._auditor.sandbox("watcher", ((layer.name, layer.in_force) for layer in ready.sandbox))
        await self._handler.on_ready(slot, ready)

    async def on_message(self, slot: int, message: Report) -> None:
        """A watcher said something."""
        await self._handler.on_message(slot, message)

    async def on_lost(self, slot: int, reason: str) -> None:
        """A watcher is gone."""
        self._auditor.watcher_lost(slot, reason)
        await self._handler.on_lost(slot, reason)
