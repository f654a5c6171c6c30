"""Asking an RTSP server before FFmpeg does: FFmpeg follows a redirect by itself, to any host and port.

We say the same words over a connection to the checked address and refuse what answers with a redirect. What remains: a
server that answers us in one way and FFmpeg, a moment later, in another, or redirects only after a password was given,
still has FFmpeg connect and say OPTIONS and DESCRIBE where it wants. Nothing of the answer comes back to it. Who
must exclude that too keeps RTSP to servers he trusts, or forbids the way in the network.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from itertools import islice

from streamwatch.domain.errors import PolicyRefused, Stalled
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.fallback.fetch import Cancelled, TimedSocket

USER_AGENT = "streamwatch"
_MAX_LINE, _MAX_LINES = 8192, 100


def refuse_redirect(sock: socket.socket, url: SafeUrl, *, stop: threading.Event, total_s: float) -> None:
    """Ask for OPTIONS and DESCRIBE over a fresh connection, at most `total_s` seconds; the caller closes it.

    Anything but a redirect is FFmpeg's to judge.

    Raises:
        PolicyRefused: the server leads elsewhere.
        Stalled: no answer in time.
        Cancelled: `stop` was set.

    """
    deadline = time.monotonic() + total_s

    def left() -> float:
        if stop.is_set():
            raise Cancelled
        if (seconds := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        return seconds

    try:
        location = _ask(sock, TimedSocket(sock, left), _plain(url))
    except TimeoutError as e:
        raise Stalled("the server accepts connections and says nothing") from e
    except OSError:
        return
    if location is not None:
        raise PolicyRefused(f"a redirect to {_shown(location)} is not followed: name that address itself")


def _ask(sock: socket.socket, timed: TimedSocket, address: str) -> str | None:
    """Where the server leads, empty if it does not say; None where it does not."""
    with timed.makefile("rb") as answers:
        for number, words in enumerate((f"OPTIONS {address}", f"DESCRIBE {address}"), start=1):
            accept = "Accept: application/sdp\r\n" if number > 1 else ""
            sock.sendall(f"{words} RTSP/1.0\r\n{accept}CSeq: {number}\r\nUser-Agent: {USER_AGENT}\r\n\r\n".encode())
            lines = [answers.readline(_MAX_LINE)]
            lines += islice(iter(lambda: answers.readline(_MAX_LINE).strip(), b""), _MAX_LINES)
            status = lines[0].split(b" ")
            if len(status) > 1 and status[0].startswith(b"RTSP/") and status[1].startswith(b"3"):
                return next((_value(line) for line in lines if line.lower().startswith(b"location:")), "")
    return None


def _value(line: bytes) -> str:
    return line.partition(b":")[2].strip().decode("utf-8", "replace")


def _plain(url: SafeUrl) -> str:
    """The address without its password, as FFmpeg says it."""
    scheme, _, rest = url.reveal().partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _shown(location: str) -> str:
    with suppress(ValueError):
        if location:
            return str(SafeUrl(location))
    return "an address that it does not say"
