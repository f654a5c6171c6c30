"""The watcher's streams: assigned, changed, released, each by its own task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from streamwatch.domain.decisions import Standing
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.link.messages import Assign, StandingState
from streamwatch.runtime.pipeline import StreamPipeline

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """A pipeline and the task that keeps it."""

    spec: StreamSpec
    epoch: int
    pipeline: StreamPipeline
    task: asyncio.Task[None]


Start = Callable[[StreamSpec, int, Sequence[Standing]], tuple[StreamPipeline, asyncio.Task[None]]]
"""Builds a pipeline for a stream and starts the task that keeps it connected."""


class Board:
    """Which streams this watcher holds. Event loop only."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._watched: dict[StreamId, Watched] = {}
        self._released_bytes: dict[str, int] = {}

    def assign(self, message: Assign) -> None:
        """Watch a stream; a repeated assignment with equal settings only restores where its rules stand."""
        spec = spec_of(message)
        before = self._watched.get(spec.id)
        standing = standings(message.standing)
        if before is not None and before.spec == spec and before.epoch == message.epoch:
            before.pipeline.restore(standing)
            return
        if before is not None:
            self.release(spec.id)
        pipeline, task = self._start(spec, message.epoch, standing)
        self._watched[spec.id] = Watched(spec, message.epoch, pipeline, task)

    def release(self, stream: str) -> None:
        """Stop watching; unknown streams are none of our business."""
        watched = self._watched.pop(StreamId(stream), None)
        if watched is not None:
            watched.pipeline.close()
            watched.task.cancel()

    def pipeline(self, stream: str) -> StreamPipeline | None:
        """The pipeline of a stream, if it is here."""
        watched = self._watched.get(StreamId(stream))
        return watched.pipeline if watched else None

    def pipelines(self) -> tuple[StreamPipeline, ...]:
        """All of them."""
        return tuple(watched.pipeline for watched in self._watched.values())

    def restart_all(self) -> None:
        """Build every pipeline anew, since detectors or rules changed; connections are made again."""
        for watched in tuple(self._watched.values()):
            standing = tuple(
                Standing(rule=decision.rule, open=decision.level.value == "alarm")
                for decision in watched.pipeline.decisions()
            )
            self.release(watched.spec.id)
            pipeline, task = self._start(watched.spec, watched.epoch, standing)
            self._watched[watched.spec.id] = replace(watched, pipeline=pipeline, task=task)


def spec_of(message: Assign) -> StreamSpec:
    """The stream as a value."""
    return StreamSpec(
        id=StreamId(message.stream),
        url=SafeUrl(message.url),
        name=message.name,
        origin=message.origin,
        weight=message.weight,
        sampling=SamplingSpec(
            max_gap_s=message.max_gap_s,
            min_gap_s=message.min_gap_s,
            lookback_s=message.lookback_s,
            novelty=message.novelty,
            jitter=message.jitter,
            inner=message.inner,
        ),
        fallback=message.fallback,
        end_after_s=message.end_after_s,
        tests=message.tests,
        audience=message.audience,
        fast=message.fast,
    )


def standings(states: Sequence[StandingState]) -> tuple[Standing, ...]:
    """Where rules stand, as values."""
    return tuple(Standing(rule=s.rule, open=s.open, cooldown_until=s.cooldown_until) for s in states)
