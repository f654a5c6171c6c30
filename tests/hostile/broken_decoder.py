"""The real daemon and the real watcher, with one difference: the decoder of one size of pictures misbehaves for real.

As the daemon: `broken_decoder.py daemon CONFIG HOW FOR_S`. It starts its watchers as `broken_decoder.py watcher …`,
with all that the product gives them. `HOW` is done to pictures of 320 x 180 from the fourth of each watcher on, until
`FOR_S` seconds after the start of the daemon:

`crash` reads address 0; `hang` waits in C without the interpreter's lock, `grip` with it; `spin` counts in C without
the lock; `leak` keeps 200 MB a second.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SIZE = (320, 180)
AFTER = 4
FOREVER = 3600


def crash() -> None:
    ctypes.string_at(0)


def hang() -> None:
    ctypes.CDLL(None).sleep(FOREVER)


def grip() -> None:
    ctypes.PyDLL(None).sleep(FOREVER)


def spin() -> None:
    import zlib  # noqa: PLC0415 - after the sandbox, as everything

    data = bytes(256 << 20)  # zlib lets go of the lock; all of it is one call after the other, in one step
    while True:
        zlib.crc32(data)


def leak() -> None:
    kept = []
    while True:
        block = bytearray(20_000_000)
        block[::4096] = b"x" * len(block[::4096])
        kept.append(block)
        threading.Event().wait(0.1)


HOWS: dict[str, Callable[[], None]] = {"crash": crash, "hang": hang, "grip": grip, "spin": spin, "leak": leak}


def daemon(config: str, how: str, until: float) -> None:
    from streamwatch.app import daemon  # noqa: PLC0415
    from streamwatch.app.start import watcher_command  # noqa: PLC0415
    from streamwatch.fleet.base import Command  # noqa: PLC0415

    def broken(**options: object) -> Command:
        real = watcher_command(**options)  # type: ignore[arg-type]

        def command(fd: int) -> Sequence[str]:
            said = list(real(fd))
            python, arguments = said[0], said[said.index("streamwatch.app.watcher") + 1 :]
            return (python, __file__, "watcher", how, str(until), *arguments)

        return command

    daemon.watcher_command = broken  # type: ignore[assignment]
    daemon.run(Path(config))


def watcher(how: str, until: float) -> None:
    from streamwatch.app import watcher as product  # noqa: PLC0415
    from streamwatch.sandbox import enter as sandbox  # noqa: PLC0415

    def enter(*arguments: object, **options: object) -> object:
        layers = sandbox.enter(*arguments, **options)  # type: ignore[arg-type]
        _break(how, until)
        return layers

    product.enter = enter  # type: ignore[assignment]
    product.main()


def _break(how: str, until: float) -> None:
    """In the watcher, after its sandbox was entered: the product's own decoder, which goes wrong within a step."""
    from streamwatch.sources import decoder  # noqa: PLC0415
    from streamwatch.sources.step import native  # noqa: PLC0415

    whole = decoder.PyavDecoder._picture
    seen = 0

    @functools.wraps(whole)
    def picture(self, frame, pts):  # type: ignore[no-untyped-def]
        nonlocal seen
        if (frame.width, frame.height) == SIZE and time.monotonic() < until:
            seen += 1
            if seen >= AFTER:
                with native:
                    HOWS[how]()
        return whole(self, frame, pts)

    decoder.PyavDecoder._picture = picture  # type: ignore[method-assign]


if __name__ == "__main__":
    role, *rest = sys.argv[1:]
    if role == "daemon":
        daemon(rest[0], rest[1], time.monotonic() + float(rest[2]))
    else:
        sys.argv[1:] = rest[2:]
        watcher(rest[0], float(rest[1]))
