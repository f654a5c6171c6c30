"""Ending a connection that FFmpeg holds: its read time-out is for one read, and a server that drips resets it for ever.

FFmpeg tells nobody which descriptor is its own, so its socket is marked where FFmpeg lets us: each connection is opened
with a size of its send buffer that no other one has (a player sends next to nothing). A socket is only touched when its
mark and its peer both fit. RTMP and RTMPS pass the option on; RTSP and SRT do not.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

from streamwatch.sources.address import Target

_FIRST, _MARKS = 32_768, 65_536
"""Bytes. All below what Linux allows at least, far above what a player sends at once."""
_numbers = itertools.count()
_OURS = "/proc/self/fd"
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def new_mark() -> int:
    """A size of a send buffer for FFmpeg's option `send_buffer_size`; the same one comes again after 65,536 others."""
    return _FIRST + next(_numbers) % _MARKS


def shut(mark: int, target: Target) -> bool:
    """Shut down the connection with this mark to this target: whoever reads from it gets an end at once.

    Any thread. False where there is none (yet), or where the system does not show descriptors.
    """
    found = False
    for copy in _connections():
        with suppress(OSError):  # closed in the meantime, or not connected
            found = _shut(copy, mark, target) or found
    return found


def _connections() -> Iterator[socket.socket]:
    """A copy of each socket of this process in turn, closed before the next.

    A copy, because a number may by now stand for something else than when it was judged; the copy may not.
    """
    try:
        names = os.listdir(_OURS)  # noqa: PTH208 - one call, no objects: there may be thousands
    except OSError:
        return
    for name in names:
        try:
            if not os.readlink(f"{_OURS}/{name}").startswith("socket:"):  # noqa: PTH115 - the same
                continue
            number = os.dup(int(name))
        except OSError:  # closed in the meantime
            continue
        try:
            copy = socket.socket(fileno=number)
        except OSError:  # no socket any more
            os.close(number)
            continue
        with copy:
            yield copy


def _shut(copy: socket.socket, mark: int, target: Target) -> bool:
    if copy.family not in _FAMILIES or copy.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) != 2 * mark:
        return False  # Linux reports twice what was asked for
    host, port = copy.getpeername()[:2]
    if port != target.port or host not in target.addresses:
        return False
    copy.shutdown(socket.SHUT_RDWR)
    return True
