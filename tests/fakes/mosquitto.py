"""Real brokers for tests: mosquitto with a configuration of its own, started and stopped by process id."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.ports import free_port

needs_mosquitto = pytest.mark.skipif(shutil.which("mosquitto") is None, reason="mosquitto is not installed")


class Mosquitto:
    """A broker in a folder; `config` lines are added to its listener."""

    def __init__(self, folder: Path, *config: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        lines = [
            f"user {getpass.getuser()}",  # else root's broker becomes somebody who may not read the test's folder
            f"persistence true\npersistence_location {self.folder}/",
            "log_dest stderr\nlog_type warning",
            f"listener {self.port} 127.0.0.1",
            *(self._config or ("allow_anonymous true",)),
        ]
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        self._spawn(path)
        await self._listening()

    def _spawn(self, path: Path) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", str(path)], stdout=log, stderr=log)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            await asyncio.to_thread(self._process.wait, 10)
            self._process = None

    async def _listening(self) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    assert self._process is not None
                    assert self._process.poll() is None, (self.folder / "log").read_text()
                    await asyncio.sleep(0.02)  # a process outside offers nothing to wait for
                else:
                    writer.close()
                    await writer.wait_closed()
                    return


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate authority, and a certificate with its key for 127.0.0.1."""
    folder.mkdir(exist_ok=True)
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    cert, key, request = folder / "cert.pem", folder / "key.pem", folder / "request.pem"
    extra = folder / "extra"
    extra.write_text("subjectAltName=IP:127.0.0.1\n")
    new_key = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
        [*new_key, "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca],
        [*new_key, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
         "-days", "2", "-extfile", extra, "-out", cert],
    ):  # fmt: skip
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return ca, cert, key
