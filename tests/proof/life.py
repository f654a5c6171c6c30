"""A whole life of the real system with the marker on screen: everything that may happen to it, happens.

nginx-rtmp and mosquitto are real, and so is `streamwatch run` with its watchers, each process under strace. What has
the stream lawfully (nginx-rtmp, the publishers, this program) lives in folders of its own, which are not searched.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.daemon import ROOT, RULE, Daemon, config
from tests.integration.journal import eventually
from tests.integration.people import Subscriber
from tests.integration.process import alive
from tests.integration.publish import Broadcast
from tests.integration.servers import Mosquitto, Nginx
from tests.proof import places, trace
from tests.proof.allowed import Site
from tests.proof.haystack import Blob
from tests.proof.marker import Marker

SIDS = ("lobby", "hall")
"""Over RTMP and over HLS."""
_ANSWERS = ("/metrics", "/healthz", "/readyz", "/streams", "/coverage")
_STARVED_S = 3.0
_CORES = 'ulimit -c "$(ulimit -H -c)"; exec "$@"'
"""Cores are allowed where the machine allows any: only our own sandbox keeps a watcher from leaving one."""


def strace(prefix: Path) -> tuple[str, ...]:
    """Trace a command and all it starts; the tracer stands aside, so that the command keeps its place and number."""
    calls = ",".join(f"?{name}" for name in trace.CALLS)
    program = ("strace", "-DDD", "-ff", "-qq", "--seccomp-bpf", "-xx", "-yy", "-ttt", "-s", "1000000")
    return (*program, "-o", str(prefix), "-e", f"trace={calls}")


class Traced(Daemon):
    """The daemon under strace; each start is a run of its own."""

    def __init__(self, folder: Path, settings: dict[str, Any], traces: Path, program: Sequence[str] = ()) -> None:
        super().__init__(folder, settings)
        self.traces = traces
        self.ports: set[int] = set()
        self._runs = 0
        self._plain = (self._command[0], *(program or self._command[1:3]), *self._command[3:])

    def plug_in(self, folder: Path) -> None:
        """Make what is installed in a folder known to the daemon and its watchers."""
        assert self._env is not None
        self._env["PYTHONPATH"] = f"{ROOT}:{folder}"

    async def start(self) -> None:
        self._runs += 1
        prefix = self.traces / f"run-{self._runs}"
        self._command = ("/bin/sh", "-c", _CORES, "sh", *strace(prefix), *self._plain)
        await super().start()
        self.ports.add(self._port)

    def slots(self) -> dict[int, int]:
        """The watcher of each slot."""
        ready = self.log.all(lambda e: e["event"] == "watcher ready" and e.get("slot") is not None)
        return {int(e["slot"]): int(e["pid"]) for e in ready}


@dataclass(slots=True)
class Lived:
    """What a life left behind."""

    since: float
    """Unix seconds when it began."""
    ours: Path
    without: tuple[Path, ...]
    traces: Path
    site: Site
    phases: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    """What was heard and read from outside: MQTT, HTTP, logs, /proc."""
    layers: list[Mapping[str, Any]] = field(default_factory=list)


class Life:
    """Everything around one daemon that is watched by us."""

    def __init__(self, folder: Path, marker: Marker, stack: contextlib.AsyncExitStack) -> None:
        self.began = time.time() - 1  # the kernel's clock for files is coarse
        self.ours, self.outside, self.traces = (folder / name for name in ("ours", "servers", "traces"))
        for place in (self.ours, self.outside, self.traces):
            place.mkdir()
        self._marker = marker
        self._stack = stack
        self.nginx = Nginx(self.outside / "nginx")
        self.broker = Mosquitto(self.ours / "broker")
        self.desk = Subscriber(self.broker.port)
        self.phases: list[str] = []
        self.remarks: list[str] = []
        self.layers: list[Mapping[str, Any]] = []
        self._blobs: dict[tuple[str, bytes], Blob] = {}
        self.daemon: Traced | None = None
        self.settings: dict[str, Any] = {}

    async def begin(self, *, detectors: Sequence[str] = (), program: Sequence[str] = (), **more: Any) -> Traced:
        """Start servers, publishers and the daemon; return when both streams are looked at."""
        for server in (self.nginx, self.broker, self.desk):
            await self._stack.enter_async_context(server)
        for app in ("live", "hls"):
            url = self.nginx.publish_url(app, SIDS[app == "hls"])
            await self._stack.enter_async_context(Broadcast(url, self._marker.clips))
        streams = {"lobby": self.nginx.play_url("live", "lobby"), "hall": self.nginx.play_url("hls", "hall")}
        more = {"max_gap": "2s", "limits": {"watchers": 2, "memory": "512MiB"}, **more}
        self.settings = config(self.ours, broker=self.broker.url, streams=streams, **more)
        self.settings["detectors"] += [self.detector(kind) for kind in detectors]
        self.daemon = daemon = Traced(self.ours, self.settings, self.traces, program)
        daemon.plug_in(plug_ins(self.ours / "plug-ins"))
        await self._stack.enter_async_context(daemon)
        for sid in SIDS:
            await self.desk.state(sid, "covered", limit=40)
        await self.passed("both streams looked at")
        return daemon

    def detector(self, kind: str) -> dict[str, Any]:
        """One of the plug-ins of this check, as it would be configured."""
        return {"name": kind, "kind": kind, "model": str(ROOT / "models" / "test-card")}

    async def passed(self, phase: str) -> None:
        """A phase is over: keep what can be read from outside now."""
        assert self.daemon is not None
        self.phases.append(phase)
        for path in _ANSWERS:
            self._keep(Blob(f"HTTP {path}", (await self.daemon.get(path)).encode()))
        for pid in (self.daemon.pid, *self.daemon.watchers):
            for blob in places.of_process(pid):
                self._keep(blob)
        self.layers = (await self.daemon.health()).get("sandbox", self.layers)

    def _keep(self, blob: Blob) -> None:
        self._blobs[blob.place, blob.data] = blob

    async def reload(self, change: Callable[[dict[str, Any]], None], *, wait: bool = True) -> None:
        """Change the configuration and say so; `wait` until it is in force."""
        assert self.daemon is not None
        change(self.settings)
        since = len(self.daemon.log.entries)
        self.daemon.write(self.settings)
        self.daemon.send(signal.SIGHUP)
        if wait:
            await self.daemon.log.until(
                lambda e: e["event"] == "configuration taken over", limit=60, what="reload", since=since
            )

    async def looked(self, *sids: str, limit: float = 45.0) -> None:
        """Wait for a look at each stream that began after now."""
        assert self.daemon is not None
        now = time.monotonic()

        def seen(stream: dict[str, Any]) -> bool:
            return stream["last_sample_s"] is not None and stream["last_sample_s"] < time.monotonic() - now

        for sid in sids or SIDS:
            await self.daemon.see(sid, seen, limit=limit, what="looked at")

    async def lost(self, slot: int, strike: Callable[[int], None], *, limit: float = 10.0) -> str:
        """Strike the watcher of a slot; returns what the fleet calls it, once another one is at work."""
        daemon = self.daemon
        assert daemon is not None
        since = len(daemon.log.entries)
        strike(daemon.slots()[slot])
        gone = await daemon.log.until(lambda e: e["event"] == "watcher lost", limit=limit, what="loss", since=since)
        await daemon.log.until(
            lambda e: e["event"] == "watcher ready" and "slot" in e, limit=20, what="another watcher", since=since
        )
        await self.looked()
        return str(gone.what["reason"])

    async def end(self) -> Lived:
        """Stop everything in order; what is left is judged."""
        assert self.daemon is not None
        daemon = self.daemon
        await daemon.stop()
        await self.broker.stop()  # it writes its store now
        await eventually(lambda: not _tracers(self.traces), limit=20, what="the tracers are done")
        logs = "\n".join((*map(str, (entry.what for entry in daemon.log.entries)), *daemon.out.all(lambda _: True)))
        heard = "\n".join(f"{m.topic} {m.payload} {m.properties}" for m in self.desk.messages.all(lambda _: True))
        said = "\n".join(self.broker.err.all(lambda _: True))
        texts = {"the daemon's log": logs, "MQTT, as a subscriber heard it": heard, "the broker's log": said}
        site = Site(
            state=(self.ours / "state").resolve(),
            broker=self.broker.port,
            http=frozenset(daemon.ports),
            ingest=frozenset({self.nginx.rtmp_port, self.nginx.http_port}),
        )
        return Lived(
            since=self.began,
            ours=self.ours,
            without=(self.outside, self.traces),
            traces=self.traces,
            site=site,
            phases=self.phases,
            remarks=self.remarks,
            layers=self.layers,
            blobs=[*self._blobs.values(), *(Blob(place, text.encode()) for place, text in texts.items())],
        )


@contextlib.asynccontextmanager
async def life(folder: Path, marker: Marker) -> AsyncIterator[Life]:
    """A life in a folder; what it starts, it stops."""
    async with contextlib.AsyncExitStack() as stack:
        yield Life(folder, marker, stack)


async def whole(folder: Path, marker: Marker, tell: Callable[[str], None]) -> Lived:
    """Everything that the promise must survive, one after the other."""
    async with life(folder, marker) as here:

        async def passed(phase: str) -> None:
            await here.passed(phase)
            tell(phase)

        daemon = await here.begin()
        tell("both streams looked at")
        for sid in SIDS:
            await here.desk.event(sid, "opened", limit=30)
        await passed("an alert of the marker on each stream")
        await here.reload(lambda s: s["rules"].append({**RULE, "name": "reloaded"}))
        for sid in SIDS:
            await here.desk.messages.until(
                lambda m, sid=sid: f"/{sid}/tests" in m.topic and m.document["rule"] == "reloaded",  # type: ignore[misc]
                limit=30,
                what="an alert of the new rule",
            )
        await passed("a reload with another rule, which alerts")
        await here.broker.stop()
        await here.reload(lambda s: s["rules"].append({**RULE, "name": "unheard"}))
        await daemon.measured("streamwatch_ledger_pending", lambda value: value >= 1, limit=30)
        await here.passed("the broker away, alerts waiting in the ledger")
        await here.broker.start()
        await daemon.measured("streamwatch_ledger_pending", lambda value: value == 0, limit=30)
        await passed("an outage of the broker, and its return")
        for slot, number in ((0, signal.SIGSEGV), (1, signal.SIGABRT), (0, signal.SIGKILL)):
            reason = await here.lost(slot, lambda pid, number=number: os.kill(pid, number))  # type: ignore[misc]
            await passed(f"a watcher lost by {number.name} ({reason})")
        await _starve(here)
        tell(here.phases[-1])
        await _kill_daemon(here)
        await passed("the daemon killed, and started again")
        since = len(daemon.log.entries)
        await here.reload(lambda s: s["detectors"].append(here.detector("glutton")), wait=False)
        gone = await daemon.log.until(
            lambda e: e["event"] == "watcher lost" and e["reason"] == "memory", limit=60, what="too large", since=since
        )
        await here.reload(lambda s: s["detectors"].pop())
        await passed(f"a watcher that hoarded pictures, ended by the fleet ({gone.what['reason']})")
        here.phases.append("an orderly stop")
        return await here.end()


async def _starve(here: Life) -> None:
    """Out of memory as the kernel says it: from one moment to the next a watcher is given no page more."""

    def starve(pid: int) -> None:
        size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (size, size))

    try:
        reason = await here.lost(1, starve, limit=_STARVED_S)
    except AssertionError:
        await here.looked("lobby")
        reason = await here.lost(1, lambda pid: os.kill(pid, signal.SIGTERM))
        here.remarks.append("a watcher that was given no more memory lived on")
    except PermissionError:
        here.remarks.append("a watcher's memory could not be limited from outside")
        return
    await here.passed(f"a watcher without memory ({reason})")


async def _kill_daemon(here: Life) -> None:
    daemon = here.daemon
    assert daemon is not None
    children = daemon.watchers
    os.kill(daemon.pid, signal.SIGKILL)
    await daemon.wait(10)
    await eventually(lambda: not any(map(alive, children)), limit=10, what="watchers end with their daemon")
    await daemon.stop()
    await daemon.start()
    await here.looked()


def plug_ins(folder: Path) -> Path:
    """Install the plug-ins of `tests/proof/leaky.py` into a folder, as a package would be."""
    facts = folder / "leaky-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky\nVersion: 1\n")
    shutil.copy(Path(__file__).parent / "leaky.dist-info.txt", facts / "entry_points.txt")
    return folder


def _tracers(traces: Path) -> list[int]:
    """Those of our tracers that still write."""
    found = []
    for here in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = here.read_bytes().split(b"\0")
            if words[0] == b"strace" and any(word.startswith(os.fsencode(traces)) for word in words):
                found.append(int(here.parent.name))
    return found
