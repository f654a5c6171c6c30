"""What a layer of the sandbox is, and what it says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class LayerState:
    """One layer after it was applied, or as it would be (`probe`). Goes to the log, to `status` and to `check`."""

    name: str
    in_force: bool
    """Applied and verified; from a probe: this kernel would give it."""
    detail: str = ""
    """For people: what it covers, or why it is missing."""

    @property
    def word(self) -> str:
        """As it is published."""
        return word(in_force=self.in_force)


class Layer(Protocol):
    """One thing that a process gives up, for good. A new layer needs a place in `standard_layers` and nothing else."""

    @property
    def name(self) -> str:
        """As it stands in reports; never changes once published."""
        ...

    @property
    def required(self) -> bool:
        """Whether `privacy.sandbox: required` refuses to start without it."""
        ...

    def apply(self) -> LayerState:
        """Give it up, for this process and every thread and child it starts from now on. Never raises."""
        ...

    def probe(self) -> LayerState:
        """Say what `apply` would give, and change nothing. Never raises."""
        ...


def word(*, in_force: bool) -> Literal["enforced", "unavailable"]:
    """How a layer stands, in one word."""
    return "enforced" if in_force else "unavailable"


def why(error: OSError) -> str:
    """The kernel's answer in words."""
    return error.strerror or str(error)
