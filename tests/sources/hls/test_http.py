"""Single requests: what is read of an answer, when a connection is kept, what an answer may not be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from streamwatch.domain.errors import Dropped, Refused, StreamError
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.hls.http import WORTH_CLOSING, Fetcher


class Server:
    """Answers every request on every connection with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def fetching(answer: bytes) -> AsyncIterator[tuple[Server, Callable[..., asyncio.Future[object]]]]:
    made = Server(answer)
    async with await asyncio.start_server(made.talk, "127.0.0.1", 0) as server:
        url = SafeUrl(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a%20b/ä?x=1&y=[2]")
        async with Fetcher(policy=AddressPolicy(url), timeout_s=2) as fetcher:

            def get(**how: Any):
                return fetcher.get(url, child=False, **({"limit": 1 << 20, "total_s": 2} | how))

            yield made, get
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait({task}, timeout=2)


def answer(body: bytes, status: str = "200 OK", head: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{head}\r\n".encode() + body


async def test_addresses_reach_the_server_as_they_are_written():
    async with fetching(answer(b"x")) as (server, get):
        await get(span=(5, 10), since=('"tag"', "yesterday"))
    said = server.requests[0].decode().split("\r\n")
    assert said[0] == "GET /a%20b/%C3%A4?x=1&y=[2] HTTP/1.1"
    assert {"Range: bytes=5-14", 'If-None-Match: "tag"', "If-Modified-Since: yesterday"} < set(said)
    assert "Accept-Encoding: identity" in said
    assert not any(line.lower().startswith(("cookie", "authorization")) for line in said)


@pytest.mark.parametrize(("size", "connections"), [(WORTH_CLOSING // 2, 1), (8 * WORTH_CLOSING, 2)])
async def test_a_server_without_ranges_is_cut_off_only_where_that_saves_something(size, connections):
    async with fetching(answer(bytes(range(250)) * (size // 250))) as (server, get):
        for _ in range(2):
            got = await get(span=(10, 20))
            assert got.body == bytes(range(10, 30))
            assert got.total == size // 250 * 250
    assert server.connections == connections


async def test_a_part_is_checked_to_be_the_part():
    async with fetching(answer(b"0123", "206 Partial Content", "Content-Range: bytes 6-9/100\r\n")) as (_, get):
        got = await get(span=(6, 4))
        assert (got.status, got.body, got.total) == (206, b"0123", 100)
        with pytest.raises(Dropped):
            await get(span=(5, 4))


@pytest.mark.parametrize(
    "said",
    [
        answer(b"short", length=50),
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        bytes(range(256)) * 20,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["short", "length", "many headers", "long header", "ssh", "rubbish", "chunks"],
)
async def test_what_is_no_answer_is_an_error_of_ours(said):
    async with fetching(said) as (_, get):
        with pytest.raises(StreamError):
            await get(total_s=0.3)


async def test_answers_are_bounded():
    async with fetching(answer(bytes(1001))) as (_, get):
        assert len((await get(limit=1001)).body) == 1001
        with pytest.raises(Refused):
            await get(limit=1000)


@pytest.mark.parametrize("tag", ['"a\x01b"', '"\u00e4"', '"' + "x" * 300 + '"'])
async def test_validators_that_cannot_be_sent_back_are_none(tag):
    async with fetching(answer(b"x", head=f"ETag: {tag}\r\nLast-Modified: yesterday\r\n")) as (server, get):
        first = await get()
        assert first.validators == ("", "yesterday")
        assert (await get(since=first.validators)).body == b"x"
        assert b"If-None-Match" not in server.requests[-1]
