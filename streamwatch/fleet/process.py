"""One watcher process: how it is started, heard and ended. It knows nothing of streams."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import structlog

import streamwatch
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import LinkError, OutsideError
from streamwatch.fleet.base import Command
from streamwatch.fleet.output import MAX_LINE, Lines, entry
from streamwatch.link.blackbox import VARIABLE as BLACK_BOX
from streamwatch.link.blackbox import BlackBoxReader
from streamwatch.link.messages import FromWatcher, Stop
from streamwatch.link.transport import Link
from streamwatch.link.words import words

log = structlog.get_logger(__name__)

_PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONHOME",
)
_OUTPUT_PER_SECOND = 1024 * 1024
_LAST_WORDS = 20
_DRAIN_S = 0.5


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a watcher inherits: enough to find Python, us, and certificates. No secret, no proxy, no home folder."""
    env = {name: ours[name] for name in _PASSED_ON if name in ours}
    here = str(Path(streamwatch.__file__).parents[1])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (here, ours.get("PYTHONPATH"))))
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # it could not anyway
    env["ORT_DISABLE_TELEMETRY"] = "1"
    return env


class WatcherProcess:
    """A running watcher and our end of its link. Started by `start`; must be ended by `stop`."""

    def __init__(
        self,
        *,
        name: str,
        link: Link[FromWatcher],
        transport: asyncio.SubprocessTransport,
        ears: _Ears,
        box: BlackBoxReader,
    ) -> None:
        self.link = link
        self.pid = transport.get_pid()
        self._name = name
        self._transport = transport
        self._ears = ears
        self._box: BlackBoxReader | None = box
        self.unfinished: tuple[int, ...] = ()
        """Epochs of the looks that were in progress when it ended; known after `stop`."""
        try:
            self._handle: int | None = os.pidfd_open(self.pid)
        except OSError:
            self._handle = None  # gone already

    @classmethod
    async def start(cls, command: Command, *, name: str, clock: Clock) -> WatcherProcess:
        """Start a watcher in a session of its own, with nothing but its end of the link, stdout and stderr.

        Call it on the main thread's event loop: the watcher asks the kernel to kill it when the thread that started it
        ends. Raises OutsideError where the system cannot start a process.
        """
        starting = asyncio.create_task(cls._start(command, name, clock), name=f"{name}-start")
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            process = await starting  # half a process cannot be ended; a whole one can
            await process.stop(ask_s=0)
            raise

    @classmethod
    async def _start(cls, command: Command, name: str, clock: Clock) -> WatcherProcess:
        ours, theirs = socket.socketpair()
        box = BlackBoxReader()
        with theirs:
            try:
                transport, ears = await asyncio.get_running_loop().subprocess_exec(
                    lambda: _Ears(name, clock),
                    *command(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env={**environment(os.environ), BLACK_BOX: str(box.descriptor)},
                    pass_fds=(theirs.fileno(), box.descriptor),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                box.close()
                raise OutsideError(f"{name} cannot be started: {error}") from error
        return cls(name=name, link=await Link.to_watcher(ours), transport=transport, ears=ears, box=box)

    def rename(self, name: str) -> None:
        """Call it something else in the log: a spare that takes a slot."""
        self._name = self._ears.name = name

    @property
    def last_words(self) -> tuple[str, ...]:
        """The newest lines that it printed."""
        return tuple(self._ears.last_words)

    async def wait(self) -> str:
        """Wait for its end: `exit`, or `signal:NAME`."""
        await self._ears.exited.wait()
        code = self._transport.get_returncode()
        if code is None or code >= 0:
            return "exit"
        try:
            return f"signal:{signal.Signals(-code).name}"
        except ValueError:
            return "signal:other"

    async def stop(self, *, ask_s: float = 2.0, term_s: float = 1.0) -> str:
        """Ask by a message, then SIGTERM, then SIGKILL; returns as `wait`. Pass `ask_s=0` for one beyond asking.

        Limited to the two times plus what the kernel needs. Cancelled, it ends the process all the same, then raises.
        """
        stopping = asyncio.create_task(self._stop(ask_s, term_s), name=f"{self._name}-stop")
        try:
            return await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await stopping
            raise

    async def _stop(self, ask_s: float, term_s: float) -> str:
        try:
            if ask_s > 0 and not self._ears.exited.is_set():
                with suppress(LinkError):
                    self.link.post(Stop())
                if not await self._gone(ask_s):
                    self._signal(signal.SIGTERM)
                    await self._gone(term_s)
            self._signal(signal.SIGKILL)
            reason = await self.wait()
            with suppress(TimeoutError):  # unless something else holds its pipes
                async with asyncio.timeout(_DRAIN_S):
                    await self._ears.drained.wait()
            return reason
        finally:
            self._signal(signal.SIGKILL)
            self.link.abort()
            self._transport.close()
            if self._box is not None:
                self.unfinished = self._box.read()
                self._box.close()
                self._box = None
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    async def _gone(self, within_s: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ears.exited.wait()
        return self._ears.exited.is_set()

    def _signal(self, number: signal.Signals) -> None:
        """To this very process, by handle: its number may belong to another one by now."""
        if self._handle is not None:
            with suppress(OSError):
                signal.pidfd_send_signal(self._handle, number)


class _Ears(asyncio.SubprocessProtocol):
    """Hears its output and its end. Output goes to our log; a flood makes the writer wait, not us."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.exited = asyncio.Event()
        self.drained = asyncio.Event()
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.name = name
        self._clock = clock
        self._lines = {1: Lines(), 2: Lines()}
        self._transport: asyncio.SubprocessTransport | None = None
        self._budget = _OUTPUT_PER_SECOND
        self._budget_from = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.SubprocessTransport):
            self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        now = self._clock.monotonic()
        for line in self._lines[fd].feed(data, now):
            self._say(line)
        if now - self._budget_from >= 1:
            self._budget, self._budget_from = _OUTPUT_PER_SECOND, now
        self._budget -= len(data)
        if self._budget < 0:
            self._rest(fd)

    def _rest(self, fd: int) -> None:
        """Leave the pipe full for a second."""
        pipe = self._transport.get_pipe_transport(fd) if self._transport else None
        if isinstance(pipe, asyncio.ReadTransport):
            pipe.pause_reading()
            asyncio.get_running_loop().call_later(1.0, _resume, pipe)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if fd in self._lines and (line := self._lines[fd].rest()):
            self._say(line)

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.drained.set()

    def _say(self, line: str) -> None:
        self.last_words.append(words(line, MAX_LINE))
        said = entry(line)
        getattr(log, said.level)(said.event, watcher=self.name, **said.fields)


def _resume(pipe: asyncio.ReadTransport) -> None:
    if not pipe.is_closing():
        pipe.resume_reading()
