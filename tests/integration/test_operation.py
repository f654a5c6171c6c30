"""Starting, changing and stopping a daemon as an operator does."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.integration.conftest import Site
from tests.integration.daemon import ROOT
from tests.integration.process import alive

STOPPED_WITHIN_S = 10.0
_PIXELS = ("/av/", "/av.libs/", "onnxruntime", "/cv2/", "/numpy/", "numpy.libs")


async def test_pixels_live_in_watchers_alone_and_nothing_is_written(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    await site.desk.state("lobby", "covered", limit=20)
    publisher.show("card")
    await site.desk.event("lobby", "opened", limit=20)

    assert _mapped(daemon.pid) == set()
    assert _mapped(daemon.watcher) >= {"/av/", "onnxruntime", "/numpy/"}
    layers = {layer["name"]: layer for layer in (await daemon.health())["sandbox"]}
    assert layers["landlock"]["in_force"]
    status = site.desk.messages.all(lambda m: m.last == "status")[-1].document
    assert {layer["name"] for layer in status["sandbox"] if layer["in_force"]} >= {"landlock", "no_new_privileges"}

    await daemon.stop()
    written = {path for place in daemon.places.values() for path in place.rglob("*")}
    assert written == set()
    assert {path.suffix for path in (site.folder / "state").rglob("*")} <= {"", ".jsonl", ".sqlite3"}


def _mapped(pid: int) -> set[str]:
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {part for part in _PIXELS if part in maps.replace(str(ROOT), "")}


async def test_sigterm_stops_in_time_and_says_offline(site: Site) -> None:
    await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    await site.desk.state("lobby", "covered", limit=20)
    children, begun = daemon.watchers, time.monotonic()

    daemon.send(signal.SIGTERM)
    assert await daemon.wait(20) == 0

    site.within("stopped", time.monotonic() - begun, STOPPED_WITHIN_S)
    assert not any(alive(child) for child in children)
    (status,) = await site.retained("/status")
    assert status.document["state"] == "offline"


async def test_reload_applies_the_difference_and_refuses_what_is_wrong(site: Site) -> None:
    for name in ("lobby", "hall"):
        await site.broadcast("live", name)
    both, one = site.settings("live/lobby", "live/hall"), site.settings("live/lobby")
    daemon = await site.daemon("live/lobby")
    covered = await site.desk.state("lobby", "covered", limit=20)

    daemon.write(both)  # noticed without a signal
    await site.desk.state("hall", "covered", limit=20)

    mark = len(site.desk.messages.entries)
    daemon.write({**both, "streams": [*both["streams"], {"id": "yard", "urll": "rtmp://127.0.0.1/live/yard"}]})
    daemon.send(signal.SIGHUP)
    degraded = await site.desk.said("/status", lambda s: s["state"] == "degraded", limit=10, since=mark)
    assert any("streams.2.url" in reason for reason in degraded.what.document["reasons"])
    assert (await daemon.health())["streams"]["covered"] == 2  # the old one stays in force

    mark = len(site.desk.messages.entries)
    daemon.write(one)
    daemon.send(signal.SIGHUP)
    await site.desk.said("/status", lambda s: s["state"] == "online", limit=10, since=mark)
    await site.desk.messages.until(
        lambda m: m.topic.endswith("/hall/state") and not m.payload, limit=10, what="hall is cleared", since=mark
    )
    states = site.desk.messages.all(lambda m: m.topic.endswith("/lobby/state") and bool(m.payload))
    said = [m.document["state"] for m in states]
    assert said[said.index("covered") :] == ["covered"]  # never reconnected
    assert states[-1].document["session"] == covered.what.document["session"]
    assert (await daemon.streams())["lobby"]["session"] == covered.what.document["session"]
