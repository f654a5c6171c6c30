"""Where a stream may make us connect: names are resolved here, and every address is judged before a socket opens.

The rule of `limits.allow_hosts`: a host written in the configuration is trusted with its port, whatever it resolves to.
What the network says afterwards (redirects, child playlists, keys, segments) may stay on that host and port. Any other
target needs an entry, and an entry that is a name covers public addresses only: a private or loopback one must itself
be listed, because whoever owns a name decides where it points.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from streamwatch.domain.errors import PolicyRefused, Unreachable
from streamwatch.domain.urls import SafeUrl, printable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Iterable[str]]
"""Host and port to textual addresses, best first. May block and may raise OSError."""

CONFIGURED_SCHEMES = frozenset({"rtmp", "rtmps", "rtsp", "srt", "http", "https"})
CHILD_SCHEMES = frozenset({"http", "https"})

_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}(%[a-z0-9._-]{1,32})?")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e\x80-\U0010ffff]|\\")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_REMEMBER_S = 30.0
_REMEMBER = 32
"""Names whose addresses are remembered at once."""
_IPV4_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Target:
    """A checked place to connect to. Connect to `addresses`, never resolve `host` a second time."""

    host: str
    port: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllowEntry:
    """One entry of `limits.allow_hosts`: a name, an address or a network, with or without a port."""

    name: str
    network: Network | None
    port: int | None

    @classmethod
    def parse(cls, text: str) -> AllowEntry:
        """Read `host`, `host:port`, `10.0.0.0/8`, `10.0.0.0/8:8080`, `::1` or `[::1]:8080`. Raises ValueError."""
        body, port = _split_port(text.strip().lower())
        if not body:
            raise ValueError("empty entry")
        try:
            return cls("", ipaddress.ip_network(body, strict=False), port)
        except ValueError:
            if "/" in body or ":" in body or not _HOST.fullmatch(body):
                raise
        return cls(_plain(body), None, port)

    def covers(self, host: str, address: Address, port: int) -> bool:
        """Whether connecting to `address`, found under the name `host`, is allowed by this entry."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address.version == self.network.version and address in self.network
        return self.name == host and is_public(address)


def _split_port(text: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?", text)
    if bracketed:
        return bracketed[1], _port(bracketed[2])
    if text.count(":") == 1:
        body, _, port = text.partition(":")
        return body, _port(port)
    return text, None


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    port = int(text)
    if not 0 < port < 1 << 16:
        raise ValueError(f"{port} is no port")
    return port


def _plain(host: str) -> str:
    return host.rstrip(".").lower()


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large: not private, loopback, link-local, multicast or reserved."""
    return all(a.is_global and not a.is_multicast and not a.is_reserved for a in (address, *_embedded(address)))


def _embedded(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """IPv4 addresses that an IPv6 address is a wrapping of (6to4, Teredo, NAT64): a way round a list of networks."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    found = [a for a in (address.sixtofour, *(address.teredo or ())) if a is not None]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & _IPV4_BITS))
    return tuple(found)


@lru_cache(maxsize=256)
def _address(text: str) -> Address:
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if mapped is not None else address


def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver; blocks for as long as that takes, so it belongs in the stream's own thread."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@lru_cache(maxsize=256)
def is_literal(host: str) -> bool:
    """Whether a host is an address, which nobody has to resolve."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _not_allowed(host: str, port: int) -> str:
    return f"{host}:{port} is not an allowed host; to allow it, add '{host}:{port}' to limits.allow_hosts"


class _Remembered:
    """A resolver's answers, kept for half a minute: a playlist is asked for every few seconds, its name is not."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._answers: dict[tuple[str, int], tuple[float, list[str]]] = {}

    def knows(self, host: str, port: int) -> bool:
        """Whether the next call will not ask: an address of its own, or an answer with a second left to live."""
        known = self._answers.get((host, port))
        return is_literal(host) or (known is not None and time.monotonic() - known[0] < _REMEMBER_S - 1)

    def __call__(self, host: str, port: int) -> list[str]:
        now = time.monotonic()
        known = self._answers.get((host, port))
        if known is not None and now - known[0] < _REMEMBER_S:
            return known[1]
        if len(self._answers) >= _REMEMBER:
            self._answers.clear()
        found = list(self._resolver(host, port))
        self._answers[host, port] = (now, found)
        return found


class AddressPolicy:
    """What one stream may connect to. Used by the stream's reader alone, one call at a time."""

    def __init__(self, trusted: SafeUrl, *, allow_hosts: Iterable[str] = (), resolver: Resolver = resolve) -> None:
        """`trusted` is the configured address; `allow_hosts` are entries that `AllowEntry.parse` accepts."""
        self._trusted = (_plain(trusted.host), trusted.port)
        self._entries = tuple(AllowEntry.parse(entry) for entry in allow_hosts)
        self._resolver = _Remembered(resolver)

    def waits(self, url: SafeUrl) -> bool:
        """Whether `check` may block for an answer of the resolver, and so belongs in a thread."""
        return not self._resolver.knows(_plain(url.host), url.port)

    def check(self, url: SafeUrl, *, child: bool) -> Target:
        """Judge `url` and return where to connect. `child`: the network named it, not the configuration.

        Raises:
            PolicyRefused: not allowed; the message names the entry that would allow it.
            Unreachable: the name does not resolve.

        """
        host, port = _plain(url.host), url.port
        if url.scheme not in (CHILD_SCHEMES if child else CONFIGURED_SCHEMES):
            raise PolicyRefused(f"{printable(url.scheme, 20)}: addresses are not opened here")
        if not port or not _HOST.fullmatch(host) or _UNPRINTABLE.search(url.reveal()):
            raise PolicyRefused("an address that cannot be read safely is not opened")
        if (host, port) != self._trusted and not self._may_allow(host, port):
            # Not even asked for: a stranger's names may take the resolver any time, and tell him who asks.
            raise PolicyRefused(_not_allowed(host, port))
        found = self._resolve(host, port)
        if (host, port) == self._trusted:
            return Target(host, port, tuple(text for text, _ in found))
        allowed = tuple(text for text, address in found if self._allows(host, address, port))
        if not allowed:
            raise PolicyRefused(self._refusal(host, port, found[0][1]))
        return Target(host, port, allowed)

    def _may_allow(self, host: str, port: int) -> bool:
        """Whether the answer depends on the addresses behind `host`: an entry has its name, or is a network."""
        entries = (entry for entry in self._entries if entry.port in (None, port))
        return is_literal(host) or any(entry.network is not None or entry.name == host for entry in entries)

    def _allows(self, host: str, address: Address, port: int) -> bool:
        return any(entry.covers(host, address, port) for entry in self._entries)

    def _resolve(self, host: str, port: int) -> list[tuple[str, Address]]:
        try:
            found = [(text, _address(text)) for text in self._resolver(host, port)]
        except UnicodeError as e:  # the resolver's IDNA step
            raise PolicyRefused("an address that cannot be read safely is not opened") from e
        except OSError as e:
            raise Unreachable(f"the name {host} does not resolve") from e
        if not found:
            raise Unreachable(f"the name {host} has no address")
        return found

    @staticmethod
    def _refusal(host: str, port: int, address: Address) -> str:
        if is_public(address):
            return _not_allowed(host, port)
        shown = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"  # noqa: PLR2004
        where = "" if host == str(address) else f" ({host})"
        return f"{shown}{where} is not a public address; to allow it, add '{shown}' to limits.allow_hosts"
