"""The real daemon as a child, and what it says over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.journal import Journal
from tests.integration.process import Child, alive, children_of

ROOT = Path(__file__).resolve().parents[2]
NODE = "edge-1"
RULE_CLOSE_S = 3.0
RULE: dict[str, Any] = {
    "name": "test-card",
    "detector": "test-card",
    "label": "test_card",
    "severity": "test",
    "close": {"score": 0.5, "for": f"{RULE_CLOSE_S:g}s"},
    "cooldown": "1s",
}
MAX_GAP_S = 3.0


def config(
    folder: Path,
    *,
    broker: str,
    streams: dict[str, str],
    rules: Iterable[dict[str, Any]] = (RULE,),
    max_gap: str = f"{MAX_GAP_S:g}s",
    **more: Any,
) -> dict[str, Any]:
    """What an operator would write."""
    return {
        "node": NODE,
        "mqtt": {"url": broker},
        "streams": [{"id": name, "url": url} for name, url in streams.items()],
        "sampling": {"max_gap": max_gap},
        "detectors": [{"name": "test-card", "kind": "onnx", "model": "models/test-card"}],
        "rules": list(rules),
        "evasion": {"without": ["frozen", "slate"]},  # the card stands still for as long as a test shows it
        "limits": {"watchers": 1},
        "state": str(folder / "state"),
        "http": {"listen": "127.0.0.1:0"},
        **more,
    }


class Daemon(Child):
    """`streamwatch run`, with its own home and working directory, all of them empty."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.places = {name: folder / name for name in ("home", "work", "tmp")}
        for place in self.places.values():
            place.mkdir(exist_ok=True)
        self.path = folder / "streamwatch.yaml"
        self.write(settings)
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.places["home"]),
            "TMPDIR": str(self.places["tmp"]),
        }
        command = [sys.executable, "-m", "streamwatch", "run", str(self.path)]
        super().__init__("daemon", command, env=env, cwd=self.places["work"])
        self.log: Journal[dict[str, Any]] = Journal("daemon's log")
        self._port = 0

    def write(self, settings: dict[str, Any]) -> None:
        """Write the configuration, as an editor does: a new file in the old one's place."""
        new = self.path.with_suffix(".new")
        new.write_text(yaml.safe_dump(settings, sort_keys=False))
        new.replace(self.path)

    def on_err(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": "no JSON", "line": line}
        self.log.add(event)

    async def start(self) -> None:
        since = len(self.log.entries)
        await super().start()
        heard = await self.log.until(lambda e: e["event"] == "listening", limit=15, what="listening", since=since)
        self._port = heard.what["port"]

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """As `Child.stop`; what it logged is shown where a test fails."""
        if self._process is None:
            return None
        watchers = children_of(self.pid) if self.running else ()
        status = await super().stop(how)
        for entry in self.log.entries[-200:]:
            print(json.dumps(entry.what))  # noqa: T201 - pytest keeps it for failures
        assert not [pid for pid in watchers if alive(pid)] or how is signal.SIGKILL
        return status

    @property
    def watchers(self) -> tuple[int, ...]:
        """Process ids of the watchers, spares too."""
        return children_of(self.pid)

    @property
    def watcher(self) -> int:
        """Process id of the watcher that got ready last: of one that holds streams, where there is one slot."""
        return int(self.log.all(lambda event: event["event"] == "watcher ready")[-1]["pid"])

    def kill_watcher(self) -> float:
        """Kill -9; returns the time."""
        os.kill(self.watcher, signal.SIGKILL)
        return time.monotonic()

    # --- over HTTP ---------------------------------------------------------------------------------------------------

    async def get(self, path: str) -> str:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"http://127.0.0.1:{self._port}{path}") as answer,
        ):
            return await answer.text()

    async def streams(self) -> dict[str, dict[str, Any]]:
        listed = json.loads(await self.get("/streams"))["streams"]
        return {stream["sid"]: stream for stream in listed}

    async def metrics(self) -> dict[str, float]:
        """Values by name, with labels as in `name{a=x,b=y}`, in order of their names."""
        text = await self.get("/metrics")
        return {
            _key(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def health(self) -> dict[str, Any]:
        facts = json.loads(await self.get("/healthz"))
        assert isinstance(facts, dict)
        return facts

    async def measured(self, key: str, wanted: Callable[[float], bool], *, limit: float) -> float:
        """A metric's value, once it is as wanted."""
        begun, value = time.monotonic(), 0.0
        while not wanted(value := (await self.metrics()).get(key, 0.0)):
            assert time.monotonic() - begun < limit, f"{key}: not within {limit:g} s, but {value}"
            await asyncio.sleep(0.1)
        return value

    async def see(
        self, sid: str, wanted: Callable[[dict[str, Any]], bool], *, limit: float, what: str
    ) -> dict[str, Any]:
        """A stream as `/streams` shows it, once it is as wanted."""
        found: dict[str, Any] = {}
        begun = time.monotonic()
        while not (found := (await self.streams()).get(sid, {})) or not wanted(found):
            assert time.monotonic() - begun < limit, f"{sid}: {what}: not within {limit:g} s, but {found}"
            await asyncio.sleep(0.1)
        return found


def _key(name: str, labels: dict[str, str]) -> str:
    return name + ("{" + ",".join(f"{label}={labels[label]}" for label in sorted(labels)) + "}" if labels else "")
