"""A server that means harm, on loopback: what it does is told by the last part of the path (RTMP: by its port)."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

Write = asyncio.StreamWriter

PLAYLIST = "Content-Type: application/vnd.apple.mpegurl\r\n"
HEAD = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n"
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=320x180\n"
DRIP_S = 0.5


def ok(body: str | bytes, *headers: str) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    more = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 200 OK\r\n{PLAYLIST}Content-Length: {len(data)}\r\n{more}\r\n".encode() + data


def to(address: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {address}\r\nContent-Length: 0\r\n\r\n".encode()


def segment(address: str, *tags: str) -> bytes:
    return ok(HEAD + "".join(f"{tag}\n" for tag in tags) + f"#EXTINF:2.0,\n{address}\n")


async def endless(out: Write, first: bytes, again: bytes, pause_s: float = 0.0) -> None:
    """Send `again` until the other side has had enough."""
    out.write(first)
    while True:
        out.write(again)
        await out.drain()
        await asyncio.sleep(pause_s)


ANSWERS: dict[str, Callable[[], bytes]] = {
    "itself": lambda: ok(MASTER + "itself.m3u8\n"),
    "circle": lambda: to("/circle.m3u8"),
    "many-segments": lambda: ok(HEAD + "#EXTINF:2.0,\nx.ts\n" * 100_000),
    "many-renditions": lambda: ok("#EXTM3U\n" + "#EXT-X-STREAM-INF:BANDWIDTH=1\nitself.m3u8\n" * 10_000),
    "long-segment": lambda: ok(HEAD.replace(":2\n", ":999999999999\n") + "#EXTINF:1e300,\nx.ts\n"),
    "many-keys": lambda: ok(HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="x.key"\n#EXTINF:2.0,\nx.ts\n' * 2_000),
    "gzip-bomb": lambda: ok(gzip.compress(bytes(200_000_000), 9), "Content-Encoding: gzip"),
    "no-playlist": lambda: ok(bytes(range(256)) * 100),
    "huge-length": f"HTTP/1.1 200 OK\r\n{PLAYLIST}Content-Length: {10**18}\r\n\r\n".encode,
    "no-http": lambda: b"\x00\xff" * 5000,
}
DRIPS: dict[str, tuple[bytes, bytes, float]] = {
    "endless-header": (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 4000 + b"\r\n", 0.0),
    "endless-line": (b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 4000, 0.0),
    "endless-chunks": (
        f"HTTP/1.1 200 OK\r\n{PLAYLIST}Transfer-Encoding: chunked\r\n\r\n".encode(),
        b"1000\r\n" + b"#" * 4095 + b"\n\r\n",
        0.0,
    ),
    "endless-body": (f"HTTP/1.1 200 OK\r\n{PLAYLIST}\r\n#EXTM3U\n".encode(), b"#" * 4095 + b"\n", 0.0),
    "slow-header": (b"HTTP/1.1 200 OK\r\n", b"X", DRIP_S),
    "slow-body": (f"HTTP/1.1 200 OK\r\n{PLAYLIST}\r\n#EXTM3U\n".encode(), b"#", DRIP_S),
}

FORBIDDEN = {
    "private": "http://10.0.0.1/x.ts",
    "link-local": "http://169.254.169.254/latest/meta-data/",
    "other-port": "http://127.0.0.1:1/x.ts",
    "decimal": "http://2130706433/x.ts",
    "hex": "http://0x7f000001/x.ts",
    "octal": "http://0177.0.0.1/x.ts",
    "short": "http://127.1/x.ts",
    "mapped": "http://[::ffff:127.0.0.1]/x.ts",
    "nat64": "http://[64:ff9b::7f00:1]/x.ts",
    "six": "http://[::1]/x.ts",
    "user-trick": "http://127.0.0.1@10.0.0.1/x.ts",
    "trailing-dot": "http://localhost./x.ts",
    "full-width": "http://\uff11\uff12\uff17.0.0.1:1/x.ts",
    "nothing": "http://0.0.0.0/x.ts",
    "file": "file:///etc/passwd",
    "data": "data:video/mp2t;base64,AAAA",
    "ftp": "ftp://127.0.0.1/x.ts",
    "concat": "concat:/etc/passwd|/etc/hosts",
    "gopher": "gopher://127.0.0.1:6379/_x",
}
WAYS: dict[str, Callable[[str], bytes]] = {
    "segment": segment,
    "key": lambda a: segment("x.ts", f'#EXT-X-KEY:METHOD=AES-128,URI="{a}"'),
    "map": lambda a: segment("x.m4s", f'#EXT-X-MAP:URI="{a}"'),
    "child": lambda a: ok(MASTER + a + "\n"),
    "redirect": to,
}


async def _http(reader: asyncio.StreamReader, out: Write) -> None:
    name = ""
    while (line := await reader.readline()) not in (b"", b"\r\n"):
        if line.startswith(b"GET "):
            name = line.split(b" ")[1].partition(b"?")[0].rpartition(b"/")[2].decode().partition(".")[0]
    way, _, place = name.partition("--")
    if name in DRIPS:
        await endless(out, *DRIPS[name])
    elif place:
        out.write(WAYS[way](FORBIDDEN[place]))
    else:
        out.write(ANSWERS.get(name, lambda: b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")())
    await out.drain()


async def _silent(reader: asyncio.StreamReader, out: Write) -> None:
    del out
    while await reader.read(65536):
        pass


async def _drip(reader: asyncio.StreamReader, out: Write) -> None:
    del reader
    await endless(out, b"\x03", b"\x00", DRIP_S)


async def _flood(reader: asyncio.StreamReader, out: Write) -> None:
    """A handshake, then a chunk stream after the other, each with a message that never ends."""
    hello = await reader.readexactly(1537)
    out.write(b"\x03" + bytes(1536) + hello[1:])
    for number in range(64, 65_000):
        out.write(
            b"\x01" + (number - 64).to_bytes(2, "little") + bytes(3) + b"\xff\xff\xff\x09" + bytes(4) + bytes(128)
        )
        await out.drain()


async def _nested(reader: asyncio.StreamReader, out: Write) -> None:
    """A handshake, then an answer of AMF objects within objects."""
    hello = await reader.readexactly(1537)
    body = b"\x02\x00\x07_result\x00" + bytes(8) + b"\x03\x00\x01a" * 30_000
    out.write(b"\x03" + bytes(1536) + hello[1:])
    out.write(b"\x02" + bytes(3) + b"\x00\x00\x04\x01" + bytes(4) + (1 << 20).to_bytes(4, "big"))
    out.write(b"\x03" + bytes(3) + len(body).to_bytes(3, "big") + b"\x14" + bytes(4) + body)
    await out.drain()
    await reader.read()


RTMP = {"silent": _silent, "drip": _drip, "flood": _flood, "nested": _nested, "http": _http}

Serve = Callable[[asyncio.StreamReader, Write], Awaitable[None]]


def _bounded(serve: Serve) -> Serve:
    async def handle(reader: asyncio.StreamReader, out: Write) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await serve(reader, out)
        out.close()

    return handle


@contextlib.asynccontextmanager
async def hostile() -> AsyncIterator[dict[str, int]]:
    """Ports by what they do: `http`, and those of RTMP."""
    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for name, serve in RTMP.items():
            server = await asyncio.start_server(_bounded(serve), "127.0.0.1", 0)
            stack.callback(server.close)
            ports[name] = server.sockets[0].getsockname()[1]
        yield ports
