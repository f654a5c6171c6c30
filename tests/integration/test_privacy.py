"""With keyed ids and hidden names, a stream's id and name stand in the configuration and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamwatch.domain.streams import topic_sid
from tests.integration.conftest import Site
from tests.integration.daemon import Daemon

CANARY = "kanarienvogel"
KEY = "a key of 16 bytes or more"
PRIVACY = {"stream_ids": "keyed", "key": KEY, "names": "hidden", "sandbox": "preferred"}


def hidden(site: Site, **more: Any) -> dict[str, Any]:
    """A stream that is live, one by each reader that fails, and a link that tells."""
    play = site.nginx.play_url
    urls = {
        f"{CANARY} live": play("live", CANARY),
        f"{CANARY} gone": play("live", f"{CANARY}-gone"),
        f"{CANARY} hls": play("hls", f"{CANARY}-hls"),
        f"{CANARY} fallback": play("live", f"{CANARY}-fallback"),
    }
    settings = site.settings(urls=urls, privacy=PRIVACY, **more)
    settings["streams"][0]["watch_url"] = f"https://example.org/{CANARY}"
    settings["streams"][3]["fallback"] = True
    return settings


def command_lines(*pids: int) -> bytes:
    return b"".join(Path(f"/proc/{pid}/{what}").read_bytes() for pid in pids for what in ("cmdline", "comm", "environ"))


async def test_the_canary_is_in_no_topic_document_log_metric_process_or_file(site: Site) -> None:
    publisher = await site.broadcast("live", CANARY)
    settings = hidden(site)
    daemon = await site.run(Daemon(site.folder, settings))
    sid = topic_sid(f"{CANARY} live", KEY.encode())
    await site.desk.state(sid, "covered", limit=40)
    publisher.show("card")
    opened = await site.desk.event(sid, "opened", limit=40)
    assert opened.what.document["stream"]["id"] == sid
    assert (opened.what.document["stream"]["name"], opened.what.document["stream"]["watch_url"]) == ("", None)
    for named in (f"{CANARY} live", sid):  # people may name it either way
        since = len(site.desk.messages.entries)
        body = {"request_id": f"ask-{len(named)}", "at": opened.what.document["first_seen"]["at"], "stream": named}
        await site.say("streamwatch/v1/edge-1/commands/look", json.dumps(body))
        await site.desk.said("/replies/look", lambda reply: reply["result"] == "done", limit=10, since=since)
    for broken in ("gone", "hls", "fallback"):
        await site.desk.state(topic_sid(f"{CANARY} {broken}", KEY.encode()), "connecting", reason="refused", limit=40)

    settings["streams"].append(settings["streams"][0])  # the same id twice: a reload that is refused
    daemon.write(settings)
    await daemon.log.until(lambda e: e["event"] == "configuration not taken over", limit=20, what="refused")
    daemon.kill_watcher()
    await daemon.log.until(lambda e: e["event"] == "watcher lost", limit=20, what="lost")

    said = {path: await daemon.get(path) for path in ("/streams", "/coverage", "/metrics", "/healthz", "/readyz")}
    said["process"] = command_lines(daemon.pid, *daemon.watchers).decode("utf-8", "replace")
    await daemon.stop()
    said["log"] = "\n".join(json.dumps(entry.what) for entry in daemon.log.entries)
    said["output"] = "\n".join(entry.what for entry in (*daemon.out.entries, *daemon.err.entries))
    said["mqtt"] = "\n".join(
        f"{entry.what.topic} {entry.what.payload}"
        for entry in site.desk.messages.entries
        if "/commands/" not in entry.what.topic  # what we were told, not what we say
    )
    for file in (site.folder / "state").rglob("*"):
        said[f"file {file.name}"] = file.read_bytes().decode("latin-1")
    for place in daemon.places.values():
        assert not list(place.iterdir())
    found = {where: text[max(text.find(CANARY) - 200, 0) :][:400] for where, text in said.items() if CANARY in text}
    assert not found
    assert all(sid in said[where] for where in ("/streams", "mqtt", "log", "file ledger.sqlite3")), "much was said"
