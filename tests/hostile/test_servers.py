"""Servers that mean harm, against the real daemon: each attack ends with a reason, and no door is opened by words.

All at once in one daemon, beside a good stream that must not notice. Every address carries secrets; all that leaves
the daemon is searched for them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.hostile import server
from tests.integration.conftest import Site
from tests.integration.daemon import Daemon
from tests.ports import free_port

SECRETS = {name: f"kAnArY/{name}+q" for name in ("password", "token", "key", "folder", "broker")}
MEMORY = 400 << 20
"""Most that a watcher may have held; without any attack it is about 130 MiB."""

ATTACKS: dict[str, str] = {
    **{f"{way}--{place}": "policy" for way in server.WAYS for place in server.FORBIDDEN},
    # playlists
    "itself": "codec",  # what is taken for a media playlist is another main one
    "many-renditions": "codec",
    "many-segments": "refused",
    "long-segment": "stalled",
    "many-keys": "codec",
    "no-playlist": "codec",
    # HTTP
    "circle": "refused",
    "gzip-bomb": "codec",  # it is not unpacked, and so it is no playlist
    "huge-length": "stalled",
    "no-http": "stalled",
    "endless-header": "stalled",
    "endless-line": "stalled",
    "endless-chunks": "refused",
    "endless-body": "refused",
    "slow-header": "stalled",
    "slow-body": "stalled",
    # RTMP
    "rtmp-silent": "stalled",
    "rtmp-drip": "connecting",  # after 40 s; as with a server that waits for a publisher
    "rtmp-flood": "refused",
    "rtmp-nested": "refused",
    "rtmp-http": "stalled",
    "rtmp-closed": "unreachable",
}
"""What is done to us, and the reason with which the connection is given up."""


LONG = {"long-segment", "rtmp-drip"}
"""Those that are given 40 s."""


def address(name: str, ports: dict[str, int]) -> str:
    """Of an attack, with a secret in each part that can hold one."""
    user = f"anna:{quote(SECRETS['password'], safe='')}@127.0.0.1"
    query = f"?token={quote(SECRETS['token'], safe='')}"
    if name.startswith("rtmp-"):
        port = ports.get(name.removeprefix("rtmp-"), free_port())
        return f"rtmp://{user}:{port}/live/{quote(SECRETS['key'], safe='')}{query}"
    return f"http://{user}:{ports['http']}/{quote(SECRETS['folder'], safe='')}/{name}.m3u8{query}"


def leaks(text: str) -> list[str]:
    """Secrets in this text, in any form in which they could stand there."""
    found = []
    for name, secret in SECRETS.items():
        forms = {secret, quote(secret, safe=""), quote(secret), quote(quote(secret, safe=""), safe="")}
        raw = secret.encode()
        forms |= {base64.b64encode(raw[shift:])[:-4].decode() for shift in range(3)}  # wherever it begins
        found += [f"{name} as {form}" for form in forms if form in text]
    return found


def titles(pids: tuple[int, ...]) -> str:
    said = []
    for pid in pids:
        said.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
        said += [task.joinpath("comm").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return "\n".join(said)


def memory(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def ends(daemon: Daemon) -> set[tuple[str, str]]:
    """Which streams were given up, and why."""
    found = daemon.log.all(lambda entry: entry["event"] == "stream not readable")
    return {(entry["stream"], entry["reason"]) for entry in found}


async def everything_said(site: Site, daemon: Daemon) -> str:
    """By log, HTTP, MQTT, process titles and the ledger's files."""
    said = [await daemon.get(path) for path in ("/streams", "/metrics", "/healthz", "/coverage")]
    said += [json.dumps(entry.what, ensure_ascii=False) for entry in daemon.log.entries]
    said += [entry.what for entry in daemon.out.entries]
    said += [entry.what.topic + entry.what.payload for entry in site.desk.messages.entries]
    said.append(titles((daemon.pid, *daemon.watchers)))
    files = [file for file in (site.folder / "state").rglob("*") if file.is_file()]
    assert files
    said += [file.read_bytes().decode("latin-1") for file in files]
    return "\n".join(said)


def test_the_search_finds_every_form() -> None:
    secret = SECRETS["token"]
    for form in (
        secret,
        quote(secret, safe=""),
        *(base64.b64encode(b"x" * n + secret.encode()).decode() for n in range(3)),
    ):
        assert leaks(f"a{form}b"), form
    assert not leaks("nothing of it")


def test_every_attack_of_the_server_is_in_the_table() -> None:
    rtmp = {f"rtmp-{name}" for name in (*server.RTMP, "closed")}
    assert {name for name in ATTACKS if "--" not in name} == {*server.ANSWERS, *server.DRIPS, *rtmp}


@pytest.mark.parametrize("patient", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_attacks_all_at_once_end_with_their_reason_and_open_no_door(site: Site, *, patient: bool) -> None:
    attacks = {name: reason for name, reason in ATTACKS.items() if patient or name not in LONG}
    await site.broadcast("live", "good")
    async with server.hostile() as ports:
        urls = {name: address(name, ports) for name in attacks}
        urls["good"] = site.nginx.play_url("live", "good")
        settings = site.settings(urls=urls, limits={"watchers": 2})
        settings["mqtt"] |= {"username": "anna", "password": SECRETS["broker"]}
        daemon = await site.run(Daemon(site.folder, settings))

        begun = time.monotonic()
        while missing := attacks.items() - ends(daemon):
            assert time.monotonic() - begun < (150.0 if patient else 45.0), sorted(missing)
            await asyncio.sleep(0.2)
        await daemon.see("good", lambda stream: stream["state"] == "covered", limit=10, what="undisturbed")

        assert await site.broker.stop() == 0
        await daemon.log.until(lambda e: e["event"] == "broker away", limit=15, what="the broker's end")
        assert leaks(await everything_said(site, daemon)) == []
        assert max(map(memory, daemon.watchers)) < MEMORY
    unwanted = {"watcher lost", "no JSON", "unforeseen", "stream quarantined"}
    assert daemon.log.all(lambda entry: entry["event"] in unwanted) == []
