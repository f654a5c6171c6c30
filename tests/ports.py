"""Ports for servers that tests start: free ones, and different ones for tests that run at the same time."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket

_FIRST, _LAST = 10_000, 32_000
"""Below those from which the system takes the near ends of connections: a port that is free now stays so until a server
that is being started has it."""
_RANGES = 8


def _own_range() -> range:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    width = (_LAST - _FIRST) // _RANGES
    first = _FIRST + int(worker) % _RANGES * width
    return range(first, first + width)


_RANGE = _own_range()
_ports = itertools.cycle(_RANGE)
for _ in range(random.SystemRandom().randrange(len(_RANGE))):  # another run of the tests may be going on
    next(_ports)


def free_port() -> int:
    """A port of loopback on which nobody listens, and which no other test is given for a long while."""
    for port in itertools.islice(_ports, len(_RANGE)):
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")
