"""How to reach a broker, in plain values; and what the bus says of us there."""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from streamwatch.bus.base import Outgoing
from streamwatch.domain.errors import OutsideError
from streamwatch.domain.urls import SafeUrl

Protocols = Literal["auto", "5", "3.1.1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """One broker, as the configuration names it."""

    url: SafeUrl
    """`mqtt`, `mqtts`, `ws` or `wss`; a path matters for web sockets only."""
    node: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    """Certificates to trust instead of the system's."""
    cert: Path | None = None
    key: Path | None = None
    protocol: Protocols = "auto"
    beside: str = ""
    """What tells a second connection of ours from the first, at the end of its client identifier."""

    @property
    def client_id(self) -> str:
        """Stable for a node on a machine: a restarted daemon takes over its own connection, not another's."""
        seed = f"{self.node}\0{socket.gethostname()}\0{self.username or ''}"
        return f"streamwatch-{self.node[:40]}-{hashlib.sha256(seed.encode()).hexdigest()[:8]}{self.beside}"

    @property
    def websocket_path(self) -> str | None:
        """The path of a web socket, None for plain TCP."""
        return (self.url.path or "/mqtt") if self.url.scheme in ("ws", "wss") else None

    def tls(self) -> ssl.SSLContext | None:
        """The TLS settings, None where the scheme has none.

        Raises OutsideError where a certificate file cannot be read or used.
        """
        if self.url.scheme not in ("mqtts", "wss"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            context.sslsocket_class = _TidySocket
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            raise OutsideError(f"TLS files of the broker cannot be used: {error}") from error
        return context


class _TidySocket(ssl.SSLSocket):
    """Closes itself when its handshake fails: paho leaves it to the garbage collector, once for every attempt."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of the base class
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class Herald(Protocol):
    """What is announced about us on every connection."""

    def birth(self) -> Outgoing:
        """Published when connected."""
        ...

    def testament(self) -> Outgoing:
        """The Last Will, and the last word of an orderly exit. Asked for at each connection."""
        ...
