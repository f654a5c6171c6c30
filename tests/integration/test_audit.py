"""The audit log of a real daemon, through everything that happens to one, checked as an auditor would."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from streamwatch.audit.segments import Reading, segments
from tests.integration.conftest import Site
from tests.integration.daemon import ROOT


def verify(folder: Path, *checkpoints: Path) -> subprocess.CompletedProcess[str]:
    given = [word for file in checkpoints for word in ("--checkpoint", str(file))]
    command = [sys.executable, "-m", "streamwatch", "audit", "verify", str(folder), *given]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(data) for data in Reading(folder).lines()]


async def test_what_happens_to_a_daemon_stands_in_its_log_and_nobody_can_take_it_away(site: Site) -> None:
    state = site.folder / "state"
    publisher = await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    await site.desk.said("/audit", lambda point: point["n"] > 0, limit=20)
    await site.desk.state("lobby", "covered", limit=20)
    publisher.show("card")
    opened = await site.desk.event("lobby", "opened", limit=20)
    body = {
        "request_id": "v1", "at": opened.what.document["first_seen"]["at"], "note": "hush",
        "alert_id": opened.what.document["alert_id"], "verdict": "confirm",
    }  # fmt: skip
    await site.say("streamwatch/v1/edge-1/commands/verdict/anna", json.dumps(body))
    await site.desk.said("/replies/verdict", lambda reply: reply["result"] == "done", limit=10)
    daemon.kill_watcher()
    await daemon.log.until(lambda e: e["event"] == "watcher lost", limit=20, what="lost")
    daemon.write(site.settings("live/lobby", max_gap="4s"))
    await daemon.log.until(lambda e: e["event"] == "configuration taken over", limit=20, what="taken over")
    assert verify(state).returncode == 0, "of a daemon at work"

    await daemon.stop(signal.SIGKILL)
    mark = len(site.desk.messages.entries)
    daemon = await site.daemon("live/lobby")
    await site.desk.said("/audit", lambda point: point["n"] > 0, limit=20, since=mark)
    await daemon.stop()
    log = entries(state)
    kinds = Counter(entry["kind"] for entry in log)
    assert kinds["daemon.started"] == 2
    assert [entry["facts"]["after"] for entry in log if entry["kind"] == "daemon.started"] == ["nothing", "crash"]
    assert kinds.keys() >= {
        "alert.opened", "verdict.given", "watcher.lost", "config.taken", "sandbox.state", "models.in_force",
    }  # fmt: skip
    assert log[-1]["kind"] == "daemon.stopped"
    [taken] = [entry["facts"] for entry in log if entry["kind"] == "config.taken"]
    assert taken["sections"] == ["sampling"]
    assert "hush" not in json.dumps(log)
    assert "lobby" not in json.dumps(log)

    points = site.desk.messages.all(lambda message: message.last == "audit")
    assert not any(point.retained for point in points)
    assert points[-1].document["n"] == log[-1]["n"], "the last words of an orderly stop"
    kept = site.folder / "checkpoints.jsonl"
    kept.write_text("".join(f"{point.payload}\n" for point in points))
    done = verify(state, kept)
    assert done.returncode == 0, done.stdout
    assert f"{len(points)} checkpoints compared" in done.stdout

    [path] = segments(state)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert verify(state).returncode == 0
    cut = verify(state, kept)
    assert (cut.returncode, "truncation" in cut.stdout) == (1, True)
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    assert verify(state).stdout.startswith(f"{path}:4: deletion: n=4 ")
