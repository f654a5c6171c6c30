"""What the daemon works by, as one value that two readings of a configuration can be compared by."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamwatch.alerts.base import DeskRule
from streamwatch.domain.streams import StreamId, StreamSpec, topic_sid
from streamwatch.domain.urls import printable
from streamwatch.link.messages import Configure
from streamwatch.sandbox.grant import NOTHING, Grant

_NAME = 200


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that a reload can change while the daemon runs."""

    streams: tuple[StreamSpec, ...]
    configure: Configure
    """What every watcher is given."""
    desk_rules: tuple[DeskRule, ...]
    grant: Grant = NOTHING
    """What watchers need for it."""
    kept: tuple[str, ...] = ()
    """Detectors that keep their old model, since the new one cannot be used; worded for people."""
    sid_key: bytes | None = field(default=None, repr=False)
    names_shown: bool = True
    keep_alerts_s: float = 365 * 86400.0
    """How long closed alerts stay in the ledger."""
    fixed: tuple[tuple[str, str], ...] = ()
    """(section, fingerprint) of what only a restart can change; compared on reload so that a person is told."""

    def sid(self, stream: StreamId) -> str:
        """The stream's id in topics."""
        return topic_sid(stream, self.sid_key)

    def shown(self, stream: StreamId) -> str:
        """The stream's id in documents: itself, or its pseudonym."""
        return printable(stream, _NAME) if self.sid_key is None else self.sid(stream)

    def name(self, spec: StreamSpec) -> str:
        """The stream's name in documents; empty where names are hidden."""
        return printable(spec.name, _NAME) if self.names_shown else ""
