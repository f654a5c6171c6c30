"""The whole system on one machine: a broker, a studio, the real daemon with its watchers, a real subscriber.

Broker and subscriber live in this process; the studio and the daemon are children of it, started as anybody would start
them. Everything is on loopback, and everything ends with this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from streamwatch.bus.base import Outgoing
from streamwatch.bus.embedded import EmbeddedBroker
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.topics import Topics
from streamwatch.daemon.rights import SID
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import OutsideError
from streamwatch.domain.urls import SafeUrl

NODE = "demo"
PREFIX = "streamwatch/v1"
STREAMS = ("lobby", "hall")
GAP = "4s"
"""Shorter than the default promise, so that a visitor need not wait."""

POLL_S = 0.5
STOP_S = 8.0
_STUDIO_S = 40.0
_LINES = 12
_HOST = "127.0.0.1"


@dataclass(slots=True)
class Scene:
    """What the demo knows, for whoever draws it."""

    addresses: dict[str, str] = field(default_factory=dict)
    """Everything that listens, by name."""
    streams: list[dict[str, Any]] = field(default_factory=list)
    """From the daemon's `/streams`."""
    alerts: deque[tuple[datetime, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_LINES))
    """When the subscriber received what, newest last."""
    coverage: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    alerted: set[str] = field(default_factory=set)
    """Streams for which an `opened` arrived."""
    trouble: str = ""


Changed = Callable[[str, dict[str, Any]], None]
"""Hears what happens: (`address` | `state` | `alert` | `coverage` | `status`, document)."""


class Demo:
    """Runs everything inside `run`; nothing is left outside."""

    def __init__(self, *, port: int = 0, changed: Changed = lambda _what, _document: None) -> None:
        self.scene = Scene()
        self._port = port
        self._changed = changed
        self._complete = asyncio.Event()
        self._last_words: deque[str] = deque(maxlen=20)

    async def run(self, *, until_alert: bool, timeout_s: float | None) -> bool:
        """Run until an alert of each stream was received (`until_alert`), the time is over, or cancelled.

        Returns whether every stream has alerted. Raises OutsideError where a part cannot start or ends by itself.
        """
        async with contextlib.AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamwatch-demo-")))
            broker = await stack.enter_async_context(EmbeddedBroker(port=self._port))
            self._address("broker", broker.url)
            urls = await stack.enter_async_context(_studio())
            for name, url in urls.items():
                self._address(f"stream {name}", url)
            http_port = _free_port()
            config = _write_config(folder, broker_url=broker.url, urls=urls, http_port=http_port)
            self._address("metrics", f"http://{_HOST}:{http_port}/metrics")
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            hearing = tasks.create_task(self._subscribe(broker.url), name="subscriber")
            daemon = await stack.enter_async_context(_daemon(config, self._last_words))
            polling = tasks.create_task(self._poll(http_port), name="poll")
            dying = tasks.create_task(daemon.wait(), name="daemon")
            done = tasks.create_task(self._complete.wait(), name="complete")
            waited = {dying, done} if until_alert else {dying}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            died = dying.done()
            for task in (hearing, polling, dying, done):
                task.cancel()
        if died:
            said = "\n".join(self._last_words)
            raise OutsideError(f"the daemon ended by itself (exit code {daemon.returncode}):\n{said}")
        return self._complete.is_set()

    def _address(self, name: str, address: str) -> None:
        self.scene.addresses[name] = address
        self._changed("address", {"name": name, "address": address})

    async def _subscribe(self, url: str) -> None:
        """A subscriber like any other: it knows the public topics and nothing else."""
        topics = Topics(PREFIX, NODE)
        options = BrokerOptions(url=SafeUrl(url), node="demo-subscriber", protocol="3.1.1")
        bus = MqttBus(
            options,
            herald=_Visitor(),
            subscriptions=(f"{topics.root}/#",),
            clock=SystemClock(),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bus.run(), name="subscriber-bus")
            async for message in bus.incoming():
                if message.payload:
                    self._heard(message.topic.removeprefix(f"{topics.root}/"), json.loads(message.payload))

    def _heard(self, topic: str, document: dict[str, Any]) -> None:
        match topic.split("/"):
            case ["status"]:
                self.scene.status = document
                self._changed("status", document)
            case ["coverage"]:
                self.scene.coverage = document
                self._changed("coverage", document)
            case ["streams", _, "state"]:
                self._changed("state", document)
            case ["streams", sid, "alerts" | "tests"] if sid != SID:  # there the daemon proves its rights
                self.scene.alerts.append((datetime.now().astimezone(), document))
                if document["event"] == "opened":
                    self.scene.alerted.add(document["stream"]["id"])
                self._changed("alert", document)
                if self.scene.alerted.issuperset(STREAMS):
                    self._complete.set()
            case _:
                pass

    async def _poll(self, port: int) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"http://{_HOST}:{port}/streams") as answer:
                        self.scene.streams = (await answer.json())["streams"]
                await asyncio.sleep(POLL_S)


class _Visitor:
    """Announces nothing that others could take for a daemon."""

    def birth(self) -> Outgoing:
        """Published when connected."""
        return Outgoing("demo/subscriber", b"here")

    def testament(self) -> Outgoing:
        """The last word."""
        return Outgoing("demo/subscriber", b"gone")


@contextlib.asynccontextmanager
async def _studio() -> AsyncIterator[dict[str, str]]:
    """The studio as a process of its own; yields the streams' addresses."""
    show = ("--every", "20", "--length", "8")  # rather often: nobody likes to wait
    command = (sys.executable, "-m", "streamwatch.testcard.studio_process", "--json", *show)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    try:
        if process.stdout is None:
            raise OutsideError("the studio has no output")
        try:
            async with asyncio.timeout(_STUDIO_S):
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise OutsideError("the studio with the synthetic streams did not start in time") from error
        if not line:
            raise OutsideError("the studio with the synthetic streams could not start")
        yield json.loads(line)["streams"]
    finally:
        await _end(process)


@contextlib.asynccontextmanager
async def _daemon(config: Path, last_words: deque[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The real daemon, started as an operator would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streamwatch",
        "run",
        str(config),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    listening = asyncio.create_task(_keep_last(process.stderr, last_words), name="daemon-log")
    try:
        yield process
    finally:
        await _end(process)
        listening.cancel()


async def _keep_last(stream: asyncio.StreamReader | None, last_words: deque[str]) -> None:
    while stream is not None and (line := await stream.readline()):
        last_words.append(line.decode(errors="replace").rstrip())


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGTERM, some patience, SIGKILL; only ever this process."""
    for end in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()


def _write_config(folder: Path, *, broker_url: str, urls: dict[str, str], http_port: int) -> Path:
    """The demo's configuration: what an operator would write, with ports that are free."""
    config = {
        "node": NODE,
        "mqtt": {"url": broker_url, "prefix": PREFIX},
        "streams": [{"id": name, "url": urls[name]} for name in STREAMS],
        "sampling": {"max_gap": GAP},
        "detectors": [{"name": "test-card", "kind": "onnx", "model": "models/test-card"}],
        "rules": [
            {
                "name": "test-card",
                "detector": "test-card",
                "label": "test_card",
                "severity": "test",
                "close": {"score": 0.5, "for": "5s"},
                "cooldown": "1s",
            },
        ],
        "limits": {"watchers": min(2, os.cpu_count() or 1)},
        "state": {"folder": str(folder / "state")},
        "http": {"listen": f"{_HOST}:{http_port}"},
        "privacy": {"sandbox": "preferred"},
    }
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
