"""The daemon under measurement: its configuration, its process, and what it says over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from streamwatch.bench import proc
from streamwatch.bench.programs import Child, environment, python
from streamwatch.bench.site import Site
from streamwatch.domain.errors import OutsideError

DETECTOR: Final = "bench"
_ANSWER_S: Final = 20.0
_START_S: Final = 40.0
_ASK_EVERY_S: Final = 0.5
_MOST: Final = 20_000
"""Streams; a limit that changed would need a restart."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the daemon is asked to do with each stream."""

    gap_s: float
    lookback_s: float
    model: Path
    sampling: Mapping[str, Any] = field(default_factory=dict)
    fallback: bool = False
    hits: int = 1


def config(site: Site, job: Job, streams: int) -> dict[str, Any]:
    """What an operator would write.

    `min_gap` is `max_gap`: an alarm asks for no further looks, so that the looks a minute are those of a calm stream.
    One hit opens an alert, so that its latency is that of the path and not of a second look. A job of more hits is
    about just that: it confirms as rules do by default, and suspicion may ask for as many looks as it likes.
    """
    gap = f"{job.gap_s:g}s"
    confirms = job.hits > 1
    opened = {"hits": job.hits, "within": "10s", "spacing": "400ms"} if confirms else {"hits": 1, "within": gap}
    least = "500ms" if confirms else gap
    return {
        "node": "bench",
        "mqtt": {"url": site.broker},
        "streams": [
            {"id": f"s{number:04d}", "url": site.url(number), **({"fallback": True} if job.fallback else {})}
            for number in range(streams)
        ],
        "sampling": {"max_gap": gap, "min_gap": least, "lookback": f"{job.lookback_s:g}s", **job.sampling},
        "detectors": [{"name": DETECTOR, "kind": "onnx", "model": str(job.model)}],
        "rules": [
            {
                "name": "marker", "detector": DETECTOR, "label": "marker", "severity": "high", "cooldown": "0s",
                "open": {"score": 0.8, **opened}, "close": {"score": 0.5, "for": "100ms"},
            }
        ],
        "limits": {"watchers": 1, "memory": "16GiB", "max_streams": _MOST},
        "state": str(site.folder / "state"),
        "http": {"listen": "127.0.0.1:0"},
        "privacy": {"sandbox": "preferred"},
    }  # fmt: skip


def values(text: str) -> dict[str, float]:
    """Metrics by name, with labels as in `name{a=x,b=y}`, in order of their names."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{label}={sample.labels[label]}" for label in sorted(sample.labels))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


class Subject(Child):
    """`streamwatch run`, on one core with all it starts."""

    def __init__(self, site: Site, job: Job, *, core: int) -> None:
        self.core = core
        self._site, self._job = site, job
        self._path = site.folder / "streamwatch.yaml"
        self._port: asyncio.Future[int] | None = None
        home = site.folder / "home"
        home.mkdir(exist_ok=True)
        super().__init__(
            "daemon",
            python("streamwatch", "run", str(self._path), "--log-level", "info"),
            cores=frozenset({core}),
            env=environment(HOME=str(home), PYTHONDONTWRITEBYTECODE="1"),
            cwd=home,
            on_error_line=self._logged,
        )

    async def begin(self, streams: int) -> None:
        """Start it with so many streams. Raises OutsideError."""
        self.watch(streams)
        self._port = asyncio.get_running_loop().create_future()
        await self.start()
        ended = asyncio.create_task(self.wait(_START_S), name="the daemon's end")
        try:
            await asyncio.wait({self._port, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if not self._port.done():
            how = "ended" if not self.running else f"does not listen after {_START_S:g} s"
            raise OutsideError(f"the daemon {how}: {self._words()}")

    def watch(self, streams: int) -> None:
        """Write its configuration with so many streams, as an editor does; a running one reads it again."""
        new = self._path.with_suffix(".new")
        new.write_text(yaml.safe_dump(config(self._site, self._job, streams), sort_keys=False))
        new.replace(self._path)

    async def metrics(self) -> dict[str, float]:
        """Its metrics now."""
        return values(await self._get("/metrics"))

    async def streams(self) -> list[dict[str, Any]]:
        """Its streams now, as `/streams` shows them."""
        listed: list[dict[str, Any]] = json.loads(await self._get("/streams"))["streams"]
        return listed

    async def covered(self, count: int, *, limit_s: float, told: Callable[[int], None] = lambda _: None) -> float:
        """Wait until so many streams are covered and were looked at twice; the seconds it took. Raises OutsideError."""
        begun = time.monotonic()
        while True:
            listed = await self.streams()
            ready = sum(one["state"] == "covered" and one["gap_s"] is not None for one in listed)
            told(ready)
            waited = time.monotonic() - begun
            if ready >= count and len(listed) == count:
                return waited
            if waited > limit_s:
                others = sorted(
                    {f"{one['state']} {one['reason'] or ''}" for one in listed if one["state"] != "covered"}
                )
                raise OutsideError(
                    f"only {ready} of {count} streams are covered after {limit_s:.0f} s "
                    f"(others: {', '.join(others) or 'looked at once'}): more than this machine can do"
                )
            await asyncio.sleep(_ASK_EVERY_S)

    @property
    def processes(self) -> tuple[int, ...]:
        """The daemon and all that it started."""
        return (self.pid, *proc.children(self.pid))

    async def _get(self, path: str) -> str:
        if not self.running:
            raise OutsideError(f"the daemon ended: {self._words()}")
        assert self._port is not None  # noqa: S101 - begin() came first
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session,
                session.get(f"http://127.0.0.1:{self._port.result()}{path}") as answer,
            ):
                return await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OutsideError(f"the daemon does not answer {path}: {type(error).__name__}") from error

    def _words(self) -> str:
        return " / ".join(self.last_words)[-600:]

    def _logged(self, line: str) -> None:
        if self._port is None or self._port.done():
            return
        try:
            event = json.loads(line)
            if event["event"] == "listening":
                self._port.set_result(int(event["port"]))
        except (ValueError, KeyError, TypeError):
            return
