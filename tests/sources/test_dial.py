from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamwatch.domain.errors import PolicyRefused, Refused, Unreachable
from streamwatch.sources import dial
from streamwatch.sources.address import Target
from tests.sources import tls


async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write(b"hello")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(secure: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(hello, "127.0.0.1", 0, ssl=secure)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def closed_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def said(sock: socket.socket) -> bytes:
    """What a non-blocking socket gives, TLS or not."""
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                return sock.recv(100)
            await asyncio.sleep(0.005)


async def test_it_connects_to_the_address_and_never_asks_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("resolved a second time")

    async with listening() as port:
        monkeypatch.setattr(socket, "getaddrinfo", asked)
        with contextlib.closing(
            await dial.connect(Target("ingest.example", port, ("127.0.0.1",)), timeout_s=5)
        ) as sock:
            assert not sock.getblocking()
            assert await said(sock) == b"hello"


async def test_the_next_address_is_tried_where_one_is_closed() -> None:
    async with listening() as port:
        target = Target("ingest.example", port, ("127.0.0.2", "127.0.0.1"))
        with contextlib.closing(await dial.connect(target, timeout_s=5)) as sock:
            assert sock.getpeername()[0] == "127.0.0.1"


async def test_a_closed_port_may_be_a_restart() -> None:
    with pytest.raises(Unreachable) as caught:
        await dial.connect(Target("ingest.example", closed_port(), ("127.0.0.1",)), timeout_s=5)
    assert caught.value.grace_s == dial.CLOSED_PORT_GRACE_S
    assert str(caught.value).endswith(": Connection refused")


async def test_no_answer_is_bounded_and_never_means_an_end() -> None:
    with contextlib.closing(socket.socket()) as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        target = Target("ingest.example", full.getsockname()[1], ("127.0.0.1",))

        async def fill() -> None:
            """A queue that is full answers nobody."""
            for _ in range(10):
                waiting.enter_context(contextlib.closing(await dial.connect(target, timeout_s=0.2)))

        with pytest.raises(Unreachable) as caught:
            await fill()
    assert caught.value.grace_s is None


async def test_what_the_sandbox_forbids_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", forbidden)
    with pytest.raises(PolicyRefused):
        await dial.connect(Target("a", 1, ("127.0.0.1",)), timeout_s=1)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context; its certificate is trusted, for ingest.example."""
    serving, trusting = tls.contexts(tmp_path, "ingest.example")
    monkeypatch.setattr(dial, "_tls", lambda: trusting)
    return serving


async def test_tls_is_checked_against_the_name(served: ssl.SSLContext) -> None:
    async with listening(served) as port:
        target = Target("ingest.example", port, ("127.0.0.1",))
        sock = await dial.secure(await dial.connect(target, timeout_s=5), target, timeout_s=5)
        with contextlib.closing(sock):
            assert await said(sock) == b"hello"


async def test_a_certificate_for_another_name_is_refused(served: ssl.SSLContext) -> None:
    async with listening(served) as port:
        target = Target("other.example", port, ("127.0.0.1",))
        with pytest.raises(Refused) as caught:
            await dial.secure(await dial.connect(target, timeout_s=5), target, timeout_s=5)
    assert caught.value.grace_s == float("inf")


async def test_where_no_tls_is_spoken_there_is_none() -> None:
    async with listening() as port:
        target = Target("ingest.example", port, ("127.0.0.1",))
        with pytest.raises(Unreachable):
            await dial.secure(await dial.connect(target, timeout_s=5), target, timeout_s=5)


async def test_a_tls_handshake_that_never_answers_is_bounded() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as mute:
        target = Target("ingest.example", mute.getsockname()[1], ("127.0.0.1",))
        with pytest.raises(Unreachable):
            await dial.secure(await dial.connect(target, timeout_s=5), target, timeout_s=0.2)
