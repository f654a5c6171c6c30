"""The contract of evidence: scores over time become a decision. Pure: no clock, no socket, no file."""

from __future__ import annotations

from typing import Protocol

from streamwatch.domain.decisions import Decision, Standing
from streamwatch.domain.media import Sample


class Policy(Protocol):
    """One rule on one stream."""

    def observe(self, sample: Sample) -> Decision:
        """Take one sample and answer the rule's standing decision. In order of arrival, but for a look-back's samples.

        A corrupt frame never counts as a hit. Media times compare only within one `timeline`.
        """
        ...

    def restore(self, standing: Standing) -> None:
        """Begin where the daemon says this stream and rule stand (after a watcher restart or a verdict)."""
        ...

    def reset(self) -> None:
        """Begin at calm, with nothing seen: another publisher has the stream."""
        ...

    @property
    def decision(self) -> Decision:
        """The standing decision, without a new sample."""
        ...
