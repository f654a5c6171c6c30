"""HTTP for the fallback reader: one stream's thread, one connection at a time, every address checked by us.

http.client rather than FFmpeg's own HTTP, because only so can each redirect and child be judged and the connection made
to the very address that was judged (no second resolution, so no rebinding). Every request has a deadline for the whole
of it, not only for each read: a server that drips one byte now and then gets no further than one that is silent.
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from streamwatch.domain.errors import Dropped, PolicyRefused, Refused, Stalled, Unreachable
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy, Target
from streamwatch.sources.dial import CLOSED_PORT_GRACE_S

MAX_REDIRECTS = 5
_CHUNK = 65536
_PATH_SAFE = "%/:=&?~#+!$,;'@()*[]|"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK, _PARTIAL = 200, 206


class Cancelled(Exception):
    """The stop flag was raised while waiting for the network."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer read to its end."""

    status: int
    url: SafeUrl
    """Where it came from after redirects: what relative addresses in it refer to."""
    body: bytes

    @property
    def ok(self) -> bool:
        """The body is what was asked for."""
        return self.status in (_OK, _PARTIAL)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request to a checked target."""

    url: SafeUrl
    target: Target
    deadline: float
    limit: int
    span: tuple[int, int] | None


class TimedSocket(io.RawIOBase):
    """A socket's reading side in which the waits together end at a deadline."""

    def __init__(self, sock: socket.socket, check: Callable[[], float]) -> None:
        """`check` returns the seconds that the next wait may take, or raises."""
        self._sock = sock
        self._check = check

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Wait for some bytes. Raises TimeoutError, OSError, and what `check` raises."""
        self._sock.settimeout(self._check())
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - http.client asks a socket for "rb"
        """As a socket's own."""
        return io.BufferedReader(self, _CHUNK)


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def connect(target: Target, *, timeout_s: float) -> socket.socket:
    """Open a TCP connection to one of the checked addresses; at most `timeout_s` for all of them.

    Raises:
        Unreachable: nobody listens, or no way there.
        PolicyRefused: our own sandbox forbids this port.

    """
    deadline = time.monotonic() + timeout_s
    why: OSError = TimeoutError("no time left")
    for address in target.addresses:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, target.port), timeout=left)
        except PermissionError as e:
            raise PolicyRefused(f"the sandbox forbids connecting to port {target.port}") from e
        except OSError as e:
            why = e
    closed = isinstance(why, ConnectionRefusedError)
    reason = "no answer" if isinstance(why, TimeoutError) else why.strerror or type(why).__name__
    grace_s = CLOSED_PORT_GRACE_S if closed else None
    raise Unreachable(f"{target.host}:{target.port}: {reason}", grace_s=grace_s) from why


class Fetcher:
    """GET for one stream. Not shared between threads, except that `stop` may be set by any."""

    def __init__(
        self, *, policy: AddressPolicy, stop: threading.Event, timeout_s: float, user_agent: str = "streamwatch"
    ) -> None:
        """`timeout_s` limits each connect and each wait for bytes."""
        self._policy = policy
        self._stop = stop
        self._timeout_s = timeout_s
        self._user_agent = user_agent
        self._kept: tuple[tuple[str, str, int], socket.socket] | None = None

    def close(self) -> None:
        """Drop the kept connection."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None

    def get(
        self, url: SafeUrl, *, child: bool, limit: int, total_s: float, span: tuple[int, int] | None = None
    ) -> Response:
        """Fetch at most `limit` bytes within `total_s` seconds. `span`: offset and length of the part wanted.

        Raises:
            Unreachable, PolicyRefused: see `AddressPolicy.check` and `connect`.
            Refused: too large, or too many redirects.
            Stalled: the deadline passed.
            Dropped: the connection broke, or what came back is not HTTP.
            Cancelled: `stop` was set.

        """
        deadline = time.monotonic() + total_s
        for hop in range(MAX_REDIRECTS + 1):
            target = self._policy.check(url, child=child or hop > 0)
            response, location = self._once(url, target, deadline, limit, span)
            if location is None:
                return response
            url = _redirected(url, location)
        raise Refused(f"more than {MAX_REDIRECTS} redirects", grace_s=float("inf"))

    def _once(
        self, url: SafeUrl, target: Target, deadline: float, limit: int, span: tuple[int, int] | None
    ) -> tuple[Response, str | None]:
        kept = self._take(url, target)
        asked = _Asked(url, target, deadline, limit, span)
        if kept is not None:
            with suppress(Dropped):  # closed by the server between two requests: that says nothing about the stream
                return self._exchange(kept, asked)
        return self._exchange(self._dial(url, target), asked)

    def _take(self, url: SafeUrl, target: Target) -> socket.socket | None:
        if self._kept is None:
            return None
        (key, sock), self._kept = self._kept, None
        if key == (url.scheme, target.host, target.port):
            return sock
        sock.close()
        return None

    def _dial(self, url: SafeUrl, target: Target) -> socket.socket:
        sock = connect(target, timeout_s=self._timeout_s)
        if url.scheme != "https":
            return sock
        try:
            return _tls().wrap_socket(sock, server_hostname=target.host)
        except ssl.SSLCertVerificationError as e:
            sock.close()
            raise Refused(f"{target.host}: the certificate is not valid", grace_s=float("inf")) from e
        except OSError as e:
            sock.close()
            raise Unreachable(f"{target.host}:{target.port}: no TLS") from e

    def _left(self, deadline: float) -> float:
        if self._stop.is_set():
            raise Cancelled
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline")
        return min(left, self._timeout_s)

    def _exchange(self, sock: socket.socket, asked: _Asked) -> tuple[Response, str | None]:
        target = asked.target
        timed = TimedSocket(sock, lambda: self._left(asked.deadline))
        keep = False
        try:
            sock.settimeout(self._left(asked.deadline))
            sock.sendall(self._request(asked.url, asked.span))
            with http.client.HTTPResponse(timed, method="GET") as answer:  # type: ignore[arg-type]
                answer.begin()
                location = answer.headers.get("Location") if answer.status in _REDIRECTS else None
                body = self._body(answer, asked.limit)
                keep = not answer.will_close
            return Response(answer.status, asked.url, body), location
        except TimeoutError as e:
            raise Stalled(f"{target.host}:{target.port} did not answer in time") from e
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise Dropped(f"{target.host}:{target.port}: the connection broke ({type(e).__name__})") from e
        finally:
            if keep:
                self._kept = ((asked.url.scheme, target.host, target.port), sock)
            else:
                sock.close()

    @staticmethod
    def _body(answer: http.client.HTTPResponse, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := answer.read1(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise Refused(f"an answer of more than {limit} bytes", grace_s=float("inf"))
            parts.append(chunk)
        if answer.length:  # the server promised more than it sent
            raise http.client.IncompleteRead(b"", answer.length)
        return b"".join(parts)

    def _request(self, url: SafeUrl, span: tuple[int, int] | None) -> bytes:
        parts = urlsplit(url.reveal())
        path = quote(parts.path or "/", safe=_PATH_SAFE)
        query = f"?{quote(parts.query, safe=_PATH_SAFE)}" if parts.query else ""
        host = parts.netloc.rpartition("@")[2]
        lines = [
            f"GET {path}{query} HTTP/1.1",
            f"Host: {host}",
            f"User-Agent: {self._user_agent}",
            "Accept: */*",
            "Accept-Encoding: identity",
        ]
        if span is not None:
            lines.append(f"Range: bytes={span[0]}-{span[0] + span[1] - 1}")
        if parts.username is not None:
            lines.append(f"Authorization: Basic {_basic(parts.username, parts.password or '')}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _redirected(url: SafeUrl, location: str) -> SafeUrl:
    try:
        return SafeUrl(urljoin(url.reveal(), location))
    except ValueError as e:
        raise PolicyRefused("a redirect to an address that cannot be read is not followed") from e


def _basic(user: str, password: str) -> str:
    return b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")
