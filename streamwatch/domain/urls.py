"""A URL that cannot leak: the one place where addresses are made safe to show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

_UNSHOWABLE = re.compile(r"[^\x21-\x7e]")
_SHOWN_LENGTH = 200
_BARE = frozenset({"mqtt", "mqtts", "ws", "wss"})


class _Showing:
    """What of addresses this process shows: one switch, since addresses are shown in a hundred places."""

    paths = True


def show_paths(*, shown: bool) -> None:
    """Whether this process shows paths of streams' addresses, which may hold names (`privacy.names: hidden`)."""
    _Showing.paths = shown


DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443, "http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "srt": 9000,
                 "mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}  # fmt: skip


def paths_shown() -> bool:
    """Whether this process shows paths of streams' addresses."""
    return _Showing.paths


def _shown_path(parts: SplitResult) -> str:
    """As much of the path as can hold no key: RTMP's application, HLS's last part.

    The name after an RTMP application is what its publisher must know, and web servers take tokens in folders.
    """
    if not _Showing.paths and parts.scheme not in _BARE:
        return "/…"
    path = _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", parts.path)
    folder, _, last = path.rpartition("/")
    if parts.scheme in _BARE or not folder:
        return path
    if parts.scheme in ("http", "https"):
        return f"/…/{last}"
    return f"/{folder.strip('/').partition('/')[0]}/…"


MAX_RUN = 128
"""Longest run of letters and digits that is repeated: no word is as long, and no picture as short."""
_BLOB = re.compile(rf"[A-Za-z0-9+/=_-]{{{MAX_RUN + 1},}}")


def printable(text: str, limit: int = _SHOWN_LENGTH) -> str:
    """Text from outside, safe for a log line or a terminal: no controls, no bidi marks, bounded length.

    Nor can it carry a picture: what could be base64 is cut at `MAX_RUN` characters.
    """
    clean = "".join(c if c.isprintable() and not is_bidi(c) else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    clean = _BLOB.sub(lambda run: run[0][: MAX_RUN - 1] + "…", clean)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


_ADDRESS = re.compile(
    r"\S*://\S*"  # with a scheme, credentials and all
    r"|\S*@\S+"  # mail, credentials, a handle
    r"|\b(?:\d{1,3}\.){3}\d{1,3}(?![.\d])[:/]?\S*"
    r"|\[?[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,}[\].:/0-9a-f]*"
    r"|\b(?:[\w-]+\.)+[^\W\d_]{2,}(?![\w-])[:/?]?\S*",
    re.IGNORECASE,
)
ADDRESS_LEFT_OUT = "[address]"


def without_addresses(text: str, limit: int = _SHOWN_LENGTH) -> str:
    """Words of another system, safe to repeat: printable, and without anything that reads like an address.

    Whoever is named by a link, a mail address, a handle or an IP address is not named by us. It errs on the side of
    leaving out: "done.Next" goes as well.
    """
    return printable(_ADDRESS.sub(ADDRESS_LEFT_OUT, printable(text, limit)), limit)


def is_bidi(char: str) -> bool:
    """Whether a character changes the direction of the text around it, so that it reads as another one."""
    return "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069" or char in "\u200e\u200f\u061c"


@dataclass(frozen=True, slots=True, repr=False)
class SafeUrl:
    """An address whose `str` and `repr` never show credentials, query or fragment; `reveal()` is for connecting."""

    raw: str

    def __str__(self) -> str:
        parts = self._parts()
        if parts is None:
            return "<unreadable address>"
        if not parts.scheme or parts.scheme == "file":
            return printable(self.raw) if _Showing.paths else "file:…"
        user = "…@" if "@" in parts.netloc else ""
        host = parts.netloc.rpartition("@")[2]
        query = "?…" if parts.query else ""
        return printable(f"{parts.scheme}://{user}{host}{_shown_path(parts)}{query}")

    def __repr__(self) -> str:
        return f"SafeUrl({str(self)!r})"

    def reveal(self) -> str:
        """The address as written, for the one call that connects."""
        return self.raw

    def _parts(self) -> SplitResult | None:
        try:
            parts = urlsplit(self.raw)
            _ = parts.port  # a bad port number only shows when it is read
        except ValueError:
            return None
        return parts

    @property
    def scheme(self) -> str:
        """Lower-case scheme; `file` for a plain path."""
        parts = self._parts()
        return (parts.scheme if parts else "") or "file"

    @property
    def host(self) -> str:
        """Host without brackets, lower case; empty for files."""
        parts = self._parts()
        return (parts.hostname or "") if parts else ""

    @property
    def port(self) -> int:
        """The port that will be connected to, the scheme's default where none is written; 0 for files."""
        parts = self._parts()
        return ((parts.port or DEFAULT_PORTS.get(parts.scheme, 0)) if parts else 0) or 0

    @property
    def path(self) -> str:
        """For files the path on disk, else the path part."""
        parts = self._parts()
        if parts is None:
            return ""
        return parts.path if parts.scheme else self.raw
