"""Opening a connection to a place that was checked: non-blocking, on the event loop, no name resolved again."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
import socket
import ssl

from streamwatch.domain.errors import PolicyRefused, Refused, Unreachable
from streamwatch.sources.address import Target

CLOSED_PORT_GRACE_S = 15.0
"""Seconds a closed port may mean that the server restarts; longer, and the streams it had are over."""


async def connect(target: Target, *, timeout_s: float) -> socket.socket:
    """Open a TCP connection to one of the checked addresses; at most `timeout_s` for all of them together.

    Raises:
        Unreachable: nobody listens, or no way there.
        PolicyRefused: our own sandbox forbids this port.

    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    why: OSError = TimeoutError("no time left")
    for tried, address in enumerate(target.addresses):
        share_s = max(0.0, deadline - loop.time()) / (len(target.addresses) - tried)
        try:
            return await _open(address, target.port, share_s)
        except PermissionError as e:
            raise PolicyRefused(f"the sandbox forbids connecting to port {target.port}") from e
        except OSError as e:
            why = e
    closed = isinstance(why, ConnectionRefusedError)
    reason = "no answer" if isinstance(why, TimeoutError) else said(why)
    grace_s = CLOSED_PORT_GRACE_S if closed else None
    raise Unreachable(f"{target.host}:{target.port}: {reason}", grace_s=grace_s) from why


def said(error: OSError) -> str:
    """Why a connection failed, in the system's words: those of asyncio repeat the address."""
    return os.strerror(error.errno) if error.errno else type(error).__name__


async def secure(sock: socket.socket, target: Target, *, timeout_s: float) -> ssl.SSLSocket:
    """Wrap a connection in TLS, the certificate checked against `target.host`. On failure the socket is closed.

    Raises:
        Refused: the certificate is not valid.
        Unreachable: no TLS there, or not within `timeout_s`.

    """
    wrapped: socket.socket = sock
    try:
        wrapped = _tls().wrap_socket(sock, server_hostname=target.host, do_handshake_on_connect=False)
        async with asyncio.timeout(timeout_s):
            await _shake_hands(wrapped)
    except ssl.SSLCertVerificationError as e:
        wrapped.close()
        raise Refused(f"{target.host}: the certificate is not valid", grace_s=float("inf")) from e
    except (OSError, ValueError) as e:  # TimeoutError and SSLError are an OSError; a name may be none that TLS takes
        wrapped.close()
        raise Unreachable(f"{target.host}:{target.port}: no TLS") from e
    except BaseException:
        wrapped.close()
        raise
    return wrapped


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _open(address: str, port: int, timeout_s: float) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 - its own signature
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def _shake_hands(wrapped: ssl.SSLSocket) -> None:
    while True:
        try:
            wrapped.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(wrapped, writing=False)
        except ssl.SSLWantWriteError:
            await _ready(wrapped, writing=True)
        else:
            return


async def _ready(sock: socket.socket, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    number = sock.fileno()
    if writing:
        loop.add_writer(number, tell)
    else:
        loop.add_reader(number, tell)
    try:
        await ready
    finally:
        if writing:
            loop.remove_writer(number)
        else:
            loop.remove_reader(number)
