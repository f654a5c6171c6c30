"""The watcher's streams: assigned, changed, released, each by its own task."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from streamwatch.domain.decisions import Standing
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl
from streamwatch.link.messages import Assign, StandingState
from streamwatch.runtime.look import Spent
from streamwatch.runtime.pipeline import StreamPipeline, Tally


@dataclass(frozen=True, slots=True)
class Watched:
    """A pipeline and the task that keeps it."""

    spec: StreamSpec
    epoch: int
    pipeline: StreamPipeline
    task: asyncio.Task[None]


class Builder(Protocol):
    """Builds what a stream needs. The application's composition knows the concrete classes."""

    def build(
        self,
        spec: StreamSpec,
        epoch: int,
        standing: Sequence[Standing],
        session: str,
    ) -> tuple[StreamPipeline, Coroutine[None, None, None]]:
        """Build a pipeline and the work that keeps it connected until it is cancelled; `session` as in `Assign`."""
        ...

    def adopt(self, pipeline: StreamPipeline, spec: StreamSpec, epoch: int) -> None:
        """Give a pipeline changed settings that need no new connection."""
        ...

    def equip(self, pipeline: StreamPipeline) -> None:
        """Give a pipeline the detectors and rules now in force."""
        ...


class Board:
    """Which streams this watcher holds. Event loop only."""

    def __init__(self, builder: Builder, tasks: asyncio.TaskGroup) -> None:
        self._builder = builder
        self._tasks = tasks
        self._watched: dict[StreamId, Watched] = {}
        self._retired: list[Tally] = []

    def assign(self, message: Assign) -> None:
        """Watch a stream, or go on watching it with changed settings; it is reconnected only if its address changed."""
        spec = spec_of(message)
        standing = standings(message.standing)
        before = self._watched.get(spec.id)
        if before is not None and _same_connection(before.spec, spec):
            self._builder.adopt(before.pipeline, spec, message.epoch)
            before.pipeline.restore(standing)
            self._watched[spec.id] = replace(before, spec=spec, epoch=message.epoch)
            return
        self.release(spec.id)
        pipeline, keeping = self._builder.build(spec, message.epoch, standing, message.session)
        task = self._tasks.create_task(keeping, name=f"stream:{spec.name}")
        self._watched[spec.id] = Watched(spec, message.epoch, pipeline, task)

    def release(self, stream: str) -> None:
        """Stop watching; unknown streams are none of our business."""
        watched = self._watched.pop(StreamId(stream), None)
        if watched is not None:
            self._retired.append(watched.pipeline.tally)
            self._retired = _summed(self._retired)
            watched.pipeline.close()
            watched.task.cancel()

    def pipeline(self, stream: str) -> StreamPipeline | None:
        """The pipeline of a stream, if it is here."""
        watched = self._watched.get(StreamId(stream))
        return watched.pipeline if watched else None

    def pipelines(self) -> tuple[StreamPipeline, ...]:
        """All of them."""
        return tuple(watched.pipeline for watched in self._watched.values())

    def tallies(self) -> list[Tally]:
        """What all streams cost, released ones included, one line a transport."""
        return _summed([*self._retired, *(watched.pipeline.tally for watched in self._watched.values())])

    def judge(self, part: int, parts: int) -> None:
        """Judge how the streams of one of so many parts stand while nothing happens: a stall, an end, a promise."""
        for watched in tuple(self._watched.values())[part::parts]:
            watched.pipeline.judge()

    def close(self) -> None:
        """Release every stream."""
        for stream in tuple(self._watched):
            self.release(stream)

    def equip_all(self) -> None:
        """Detectors or rules changed: every pipeline goes on with the new ones, connected as it is."""
        for watched in self._watched.values():
            self._builder.equip(watched.pipeline)


def _summed(tallies: Sequence[Tally]) -> list[Tally]:
    by_transport: dict[str, list[Tally]] = {}
    for tally in tallies:
        by_transport.setdefault(tally.transport, []).append(tally)
    return [
        Tally(
            transport=transport,
            received=sum(t.received for t in group),
            spent=functools.reduce(Spent.and_also, (t.spent for t in group)),
            looks_missed=sum(t.looks_missed for t in group),
            packets_dropped=sum(t.packets_dropped for t in group),
        )
        for transport, group in by_transport.items()
    ]


def _same_connection(one: StreamSpec, other: StreamSpec) -> bool:
    return (one.url, one.fallback, one.fast) == (other.url, other.fallback, other.fast)


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
            young_s=message.young_s,
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
