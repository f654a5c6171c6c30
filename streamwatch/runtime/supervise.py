"""Keeps one stream connected: the only place that tries again. Readers do, the supervisor decides."""

from __future__ import annotations

import random
from collections.abc import Callable

import structlog

from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import StreamError, Unreachable
from streamwatch.domain.streams import Reason
from streamwatch.runtime.backoff import Backoff
from streamwatch.runtime.pipeline import StreamPipeline
from streamwatch.sources.base import Reader

log = structlog.get_logger(__name__)

SELDOM_S = 30.0
"""Between attempts at what will not change by itself: an address that is not allowed, a codec without a decoder."""

ReaderFactory = Callable[[], Reader]


async def keep(
    pipeline: StreamPipeline,
    make_reader: ReaderFactory,
    *,
    clock: Clock,
    rng: random.Random,
) -> None:
    """Read the stream, over and over, until cancelled; a file is read once."""
    spec = pipeline.spec
    backoff = Backoff(rng=rng)
    once = spec.url.scheme == "file"
    said: Reason | None = None
    while True:
        received = pipeline.received
        seldom = False
        try:
            await make_reader().run(pipeline)
        except StreamError as error:
            pipeline.failed(error)
            seldom = not error.retryable
            if error.reason is not said:  # once down, once up; the rest is in the metrics
                log.warning("stream not readable", stream=spec.name, url=str(spec.url), reason=error.reason.value,
                            error=str(error))  # fmt: skip
            said = error.reason
            if once:
                return
        except Exception:
            # A reader that fails in an unforeseen way costs its own stream a retry, never the watcher.
            log.exception("reader failed unexpectedly", stream=spec.name, url=str(spec.url))
            pipeline.failed(Unreachable("the reader failed unexpectedly; see the watcher's log"))
        else:
            pipeline.finished()
            log.info("stream ended", stream=spec.name)
            said = None
            if once:
                return
        if pipeline.received > received:
            backoff.reset()
            said = None
        await clock.sleep(SELDOM_S if seldom else backoff.next())
