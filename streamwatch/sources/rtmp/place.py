"""What an RTMP address asks a server for: application, stream name, and who asks. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from streamwatch.domain.urls import SafeUrl


class Place(NamedTuple):
    """The parts of an address as they go over the wire. Its text shows none of them."""

    app: str
    name: str
    """With the query: what servers read tokens from."""
    tc_url: str
    user: str
    password: str

    def __repr__(self) -> str:
        return "Place(…)"


def place(url: SafeUrl) -> Place:
    """Split `rtmp[s]://[user:password@]host[:port]/app[/instance]/name[?query]` as players do.

    The application is the first step of the path, and the second too where a third follows; a name with a prefix
    (`mp4:a/b`) is not cut. Nothing is decoded but user and password.
    """
    parts = urlsplit(url.reveal())
    app, _, rest = parts.path.removeprefix("/").partition("/")
    instance, slash, name = rest.partition("/")
    if slash and ":" not in instance:
        app = f"{app}/{instance}"
    else:
        name = rest
    query = f"?{parts.query}" if parts.query else ""
    if not name:  # the query belongs to what is there
        app += query
        query = ""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return Place(
        app=app,
        name=name + query,
        tc_url=f"{url.scheme}://{host}:{url.port}/{app}",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
