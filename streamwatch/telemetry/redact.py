"""The choke point of logs: whatever is said by whom leaves here without credentials, keys, queries or control codes.

What the code of this house logs is safe already (`SafeUrl`). This is for everything else that ends up in a line: words
of libraries, tracebacks, what a watcher printed, what somebody forgot.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from streamwatch.domain.urls import SafeUrl, printable

VALUE_LIMIT = 500
TRACEBACK_LIMIT = 20_000
_READ = 4 * VALUE_LIMIT
"""Characters of a value that are looked at: an address must be recognised before it is cut."""
_LINES = 200
_DEPTH, _ITEMS = 4, 50

HIDDEN = "[hidden]"
_SHORTEST = 6
"""A secret of fewer letters is a word like others: hiding it would spoil what is said."""
_MOST = 20_000

_WORD = re.compile(r"\S+")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]{0,20}://[^\s\"<>]*", re.IGNORECASE)
_ENCODED = re.compile(r"[a-z][a-z0-9+.\-]{0,20}%3a(?:%2f|/){2}\S*", re.IGNORECASE)
_QUERY = re.compile(r"\?[\w%.~\-\[\]]{1,100}=\S*")
_CLOSING = "'`),;]}.>"


class _Known:
    """Secrets of this process's own configuration, hidden wherever they turn up. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: OrderedDict[str, None] = OrderedDict()

    def add(self, *secrets: str) -> None:
        with self._lock:
            for secret in secrets:
                if len(secret) >= _SHORTEST:
                    for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
                        self._secrets[form] = None
                        self._secrets.move_to_end(form)
            while len(self._secrets) > _MOST:
                self._secrets.popitem(last=False)

    def hide(self, text: str) -> str:
        with self._lock:
            for secret in [one for one in self._secrets if one in text]:
                text = text.replace(secret, HIDDEN)
        return text


_known = _Known()


def learn(*secrets: str) -> None:
    """Hide these words from now on, as they are and percent-encoded; those under six letters are not taken."""
    _known.add(*secrets)


def learn_address(url: SafeUrl, *names: str) -> None:
    """Hide the password, the query's values and the RTMP key of this address; not what is one of `names`.

    A stream is often named like its key: who it is must be said, and then the key is no secret.
    """
    try:
        parts = urlsplit(url.reveal())
        password = parts.password or ""
    except ValueError:
        return
    found = [password, unquote(password), *(value for _, value in parse_qsl(parts.query, max_num_fields=100))]
    if parts.scheme in ("rtmp", "rtmps"):
        found.append(parts.path.strip("/").partition("/")[2])
    learn(*(secret for secret in found if not any(secret in name for name in names)))


def redacted(text: str, limit: int = VALUE_LIMIT) -> str:
    """One line of text, printable, without anything that opens a door."""
    text = text[: max(_READ, limit)]
    return printable(_WORD.sub(_word, _known.hide(text)), limit)


def traceback(text: str) -> str:
    """Lines of a traceback, each as `redacted`; the first are left out where there are too many."""
    lines = text[-10 * TRACEBACK_LIMIT :].splitlines()[-_LINES:]
    return "\n".join(redacted(line) for line in lines)[-TRACEBACK_LIMIT:]


def value(of: object, depth: int = 0) -> object:  # noqa: PLR0911 - one return a kind
    """What somebody logs, fit for a line: text redacted, bytes counted, anything unknown in its own words redacted."""
    match of:
        case None | bool() | int() | float():
            return of
        case str():
            return redacted(of)
        case SafeUrl():
            return redacted(str(of))
        case bytes() | bytearray() | memoryview():
            return f"<{len(of)} bytes>"
        case Mapping() if depth < _DEPTH:
            return {redacted(str(key), 100): value(item, depth + 1) for key, item in list(of.items())[:_ITEMS]}
        case list() | tuple() | set() | frozenset() if depth < _DEPTH:
            return [value(item, depth + 1) for item in list(of)[:_ITEMS]]
        case _:
            try:
                return redacted(str(of))
            except Exception as error:  # noqa: BLE001 - not even its own words: a log line must not cost more than itself
                return f"<{type(of).__name__}: {type(error).__name__}>"


def _word(found: re.Match[str]) -> str:
    word = found[0]
    if "://" in word:
        word = _ADDRESS.sub(_address, word)
    if "%" in word:
        word = _ENCODED.sub("[address]", word)
    if "?" in word:
        word = _QUERY.sub("?…", word)
    before, at, host = word.rpartition("@")
    if at and ":" in before and not before.endswith("…"):
        return f"…@{host}"
    return word


def _address(found: re.Match[str]) -> str:
    address = found[0].rstrip(_CLOSING)
    return str(SafeUrl(address)) + found[0][len(address) :]
