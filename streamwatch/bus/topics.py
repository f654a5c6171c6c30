"""Every topic of the public interface, written and read in one place. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SID = re.compile(r"[A-Za-z0-9._~%-]{1,128}")
_MAX_ANSWER = 1024
_LEVEL = re.compile(r"[^/+#\x00-\x1f\x7f]{1,128}")


@dataclass(frozen=True, slots=True)
class CommandTopic:
    """`P/commands/{verb}` or `P/commands/{verb}/{who}`. The verb is only well formed, not known to exist."""

    verb: str
    who: str | None


@dataclass(frozen=True, slots=True)
class SignalTopic:
    """`P/signals/{source}`."""

    source: str


@dataclass(frozen=True, slots=True)
class StateTopic:
    """`P/streams/{sid}/state`."""

    sid: str


Known = CommandTopic | SignalTopic | StateTopic


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one daemon."""

    prefix: str
    """`mqtt.prefix`, e.g. `streamwatch/v1`."""
    node: str

    def __post_init__(self) -> None:
        """Refuse what could not be told apart from a wildcard or another node's topics. Raises ValueError."""
        if not all(_LEVEL.fullmatch(level) for level in self.prefix.split("/")) or self.prefix.startswith("$"):
            raise ValueError(f"not a topic prefix: {self.prefix!r}")
        if not _NODE.fullmatch(self.node):
            raise ValueError(f"not a node name: {self.node!r}")

    @property
    def root(self) -> str:
        """`P` of the interface."""
        return f"{self.prefix}/{self.node}"

    @property
    def status(self) -> str:
        """Whether the daemon is there; retained, and its Last Will."""
        return f"{self.root}/status"

    @property
    def coverage(self) -> str:
        """How much is covered; retained."""
        return f"{self.root}/coverage"

    @property
    def escalations(self) -> str:
        """What nobody acknowledged in time."""
        return f"{self.root}/escalations"

    @property
    def audit(self) -> str:
        """Checkpoints of the audit log."""
        return f"{self.root}/audit"

    def state(self, sid: str) -> str:
        """A stream's state; retained."""
        return self._stream(sid, "state")

    def alerts(self, sid: str) -> str:
        """Alerts of a stream; never retained."""
        return self._stream(sid, "alerts")

    def tests(self, sid: str) -> str:
        """Alerts of rules of severity test; never retained."""
        return self._stream(sid, "tests")

    def breaches(self, sid: str) -> str:
        """Broken promises of a stream, as they begin and end; never retained."""
        return self._stream(sid, "breaches")

    def command(self, verb: str, who: str) -> str:
        """Where somebody commands under a name that the broker vouches for. Raises ValueError for what is no name."""
        topic = f"{self.root}/commands/{verb}/{who}"
        if self.parse(topic) != CommandTopic(verb, who):
            raise ValueError(f"not a name that stands in a topic: {who!r}")
        return topic

    def reply(self, verb: str) -> str:
        """Where a command is answered that named no response topic."""
        return f"{self.root}/replies/{verb}" if _WORD.fullmatch(verb) else f"{self.root}/replies/unknown"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Filters of all that the daemon listens to."""
        return (f"{self.root}/commands/+", f"{self.root}/commands/+/+", f"{self.root}/signals/+")

    @property
    def states(self) -> str:
        """Filter of the daemon's own retained states."""
        return f"{self.root}/streams/+/state"

    def parse(self, topic: str) -> Known | None:
        """What a topic is about; None where it is none of ours or malformed."""
        start = f"{self.root}/"
        if not topic.startswith(start):
            return None
        match topic[len(start) :].split("/"):
            case ["commands", verb] if _WORD.fullmatch(verb):
                return CommandTopic(verb, None)
            case ["commands", verb, who] if _WORD.fullmatch(verb) and _LEVEL.fullmatch(who):
                return CommandTopic(verb, who)
            case ["signals", source] if _WORD.fullmatch(source):
                return SignalTopic(source)
            case ["streams", sid, "state"] if _SID.fullmatch(sid):
                return StateTopic(sid)
            case _:
                return None

    def may_answer(self, topic: str) -> bool:
        """Whether a response topic that a stranger chose may be published to.

        Not a wildcard, and none of our own topics but `replies`: nobody may use us to speak in our own name.
        """
        if not topic or len(topic) > _MAX_ANSWER or any(char in topic for char in "+#\x00") or topic.startswith("$"):
            return False
        return not topic.startswith(f"{self.prefix}/") or topic.startswith(f"{self.root}/replies/")

    def _stream(self, sid: str, leaf: str) -> str:
        if not _SID.fullmatch(sid):
            raise ValueError(f"not a stream's topic id: {sid!r}")
        return f"{self.root}/streams/{sid}/{leaf}"


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter with `+` and `#`. Topics that begin with `$` fall under no wildcard."""
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        given = given[: len(wanted)] if len(given) >= len(wanted) else given
    return len(wanted) == len(given) and all(want in ("+", level) for want, level in zip(wanted, given, strict=True))
