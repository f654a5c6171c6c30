"""HTTP for the HLS reader: one stream's requests, one at a time, on the event loop; every address checked by us.

Each stream has a connector of its own, so that a connection which one stream was allowed to make never serves another.
The connection goes to the very addresses that were checked: aiohttp's resolver is ours and knows no others. A request
has a limit for the whole of it: a server that drips gets no further than one that is silent.
"""

from __future__ import annotations

import asyncio
import re
import socket
from base64 import b64encode
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote, unquote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from streamwatch.domain.errors import Dropped, PolicyRefused, Refused, Stalled, StreamError, Unreachable
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy, Target
from streamwatch.sources.dial import said

MAX_REDIRECTS = 5
CLOSED_PORT_GRACE_S = 15.0
"""Seconds a closed port may mean that the server restarts; longer, and the streams it had are over."""
WORTH_CLOSING = 256 << 10
"""Bytes: a server that sends more than was asked for is cut off where so many are still to come; less costs less than
a new connection."""
_KEPT_S = 75.0
"""Longer than the pause between two requests of one stream, however long its segments are."""
_MAX_CONNECTIONS = 2
_MAX_HOSTS = 32
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK, _PARTIAL, _NOT_MODIFIED = 200, 206, 304
_PATH_SAFE = "%/:=&?~#+!$,;'@()*[]|"
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,256}")
_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)")

Validators = tuple[str, str]
"""ETag and Last-Modified of an answer, empty where there is none."""


class Answer(NamedTuple):
    """An answer read to its end, or to the end of what was asked for."""

    status: int
    url: SafeUrl
    """Where it came from after redirects: what relative addresses in it refer to."""
    body: bytes
    total: int | None = None
    """Bytes of the whole file, where only a part was asked for and the server says so."""
    validators: Validators = ("", "")

    @property
    def ok(self) -> bool:
        """The body is what was asked for."""
        return self.status in (_OK, _PARTIAL)

    @property
    def unchanged(self) -> bool:
        """The server has nothing newer than what the validators name."""
        return self.status == _NOT_MODIFIED


class _Checked(AbstractResolver):
    """Knows the addresses that were checked, and no others."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[str, ...]] = {}

    def learn(self, target: Target) -> None:
        if len(self._known) >= _MAX_HOSTS:
            self._known.clear()
        self._known[target.host, target.port] = target.addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in self._known.get((host, port), ())
            if family in (socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET)
        ]

    async def close(self) -> None:
        return


class Fetcher:
    """GET for one stream, one at a time. An async context manager: its connections close with it."""

    def __init__(self, *, policy: AddressPolicy, timeout_s: float, user_agent: str = "streamwatch") -> None:
        """`timeout_s` limits each connect."""
        self._policy = policy
        self._timeout_s = timeout_s
        self._user_agent = user_agent
        self._resolver = _Checked()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._resolver, use_dns_cache=False, limit=_MAX_CONNECTIONS, keepalive_timeout=_KEPT_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self,
        url: SafeUrl,
        *,
        child: bool,
        limit: int,
        total_s: float,
        span: tuple[int, int] | None = None,
        since: Validators = ("", ""),
    ) -> Answer:
        """Fetch at most `limit` bytes within `total_s` seconds.

        `span`: offset and length of the part wanted; the body is cut to it where the server sends more. `since`: what
        is at hand already.

        Raises:
            Unreachable, PolicyRefused: see `AddressPolicy.check`; nobody listens there.
            Refused: too large, or too many redirects.
            Stalled: no answer in time.
            Dropped: the connection broke, or what came back is not HTTP.

        """
        try:
            async with asyncio.timeout(total_s):
                return await self._follow(url, child, limit, span, since)
        except TimeoutError as e:
            raise Stalled(f"{url.host}:{url.port} did not answer in time") from e

    async def _follow(
        self, url: SafeUrl, child: bool, limit: int, span: tuple[int, int] | None, since: Validators  # noqa: FBT001
    ) -> Answer:  # fmt: skip
        for hop in range(MAX_REDIRECTS + 1):
            if self._policy.waits(url):
                target = await asyncio.to_thread(self._policy.check, url, child=child or hop > 0)
            else:
                target = self._policy.check(url, child=child or hop > 0)
            self._resolver.learn(target)
            try:
                answer, location = await self._once(url, target, limit, span, since)
            except (aiohttp.ClientError, OSError, ValueError) as e:
                raise _translated(e, target) from e
            if location is None:
                return answer
            url = _redirected(url, location)
        raise Refused(f"more than {MAX_REDIRECTS} redirects", grace_s=float("inf"))

    async def _once(
        self, url: SafeUrl, target: Target, limit: int, span: tuple[int, int] | None, since: Validators
    ) -> tuple[Answer, str | None]:
        if self._session is None:
            raise RuntimeError("a fetcher is used inside its context")
        parts = urlsplit(url.reveal())
        asked = URL.build(
            scheme=parts.scheme,
            host=target.host,
            port=target.port,
            path=quote(parts.path or "/", safe=_PATH_SAFE),
            query_string=quote(parts.query, safe=_PATH_SAFE),
            encoded=True,
        )
        headers = self._headers(parts.netloc, parts.username, parts.password, span, since)
        async with self._session.get(asked, headers=headers, allow_redirects=False) as response:
            location = response.headers.get("Location") if response.status in _REDIRECTS else None
            start, total = _place(response, span)
            body = await _body(response, limit, start, span[1] if span and response.status in (_OK, _PARTIAL) else None)
            validators = _validators(response)
            return Answer(response.status, url, body, total, validators), location

    def _headers(
        self,
        netloc: str,
        user: str | None,
        password: str | None,
        span: tuple[int, int] | None,
        since: Validators,
    ) -> dict[str, str]:
        headers = {
            "Host": netloc.rpartition("@")[2],
            "User-Agent": self._user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{span[0] + span[1] - 1}"
        if user is not None:
            headers["Authorization"] = f"Basic {_basic(user, password or '')}"
        if since[0]:
            headers["If-None-Match"] = since[0]
        if since[1]:
            headers["If-Modified-Since"] = since[1]
        return headers


def _place(response: aiohttp.ClientResponse, span: tuple[int, int] | None) -> tuple[int, int | None]:
    """How many bytes of the body come before those asked for, and how many the whole file has."""
    if span is None:
        return 0, None
    if response.status != _PARTIAL:
        return span[0], response.content_length
    said = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if said is None:
        return 0, None
    if int(said[1]) != span[0]:
        raise ValueError("not the part that was asked for")
    return 0, None if said[3] == "*" else int(said[3])


async def _body(response: aiohttp.ClientResponse, limit: int, start: int, length: int | None) -> bytes:
    """Read to the end, or as far as `start` and `length` ask for. Raises Refused beyond `limit`."""
    parts: list[bytes] = []
    size = 0
    end = None if length is None else start + length
    while chunk := await response.content.readany():
        if end is None or size < end:
            parts.append(chunk)
        size += len(chunk)
        if size > limit and (end is None or size - len(chunk) < end):
            raise Refused(f"an answer of more than {limit} bytes", grace_s=float("inf"))
        if end is not None and size >= end and _worth_closing(response.content_length, size, end):
            response.close()
            break
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return body if end is None else body[start:end]


def _worth_closing(promised: int | None, size: int, end: int) -> bool:
    """Whether what is still to come, of an answer longer than asked for, costs more than a new connection."""
    left = size + 1 - end if promised is None else max(promised - size, 0)
    return left > (0 if promised is None else WORTH_CLOSING) or size - end > WORTH_CLOSING


def _validators(response: aiohttp.ClientResponse) -> Validators:
    tag, date = response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
    return tag if _VALIDATOR.fullmatch(tag) else "", date if _VALIDATOR.fullmatch(date) else ""


def _translated(error: Exception, target: Target) -> StreamError:  # noqa: PLR0911 - one line a kind of error
    where = f"{target.host}:{target.port}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Refused(f"{target.host}: the certificate is not valid", grace_s=float("inf"))
    if isinstance(error, aiohttp.ClientSSLError):
        return Unreachable(f"{where}: no TLS")
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unreachable(f"{where}: no answer")
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, PermissionError):
            return PolicyRefused(f"the sandbox forbids connecting to port {target.port}")
        grace_s = CLOSED_PORT_GRACE_S if isinstance(cause, ConnectionRefusedError) else None
        return Unreachable(f"{where}: {said(cause)}", grace_s=grace_s)
    if isinstance(error, TimeoutError):
        return Stalled(f"{where} did not answer in time")
    return Dropped(f"{where}: the connection broke ({type(error).__name__})")


def _redirected(url: SafeUrl, location: str) -> SafeUrl:
    try:
        return SafeUrl(urljoin(url.reveal(), location))
    except ValueError as e:
        raise PolicyRefused("a redirect to an address that cannot be read is not followed") from e


def _basic(user: str, password: str) -> str:
    return b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")
