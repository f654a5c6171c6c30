"""The error tree. Facts a caller acts on (`reason`, `retryable`, `exit_code`) are attributes, not words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from streamwatch.domain.streams import Reason


class StreamwatchError(Exception):
    """Root of everything we raise on purpose."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in something a person wrote: where it is, what is wrong and what would be right."""

    where: str
    """`FILE:LINE`, or the name of an argument."""
    key: str
    """Dotted path of the setting, e.g. `streams.0.url`; empty when the file as a whole is meant."""
    wrong: str
    right: str = ""

    def __str__(self) -> str:
        key = f" {self.key}:" if self.key else ""
        right = f" ({self.right})" if self.right else ""
        return f"{self.where}:{key} {self.wrong}{right}"


class UserError(StreamwatchError):
    """The person who started us can mend it: arguments, configuration, a model folder. Carries every problem found."""

    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class ConfigError(UserError):
    """A configuration that cannot be used. Raised by the loader."""

    def __init__(self, *problems: Problem, baseless: tuple[str, ...] = ()) -> None:
        """`baseless`: names of private streams in it that no legal basis allows to be watched, whatever else is so."""
        super().__init__(*problems)
        self.baseless = baseless


class ModelError(UserError):
    """A model folder that cannot be trusted or does not fit its manifest. Raised by the detectors room."""


class OutsideError(StreamwatchError):
    """Something outside was missing at start: a broker, a port, a kernel feature."""

    exit_code = 3


class SandboxError(OutsideError):
    """The kernel cannot give what `privacy.sandbox: required` asks for. Raised before any outside byte is read."""


class StreamError(OutsideError):
    """A stream cannot be received or decoded right now. Raised by readers and decoders; only supervisors act on it."""

    reason: ClassVar[Reason] = Reason.UNREACHABLE
    retryable: ClassVar[bool] = True
    """Whether trying again soon may help; what is not is tried again all the same, but seldom."""


class Unreachable(StreamError):
    """No connection: name not resolved, port closed, network gone.

    `grace_s` as in `Refused`, for a port that is closed where a server was: it may be restarting, or have gone for
    good. None where nothing answers at all: that never means an end.
    """

    reason = Reason.UNREACHABLE

    def __init__(self, message: str, *, grace_s: float | None = None) -> None:
        super().__init__(message)
        self.grace_s = grace_s


class Refused(StreamError):
    """The server answered and said no: not found, not allowed, or closed the door at once.

    `grace_s` is how long this answer must persist before it means that the stream ended (HLS: three target durations).
    """

    reason = Reason.REFUSED

    def __init__(self, message: str, *, grace_s: float = 0.0) -> None:
        super().__init__(message)
        self.grace_s = grace_s


class NotPublished(StreamError):
    """The server accepted us and sends nothing yet: nobody publishes under this name (or it does not say)."""

    reason = Reason.CONNECTING


class PolicyRefused(StreamError):
    """We refuse to connect there: address, scheme or redirect not allowed. Names the entry that would allow it."""

    reason = Reason.POLICY
    retryable = False


class Stalled(StreamError):
    """The connection stands and no media arrives."""

    reason = Reason.STALLED


class Dropped(StreamError):
    """A connection that delivered media broke without the server saying that the stream ended."""

    reason = Reason.STALLED


class DecodeFailed(StreamError):
    """The packets cannot be turned into a picture."""

    reason = Reason.DECODE


class CodecUnsupported(StreamError):
    """No decoder for this codec."""

    reason = Reason.CODEC
    retryable = False


class ScoreFailed(StreamwatchError):
    """A detector has no score for this picture: its engine failed, or answered with what is no score.

    Raised by detectors; the frame counts as not scored by it, never as harmless.
    """


class LinkError(StreamwatchError):
    """The connection between daemon and watcher is unusable."""


class LinkClosed(LinkError):
    """The other process is gone."""


class LinkStalled(LinkError):
    """The other process does not read what we send."""


class LinkViolation(LinkError):
    """The other process sent something that is not a message, or too much of it. The daemon kills such a watcher."""


class BusError(StreamwatchError):
    """A message did not reach the broker."""


class BusUnavailable(BusError):
    """No connection to the broker at the moment; the message stays ours and is offered again."""


class BusRefused(BusError):
    """The broker said no (negative acknowledgement). `code` is MQTT's reason code."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class LedgerError(OutsideError):
    """The ledger cannot be written or read, or refuses what it was given."""


class LedgerAway(LedgerError):
    """The ledger's disk takes or gives nothing now: it is full, read-only, broken, or the file is held by others."""


def leaf(group: BaseExceptionGroup[BaseException]) -> StreamwatchError | None:
    """The first error of ours inside a group: what a person should read of several tasks that ended together."""
    for error in group.exceptions:
        if isinstance(error, StreamwatchError):
            return error
        if isinstance(error, BaseExceptionGroup) and (inner := leaf(error)) is not None:
            return inner
    return None
