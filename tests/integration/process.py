"""Programs that are not ours, as children: started, listened to, stopped by their own process id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Self

from tests.integration.journal import Journal, eventually

_LINE = 1 << 20


class Child:
    """One process. Its output is read all the time, line by line, so that it never waits for us."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        feed: bool = False,
        stop_s: float = 12.0,
    ) -> None:
        self.name = name
        self.out: Journal[str] = Journal(f"{name}, standard output")
        self.err: Journal[str] = Journal(f"{name}, standard error")
        self._command = tuple(command)
        self._env = env
        self._cwd = cwd
        self._feed = feed
        self._stop_s = stop_s
        self._process: asyncio.subprocess.Process | None = None
        self._readers: tuple[asyncio.Task[None], ...] = ()

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
        assert self._process is None
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._env,
            cwd=self._cwd,
            stdin=asyncio.subprocess.PIPE if self._feed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE,
            start_new_session=True,  # a group of its own, so that a program's workers can be ended with it
        )
        pairs = ((self._process.stdout, self.on_out), (self._process.stderr, self.on_err))
        self._readers = tuple(
            asyncio.create_task(_listen(pipe, hear), name=f"listen to {self.name}") for pipe, hear in pairs if pipe
        )

    def on_out(self, line: str) -> None:
        self.out.add(line)

    def on_err(self, line: str) -> None:
        self.err.add(line)

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def wait(self, limit: float) -> int:
        """Its exit status; all it said has been read."""
        async with asyncio.timeout(limit):
            status = await self.process.wait()
        await asyncio.wait(self._readers, timeout=2)
        return status

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """End it: ask first, unless `how` is SIGKILL, which takes its workers too. It may be started again."""
        if self._process is None:
            return None
        for number in dict.fromkeys((how, signal.SIGKILL)):
            if self._process.returncode is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                if number is signal.SIGKILL:
                    os.killpg(self.pid, number)
                else:
                    os.kill(self.pid, number)
                    os.kill(self.pid, signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                await self.wait(self._stop_s)
        status = self._process.returncode
        if self._process.stdin is not None:
            self._process.stdin.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._process = None
        return status


async def _listen(pipe: asyncio.StreamReader, hear: Callable[[str], None]) -> None:
    while line := await pipe.readline():
        hear(line.decode(errors="replace").rstrip("\n"))


async def finish(command: Sequence[str], *, feed: bytes = b"", limit: float = 30.0) -> bytes:
    """Run a program to its end and return what it wrote."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(limit):
        out, err = await process.communicate(feed)
    assert process.returncode == 0, f"{command[0]}: {err.decode(errors='replace')}"
    return out


def children_of(pid: int) -> tuple[int, ...]:
    """Process ids of the children, now."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found.extend(int(child) for child in (thread / "children").read_text().split())
    return tuple(found)


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def listening(port: int, child: Child, *, limit: float = 10.0) -> None:
    """Return once somebody accepts on the port."""

    def accepts() -> bool:
        assert child.running, f"{child.name} ended: " + "\n".join(child.err.all(lambda _: True)[-10:])
        with contextlib.closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await eventually(accepts, limit=limit, what=f"{child.name} listens", every=0.02)


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """A port that accepts and says nothing."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                pass
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
