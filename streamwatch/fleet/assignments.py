"""The streams of a fleet: their epochs, and their names and settings as they travel to a watcher. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from streamwatch.domain.decisions import Standing
from streamwatch.domain.errors import PolicyRefused
from streamwatch.domain.streams import StreamId, StreamSpec
from streamwatch.link.messages import Assign, StandingState

MAX_WIRE_NAME = 512
"""Bytes of a stream's name on the link: longer ones travel as a digest, so that every report fits its frame."""
_MAX_NAME = 16_384


def wire_name(stream: StreamId) -> str:
    """How a stream is called on the link: its id, or `~` and a digest where that is too long or not encodable."""
    raw = stream.encode("utf-8", "surrogatepass")
    if stream and len(raw) <= MAX_WIRE_NAME and not stream.startswith("~"):
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass  # a lone surrogate
    return "~" + hashlib.sha256(raw).hexdigest()


def standing_states(standing: Iterable[Standing]) -> tuple[StandingState, ...]:
    """The same on the link."""
    return tuple(StandingState(rule=one.rule, open=one.open, cooldown_until=one.cooldown_until) for one in standing)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A stream in the hands of a slot."""

    spec: StreamSpec
    slot: int
    epoch: int
    wire: str

    def message(self, standing: Iterable[Standing], *, session: str = "") -> Assign:
        """What the watcher is told. Raises PolicyRefused for an address or a name that cannot travel."""
        spec, sampling = self.spec, self.spec.sampling
        try:
            return Assign(
                epoch=self.epoch,
                stream=self.wire,
                name=spec.name.encode("utf-8", "replace").decode()[:_MAX_NAME] or self.wire,
                url=spec.url.reveal(),
                origin=spec.origin,
                weight=spec.weight,
                max_gap_s=sampling.max_gap_s,
                min_gap_s=sampling.min_gap_s,
                lookback_s=sampling.lookback_s,
                novelty=sampling.novelty,
                jitter=sampling.jitter,
                inner=sampling.inner,
                young_s=sampling.young_s,
                fallback=spec.fallback,
                end_after_s=spec.end_after_s,
                tests=spec.tests,
                audience=spec.audience,
                fast=spec.fast,
                session=session,
                standing=standing_states(standing),
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise PolicyRefused(f"cannot be watched: {first['loc'][0]}: {first['msg']}") from None
