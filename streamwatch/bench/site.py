"""What stands around the daemon: ingest server, publishers, broker and a subscriber, on loopback and free ports."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from streamwatch.bench import proc
from streamwatch.bench.clip import ClipSpec
from streamwatch.bench.programs import Child, environment, free_port, python, rtmp_module
from streamwatch.bench.publishers import name_of
from streamwatch.domain.errors import OutsideError

TOPICS: Final = "streamwatch/v1"
_ON_AIR_S: Final = 30.0
_HLS_S: Final = 45.0
_ASK_EVERY_S: Final = 0.2
_ALERTS_KEPT: Final = 100_000

_NGINX: Final = """
load_module {module};
daemon off;
user {user};
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{rtmp};
        application live {{
            live on;
            publish_notify on;
            idle_streams off;
            {hls}
        }}
    }}
}}
http {{
    access_log off;
    keepalive_requests 1000000;
    keepalive_timeout 300s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    server {{
        listen 127.0.0.1:{http} backlog=2048;
        location / {{ root {folder}/www; add_header Cache-Control no-cache; }}
    }}
}}
"""
_HLS: Final = "hls on; hls_path {folder}/www/hls; hls_fragment 4s; hls_playlist_length 24s;"
_MASTER: Final = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=3700000,RESOLUTION=1920x1080,CODECS="avc1.640028,mp4a.40.2"
/hls/{name}-1080.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2500000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2"
/hls/{name}-720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={width}x{height},CODECS="avc1.64001e,mp4a.40.2"
/hls/{name}.m3u8
"""
"""Of the three renditions only the lowest is there: a reader that asks for another one fails."""
HLS_SEGMENT_S: Final = 4.0


class AlertSeen(NamedTuple):
    """An alert as the subscriber got it."""

    at: float
    """When it came, seconds since 1970."""
    after_s: float
    """Seconds since the first picture that counted had been received."""


@dataclass(slots=True)
class Subscriber:
    """Takes the alerts; the times are mosquitto_sub's own."""

    alerts: list[AlertSeen] = field(default_factory=list)

    def on_line(self, line: str) -> None:
        """Take `SECONDS PAYLOAD`. What is no opened alert is passed over."""
        at, _, payload = line.partition(" ")
        try:
            document: dict[str, Any] = json.loads(payload)
            if document["event"] == "opened" and len(self.alerts) < _ALERTS_KEPT:
                hits = document["evidence"]  # in the order in which they were observed: a look-back's are older
                seen = datetime.fromisoformat(hits[0]["at"]).timestamp()
                self.alerts.append(AlertSeen(float(at), float(at) - seen))
        except (ValueError, KeyError, TypeError, IndexError):
            return


@dataclass(frozen=True, slots=True)
class Site:
    """Addresses of what runs."""

    folder: Path
    rtmp_port: int
    http_port: int
    broker: str
    publishers: int
    hls: bool
    subscriber: Subscriber
    children: tuple[Child, ...] = ()

    @property
    def processes(self) -> tuple[int, ...]:
        """Of server, publishers, broker and subscriber."""
        return tuple(pid for child in self.children if child.running for pid in (child.pid, *proc.children(child.pid)))

    def url(self, number: int) -> str:
        """Where a watched stream is read; streams are spread over the publishers."""
        name = name_of(number % self.publishers)
        if self.hls:
            return f"http://127.0.0.1:{self.http_port}/master/{name}.m3u8"
        return f"rtmp://127.0.0.1:{self.rtmp_port}/live/{name}"


@contextlib.asynccontextmanager
async def standing(
    folder: Path,
    spec: ClipSpec,
    size: str,
    file: Path,
    *,
    publishers: int,
    marker_s: float,
    hls: bool,
    cores: frozenset[int],
) -> AsyncIterator[Site]:
    """Start everything in `folder`, on `cores`, and stop it. Raises OutsideError where something does not start."""
    rtmp_port, http_port, mqtt_port = free_port(), free_port(), free_port()
    subscriber = Subscriber()
    for name in ("www/hls", "www/master", "mosquitto"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    nginx_conf, mosquitto_conf = folder / "nginx.conf", folder / "mosquitto.conf"
    nginx_conf.write_text(
        _NGINX.format(
            module=rtmp_module(), user=getpass.getuser(), folder=folder, rtmp=rtmp_port, http=http_port,
            hls=_HLS.format(folder=folder) if hls else "",
        )
    )  # fmt: skip
    mosquitto_conf.write_text(
        f"user {getpass.getuser()}\npersistence false\nlog_dest stderr\nlog_type error\n"
        f"listener {mqtt_port} 127.0.0.1\nallow_anonymous true\n"
    )
    async with contextlib.AsyncExitStack() as stack:
        nginx = Child("nginx", ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(nginx_conf)], cores=cores)
        broker = Child("mosquitto", ["mosquitto", "-c", str(mosquitto_conf)], cores=cores)
        for child, port in ((nginx, rtmp_port), (nginx, http_port), (broker, mqtt_port)):
            if not child.running:
                await stack.enter_async_context(child)
            await child.listening(port)
        topic = f"{TOPICS}/+/streams/+/alerts"
        listen = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(mqtt_port), "-q", "1", "-t", topic, "-F", "%U %p"]
        desk = Child("subscriber", listen, cores=cores, on_line=subscriber.on_line)
        await stack.enter_async_context(desk)
        address = f"rtmp://127.0.0.1:{rtmp_port}/live"
        command = python("streamwatch.bench.publishers", size, str(file), address, str(publishers), f"{marker_s:g}")
        on_air = await _on_air(stack, command, cores)
        if hls:
            await _playlists(folder / "www", spec, publishers)
        broker_url = f"mqtt://127.0.0.1:{mqtt_port}"
        children = (nginx, broker, desk, on_air)
        yield Site(folder, rtmp_port, http_port, broker_url, publishers, hls, subscriber, children)


async def _on_air(stack: contextlib.AsyncExitStack, command: list[str], cores: frozenset[int]) -> Child:
    on = asyncio.Event()
    child = Child("publishers", command, cores=cores, env=environment(), on_line=lambda _: on.set())
    await stack.enter_async_context(child)
    try:
        async with asyncio.timeout(_ON_AIR_S):
            await on.wait()
    except TimeoutError as error:
        words = " / ".join(child.last_words) or "they say nothing"
        raise OutsideError(f"the publishers are not on air after {_ON_AIR_S:g} s: {words}") from error
    return child


async def _playlists(www: Path, spec: ClipSpec, publishers: int) -> None:
    """Write the masters, and wait until the server has written every media playlist."""
    for number in range(publishers):
        name = name_of(number)
        text = _MASTER.format(
            name=name, bandwidth=round(spec.kilobits * 1200 + 150_000), width=spec.width, height=spec.height
        )
        (www / "master" / f"{name}.m3u8").write_text(text)
    try:
        async with asyncio.timeout(_HLS_S):
            missing = {www / "hls" / f"{name_of(number)}.m3u8" for number in range(publishers)}
            while missing := {path for path in missing if not path.is_file()}:  # noqa: ASYNC110 - files of others
                await asyncio.sleep(_ASK_EVERY_S)
    except TimeoutError as error:
        raise OutsideError(f"nginx wrote no playlists within {_HLS_S:g} s") from error
