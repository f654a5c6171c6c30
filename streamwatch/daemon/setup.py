"""What the daemon works by, as one value that two readings of a configuration can be compared by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from streamwatch.alerts.base import DeskRule
from streamwatch.alerts.policy import LifePolicy
from streamwatch.domain.errors import Problem
from streamwatch.domain.streams import StreamId, StreamSpec, topic_sid
from streamwatch.domain.urls import printable
from streamwatch.ledger.retention import Keep
from streamwatch.link.messages import Configure
from streamwatch.sandbox.grant import NOTHING, Grant

_NAME = 200


@dataclass(frozen=True, slots=True)
class Model:
    """A detector's model, by what tells it from another one."""

    name: str
    """Of the detector."""
    kind: str
    version: str
    sha256: str
    mode: str


@dataclass(frozen=True, slots=True)
class Written:
    """Which configuration this is, told without what stands in it."""

    sha256: str = ""
    """Of the file."""
    sections: tuple[tuple[str, str], ...] = ()
    """(section, fingerprint) of every one."""
    models: tuple[Model, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that a reload can change while the daemon runs."""

    streams: tuple[StreamSpec, ...]
    configure: Configure
    """What every watcher is given."""
    desk_rules: tuple[DeskRule, ...]
    policy: LifePolicy = field(default_factory=LifePolicy)
    """How alerts reach people who decide."""
    grant: Grant = NOTHING
    """What watchers need for it."""
    kept: tuple[str, ...] = ()
    """Detectors that keep their old model, since the new one cannot be used; worded for people."""
    sid_key: bytes | None = field(default=None, repr=False)
    """Of the pseudonyms that streams have for ids; None where ids are plain."""
    names_shown: bool = True
    bases: Mapping[StreamId, str] = field(default_factory=dict)
    """Recorded grounds on which private streams are watched."""
    keep: Keep = field(default_factory=Keep)
    """How long closed alerts stay in the ledger."""
    max_ledger: int = 2**30
    """Bytes of alerts kept in the ledger."""
    written: Written = field(default_factory=Written)
    fixed: tuple[tuple[str, str], ...] = ()
    """(section, fingerprint) of what only a restart can change; compared on reload so that a person is told."""

    def sid(self, stream: StreamId) -> str:
        """The stream's id in topics."""
        return topic_sid(stream)

    def shown(self, stream: StreamId) -> str:
        """The stream's id in documents."""
        return printable(stream, _NAME)

    def id_of(self, named: str) -> StreamId:
        """The id of a stream that others call so; with keyed ids they may call it by what the configuration does."""
        return StreamId(named if self.sid_key is None else topic_sid(named, self.sid_key))

    def name(self, spec: StreamSpec) -> str:
        """The stream's name in documents; empty where names are hidden."""
        return printable(spec.name, _NAME) if self.names_shown else ""

    def told(self, problem: Problem) -> str:
        """What is wrong in a configuration, as it may be logged and published: only where, if something is hidden."""
        if self.names_shown and self.sid_key is None:
            return str(problem)
        return f"{problem.where}: {problem.key or 'the file'} is wrong; `streamwatch check` says how"

    def without(self, streams: Collection[StreamId]) -> Setup:
        """The same with some streams not watched."""
        return replace(
            self,
            streams=tuple(spec for spec in self.streams if spec.id not in streams),
            bases={stream: basis for stream, basis in self.bases.items() if stream not in streams},
        )
