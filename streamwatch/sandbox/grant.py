"""What a watcher may still reach once it is locked down, beside the interpreter and its libraries. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """Given with the watcher's start, for its whole life: what was given up cannot be had again.

    A watcher that needs more (another model, another port) is replaced by one that was given more.
    """

    read: tuple[str, ...] = ()
    """Absolute paths of files, or of folders with all below them, that may be read: models, streams in files."""
    ports: tuple[int, ...] | None = ()
    """TCP ports to which it may connect by itself: those of streams that FFmpeg's own network code reads. Empty, as it
    should be: it can neither make a socket nor connect one, and is given connected ones. None: any port of any host."""
    udp: bool = False
    """Whether it may send and receive datagrams: SRT."""
    memory: int = 2**30
    """Bytes of resident memory over which the fleet replaces it; what it may map follows from that."""

    def encode(self) -> str:
        """As one argument of a command line; holds no secret."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Grant:
        """Read it back. Raises ValueError where it is none."""
        try:
            said = json.loads(text)
            read, ports, udp, memory = said["read"], said["ports"], said["udp"], said["memory"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"not a grant: {type(error).__name__}") from error
        if not isinstance(read, list) or not all(isinstance(path, str) and path.startswith("/") for path in read):
            raise ValueError("not a grant: `read` is a list of absolute paths")
        if ports is not None and not (isinstance(ports, list) and all(_is_port(port) for port in ports)):
            raise ValueError("not a grant: `ports` is a list of ports, or null")
        if not isinstance(udp, bool):
            raise ValueError("not a grant: `udp` is true or false")  # noqa: TRY004 - what the caller expects
        if not isinstance(memory, int) or isinstance(memory, bool) or memory <= 0:
            raise ValueError("not a grant: `memory` is a number of bytes")
        return cls(read=tuple(read), ports=None if ports is None else tuple(ports), udp=udp, memory=memory)


NOTHING = Grant()

ANYWHERE = Grant(read=("/",), ports=None, udp=True)
"""Nothing is held back but writing."""


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 16
