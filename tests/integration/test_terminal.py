"""People on a terminal beside a running daemon: what it alerted, why, a verdict, and changed rules over what it saw."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.integration.conftest import Site
from tests.integration.daemon import ROOT, RULE, Daemon
from tests.integration.test_alerts import REAL_RULE

STRICTER = {**REAL_RULE, "open": {"score": 1.0, "hits": 90, "within": "60s"}}
"""A rule that a scene of some seconds cannot satisfy."""


async def _type(daemon: Daemon, *words: str) -> tuple[int, str, str]:
    """What the command ends with and prints, where the daemon runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streamwatch", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=daemon.places["work"],
        env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT), "COLUMNS": "200", "HOME": str(daemon.places["home"])},
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def _written(path: Path) -> str:
    path.write_text(yaml.safe_dump({"rules": [STRICTER]}))
    return str(path)


async def _lines(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    status, out, err = await _type(daemon, *words, "--json")
    assert status == 0, err
    return [json.loads(line) for line in out.splitlines()]


async def test_what_a_daemon_alerted_is_told_judged_and_replayed(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    models = [{"name": name, "kind": "onnx", "model": "models/test-card"} for name in ("test-card", "second")]
    state = {"folder": str(site.folder / "state"), "retention": {"samples": "1d"}}
    daemon = await site.daemon("live/lobby", rules=(RULE, REAL_RULE), detectors=models, state=state)
    await site.desk.state("lobby", "covered", limit=20)
    publisher.show("card")
    opened = await site.desk.event("lobby", "opened", limit=20, kind="alerts")
    name, path = opened.what.document["alert_id"], str(daemon.path)

    (listed,) = await _lines(daemon, "alerts", "list", path, "--open", "--severity", "high")
    assert (listed["alert_id"], listed["stream"], listed["rule"]) == (name, "lobby", "real")
    status, out, _ = await _type(daemon, "alerts", "show", name, path)
    assert status == 0
    for said in ("Rule real asked for 2 frames", "the broker had it", "Detector second, version", "it took"):
        assert said in out, out

    assert (await _type(daemon, "verdict", name, "confirm", path, "--as", "anna"))[0] == 0
    assert "anna confirmed it" in (await _type(daemon, "alerts", "show", name, path))[1]
    (counted,) = (one for one in await _lines(daemon, "alerts", "stats", path) if not one["test"])
    assert (counted["rule"], counted["confirmed"], counted["precision"]) == ("real", 1, 1.0)

    publisher.show("calm")
    await site.desk.event("lobby", "closed", limit=30, kind="alerts")
    await daemon.stop()  # all that was scored is on the disk
    same = await _lines(daemon, "replay", path, "--rules", path, "--since", "1h")
    assert [(one["type"], one.get("did"), one.get("would")) for one in same if one.get("rule") == "real"] == [
        ("would_open", True, None),
        ("did_open", None, True),
    ]
    stricter = _written(site.folder / "new.yaml")
    *gone, _ = await _lines(daemon, "replay", path, "--rules", stricter, "--since", "1h")
    assert ("did_open", name, False, "confirmed") in [
        (one["type"], one.get("alert_id"), one.get("would"), one.get("fate")) for one in gone
    ]
