"""A fleet without watchers: remembers what it was asked for; the test speaks for the watchers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streamwatch.domain.decisions import Standing
from streamwatch.domain.errors import ModelError, PolicyRefused, Problem
from streamwatch.domain.streams import StreamId, StreamSpec
from streamwatch.link.messages import Configure


class FakeFleet:
    """Everything that daemon and roster ask of a fleet."""

    def __init__(self) -> None:
        self.watched: dict[StreamId, StreamSpec] = {}
        self.calls: list[tuple[str, str]] = []
        self.demands: list[tuple[StreamId, float]] = []
        self.stands: dict[StreamId, tuple[float, float]] = {}
        """The newest demand for some time, by stream: suspicion and seconds."""
        self.standing: dict[StreamId, tuple[Standing, ...]] = {}
        self.configure: Configure | None = None
        self.refuses_models = False
        self.at_work = (2, 2)
        self.refuses: set[StreamId] = set()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def watch(self, spec: StreamSpec, standing: Sequence[Standing] | None = None) -> int:
        if spec.id in self.refuses:
            raise PolicyRefused("its address is too long")
        self.watched[spec.id] = spec
        self.standing[spec.id] = tuple(standing or ())
        self.calls.append(("watch", spec.id))
        return 0

    def release(self, stream: StreamId) -> None:
        self.watched.pop(stream, None)
        self.calls.append(("release", stream))

    def restand(self, stream: StreamId, standing: Sequence[Standing]) -> None:
        self.standing[stream] = tuple(standing)

    def demand(self, stream: StreamId, suspicion: float, for_s: float = 0.0) -> None:
        self.demands.append((stream, suspicion))
        if for_s > 0:
            self.stands[stream] = (suspicion, for_s)

    async def reconfigure(self, configure: Configure) -> None:
        if self.refuses_models:
            raise ModelError(Problem("detectors", "", "the model does not load"))
        self.configure = configure
