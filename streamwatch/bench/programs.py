"""Programs around us: found or named by their package, started on chosen cores, stopped by their own process id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from streamwatch.domain.errors import OutsideError

PACKAGES: Final = {
    "ffmpeg": "ffmpeg",
    "nginx": "nginx-light",
    "mosquitto": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
}
"""Debian's package of each program."""
RTMP_MODULE: Final = "ngx_rtmp_module.so"
_MODULE_FOLDERS: Final = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/nginx/modules")
_EXTRA: Final = ("onnx",)
_STOP_S: Final = 5.0
_LISTEN_S: Final = 10.0
_LINE: Final = 1 << 20
_LAST_WORDS: Final = 12


def rtmp_module() -> Path | None:
    """Where nginx's RTMP module lies."""
    return next((path for folder in _MODULE_FOLDERS if (path := Path(folder) / RTMP_MODULE).is_file()), None)


def require(programs: Sequence[str], *, extra: Sequence[str] = _EXTRA) -> None:
    """Raise OutsideError naming every package that is missing."""
    debian = [PACKAGES[name] for name in programs if shutil.which(name) is None]
    if "nginx" in programs and rtmp_module() is None:
        debian.append("libnginx-mod-rtmp")
    wanted = []
    if debian:
        wanted.append(f"apt install {' '.join(dict.fromkeys(debian))}")
    if any(find_spec(module) is None for module in extra):
        wanted.append("pip install 'streamwatch[bench]'")
    if wanted:
        raise OutsideError(f"the benchmark needs what is not installed: {'; '.join(wanted)}")


def free_port() -> int:
    """A loopback port that nobody has now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """What is started inside runs on these cores, and so does all that it starts."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


def python(module: str, *arguments: str) -> list[str]:
    """The command line of one of our modules."""
    return [sys.executable, "-m", module, *arguments]


def environment(**more: str) -> dict[str, str]:
    """Of the Python processes we start: this very package, and an engine that writes and reports nothing."""
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "ORT_DISABLE_TELEMETRY": "1", **more}


class Child:
    """One process. All it says is read as it comes; lines of standard output go to `on_line`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        cores: frozenset[int],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        on_error_line: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        """The newest lines of its standard error."""
        self._command = tuple(command)
        self._cores = cores
        self._env = env
        self._cwd = cwd
        self._on_line = on_line or (lambda _: None)
        self._on_error_line = on_error_line or (lambda _: None)
        self._process: asyncio.subprocess.Process | None = None
        self._ears: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # it may run already and only not answer as expected
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it. Raises OutsideError."""
        try:
            with pinned(self._cores):
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    env=dict(self._env) if self._env is not None else None,
                    cwd=self._cwd,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    limit=_LINE,
                    start_new_session=True,  # a group of its own: Ctrl-C is for us, who stop it in good order
                )
        except OSError as error:
            raise OutsideError(f"{self.name} cannot be started: {error.strerror}") from error
        pipes = ((self._process.stdout, self._on_line), (self._process.stderr, self._heard))
        self._ears = tuple(
            asyncio.create_task(_listen(pipe, hear), name=f"listen to {self.name}") for pipe, hear in pipes if pipe
        )

    @property
    def pid(self) -> int:
        """Its process id. Only while it was started."""
        assert self._process is not None  # noqa: S101 - a mistake of ours, not of the world
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.returncode is None

    async def wait(self, limit_s: float) -> int:
        """Its exit status, with all that it said read. Raises TimeoutError."""
        assert self._process is not None  # noqa: S101 - a mistake of ours, not of the world
        async with asyncio.timeout(limit_s):
            status = await self._process.wait()
            await asyncio.wait(self._ears)
        return status

    async def stop(self) -> None:
        """Ask it to end, then end it with all its group. Cancelled, it does the same and then raises."""
        if self._process is None:
            return
        stopping = asyncio.create_task(self._stop(self._process), name=f"stop {self.name}")
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await stopping
            raise

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # its own group, of which it may have left workers behind
        await process.wait()
        for ear in self._ears:
            ear.cancel()
        await asyncio.gather(*self._ears, return_exceptions=True)
        self._process = None

    async def listening(self, port: int) -> None:
        """Return once somebody accepts on the port. Raises OutsideError."""
        try:
            async with asyncio.timeout(_LISTEN_S):
                while True:
                    if not self.running:
                        await asyncio.wait(self._ears)  # its last words may still be in the pipe
                        raise OutsideError(f"{self.name} ended at its start: {' / '.join(self.last_words)}")
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                    except OSError:
                        await asyncio.sleep(0.02)  # a process outside offers nothing to wait for
                    else:
                        writer.close()
                        return
        except TimeoutError as error:
            raise OutsideError(f"{self.name} does not listen after {_LISTEN_S:g} s") from error

    def _heard(self, line: str) -> None:
        self.last_words.append(line[:300])
        self._on_error_line(line)


async def _listen(pipe: asyncio.StreamReader, hear: Callable[[str], None]) -> None:
    while True:
        try:
            line = await pipe.readline()
        except ValueError:
            continue  # longer than any line we wait for
        if not line:
            return
        hear(line.decode(errors="replace").rstrip("\n"))


async def finish(child: Child, *, limit_s: float) -> None:
    """Run a program to its end. Raises OutsideError where it fails or takes longer than `limit_s`."""
    async with child:
        try:
            status = await child.wait(limit_s)
        except TimeoutError as error:
            raise OutsideError(f"{child.name} is not done after {limit_s:g} s") from error
        if status:
            raise OutsideError(f"{child.name} failed with status {status}: {' / '.join(child.last_words)}")
