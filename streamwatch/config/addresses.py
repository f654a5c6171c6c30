"""Types of addresses: of streams, ingest servers, the broker, and where to listen. See `fields` for how they answer."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from streamwatch.config.fields import CONTROL, FINDING, MAX_LINE, TEXT_SCHEMA, Hidden, explained, line, no, one_value
from streamwatch.domain.urls import SafeUrl

STREAM_SCHEMES = ("rtmp", "rtmps", "http", "https", "rtsp", "srt")
MQTT_SCHEMES = ("mqtt", "mqtts", "ws", "wss")
PLAIN_SCHEMES = frozenset({"mqtt", "ws"})
"""What reaches the broker unencrypted."""
WEB_SCHEMES = ("http", "https")

_SPACE = re.compile(r"\s")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_BRACKETED = re.compile(r"\[([^\]]+)\](?::([0-9]{1,5}))?")
_PLACEHOLDER = re.compile(r"\{(app|name)\}")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port to listen on."""

    host: str
    port: int
    """0 lets the system choose a free one."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def split_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """Take an address apart; raises our finding where scheme, host or port cannot be used."""
    form = f"{schemes[0]}://host:port/…" if len(schemes) == 1 else f"one of {', '.join(f'{s}://' for s in schemes)}"
    scheme, found, _ = text.partition("://")
    if not found:
        no("has no scheme", form)
    if scheme.lower() not in schemes:
        no("has a scheme that is not supported here", form)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise PydanticCustomError(
            FINDING, "{wrong}", {"wrong": "has an unusable host or port", "right": f"a port from 1 to {_MAX_PORT}"}
        ) from error
    if not host:
        no("names no host", f"{scheme.lower()}://host/…")
    if port == 0 or not _is_host(host):
        no("has an unusable host or port", f"a name or address, and a port from 1 to {_MAX_PORT}")
    return parts


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host) is not None


def _url_text(value: object) -> str:
    text = value.reveal() if isinstance(value, SafeUrl) else one_value(value)
    if not text:
        no("is empty", "an address")
    if len(text) > MAX_LINE:
        no("is too long", f"at most {MAX_LINE} characters")
    if CONTROL.search(text):
        no("has control characters or line breaks in it", "one line of printable text")
    return text


def _no_space(text: str) -> None:
    if _SPACE.search(text):
        no("has spaces in it", "%20 for a space in an address")


def is_loopback(host: str) -> bool:
    """Whether a host in an address is certainly this machine, without asking a resolver."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_file(text: str) -> bool:
    """Whether a stream's address is a path: told by its beginning, so that a forgotten scheme is not taken for one."""
    return text.startswith(("/", "./", "../", "file:///"))


def _stream_url(value: object) -> SafeUrl:
    text = _url_text(value)
    if is_file(text):
        return SafeUrl(text)
    _no_space(text)
    if "://" not in text:
        no("has no scheme", "such as rtmp:// or https://; a file is written /path, ./path or file:///path")
    parts = split_url(text, STREAM_SCHEMES)
    if parts.scheme in {"rtmp", "rtmps"} and not parts.path.strip("/"):
        no("names no application and stream", "rtmp://host/app/name")
    return SafeUrl(text)


def _template(value: object) -> str:
    text = _url_text(value)
    _no_space(text)
    filled = _PLACEHOLDER.sub("x", text)
    if "{" in filled or "}" in filled:
        no("has other braces than {app} and {name}", "only {app} and {name} are filled in")
    if "{name}" not in text:
        no("does not contain {name}", "every stream would get the same address")
    return text


def _read_template(value: object) -> SafeUrl:
    text = _template(value)
    split_url(_PLACEHOLDER.sub("x", text), STREAM_SCHEMES)
    return SafeUrl(text)


def _watch_template(value: object) -> str:
    text = _template(value)
    _web_address(_PLACEHOLDER.sub("x", text))
    return text


def _api_url(value: object) -> SafeUrl:
    text = _url_text(value)
    _no_space(text)
    split_url(text, WEB_SCHEMES)
    return SafeUrl(text)


SID = "{sid}"
"""In a stream's `watch_url`: its id as topics show it. Under hidden names no other link is published: it would tell."""


def _web_address(value: object) -> str:
    text = _url_text(value)
    _no_space(text)
    if "@" in split_url(text, WEB_SCHEMES).netloc:
        no("holds a user name or password", "an address without them: it is published in every alert")
    return text


def _mqtt_url(value: object) -> SafeUrl:
    text = _url_text(value)
    _no_space(text)
    parts = split_url(text, MQTT_SCHEMES)
    if "@" in parts.netloc:
        no("holds a user name or password", "mqtt.username and mqtt.password")
    if parts.query or parts.fragment or (parts.path.strip("/") and parts.scheme in {"mqtt", "mqtts"}):
        no("has more than host and port", f"{parts.scheme}://host:port")
    return SafeUrl(text)


def _prefix(value: object) -> str:
    text = line(200)(value)
    if any(char in text for char in "+#"):
        no("contains an MQTT wildcard", "levels without + and #")
    if text.startswith("$") or not all(text.split("/")):
        no("is not a topic prefix", "levels parted by single `/`, none at either end, no leading $")
    return text


def _listen(value: object) -> Address:
    if isinstance(value, Address):
        return value
    text = one_value(value)
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    form = "HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464"
    if not colon or not bare or (":" in bare) != bracketed or not _is_host(bare):
        no("is not an address to listen on", form)
    if not _is_port(port, least=0):
        no("has no usable port", form)
    return Address(bare, int(port))


def _allowed(value: object) -> str:
    text = one_value(value).strip()
    form = "HOST, HOST:PORT, an address, or a network such as 10.0.0.0/8 or 10.0.0.0/8:8080"
    body, port = text, "1"
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        body, port = bracketed[1], bracketed[2] or "1"
    elif text.count(":") == 1:
        body, _, port = text.partition(":")
    if not _is_port(port):
        no("has no usable port", form)
    try:
        ipaddress.ip_network(body, strict=False)
    except ValueError as error:
        if ":" in body or _HOST.fullmatch(body) is None:
            raise explained(ValueError("is neither a host nor a network"), form) from error
    return text


def _is_port(text: str, *, least: int = 1) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) is not None and least <= int(text) <= _MAX_PORT


_REDACTED = PlainSerializer(str, return_type=str)
"""Dumped as it may be shown: no dump of a configuration holds what an address hides."""

StreamUrl = Annotated[SafeUrl, Hidden(), PlainValidator(_stream_url), _REDACTED, WithJsonSchema(TEXT_SCHEMA)]
ReadTemplate = Annotated[SafeUrl, Hidden(), PlainValidator(_read_template), _REDACTED, WithJsonSchema(TEXT_SCHEMA)]
ApiUrl = Annotated[SafeUrl, Hidden(), PlainValidator(_api_url), _REDACTED, WithJsonSchema(TEXT_SCHEMA)]
MqttUrl = Annotated[
    SafeUrl,
    Hidden(),
    PlainValidator(_mqtt_url),
    _REDACTED,
    WithJsonSchema({"type": "string", "pattern": "^(mqtts?|wss?)://"}),
]
WatchUrl = Annotated[str, Hidden(), BeforeValidator(_web_address), WithJsonSchema(TEXT_SCHEMA)]
WatchTemplate = Annotated[str, Hidden(), BeforeValidator(_watch_template), WithJsonSchema(TEXT_SCHEMA)]
Prefix = Annotated[str, BeforeValidator(_prefix), WithJsonSchema(TEXT_SCHEMA)]
Listen = Annotated[Address, PlainValidator(_listen), _REDACTED, WithJsonSchema(TEXT_SCHEMA)]
AllowedHost = Annotated[str, BeforeValidator(_allowed), WithJsonSchema(TEXT_SCHEMA)]
