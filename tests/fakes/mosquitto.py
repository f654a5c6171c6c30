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

RECIPE = Path(__file__).parents[2] / "config" / "mosquitto"

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
        path = self.folder / "mosquitto.conf"
        path.write_text(f"user {getpass.getuser()}\n" + self._written())  # else root's broker becomes somebody else
        self._spawn(path)
        await self.listening(self.port)

    def _written(self) -> str:
        """The configuration, but for who runs it."""
        lines = [
            f"persistence true\npersistence_location {self.folder}/",
            "log_dest stderr\nlog_type warning",
            f"listener {self.port} 127.0.0.1",
            *(self._config or ("allow_anonymous true",)),
        ]
        return "\n".join(lines) + "\n"

    def _spawn(self, path: Path) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", str(path)], stdout=log, stderr=log)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            await asyncio.to_thread(self._process.wait, 10)
            self._process = None

    async def listening(self, port: int) -> None:
        """Wait until somebody answers there."""
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert self._process is not None
                    assert self._process.poll() is None, (self.folder / "log").read_text()
                    await asyncio.sleep(0.02)  # a process outside offers nothing to wait for
                else:
                    writer.close()
                    await writer.wait_closed()
                    return


class RecipeMosquitto(Mosquitto):
    """A broker by our own recipe, `config/mosquitto/`, with the test's port, paths and accounts filled in."""

    def __init__(self, folder: Path, *accounts: str, more_rules: str = "", without: str = "") -> None:
        """`more_rules` are added to the access rules, and the line `without` is taken from them, at each start."""
        super().__init__(folder)
        self.word = "secret"
        self.without = without
        self._accounts = accounts
        self._more_rules = more_rules
        self.ca = folder / "certs" / "ca.pem"

    @property
    def url(self) -> str:
        return f"mqtts://127.0.0.1:{self.port}"

    def _written(self) -> str:
        if not self.ca.exists():
            make_certificates(self.folder / "certs")
        (self.folder / "store").mkdir(exist_ok=True)
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{account}:{self.word}\n" for account in self._accounts))
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
        rules = (RECIPE / "acl").read_text()
        if self.without:
            assert f"\n{self.without}\n" in rules
            rules = rules.replace(f"\n{self.without}\n", "\n")
        (self.folder / "acl").write_text(rules + self._more_rules)
        text = (RECIPE / "mosquitto.conf").read_text()
        for there, here in (
            ("\nlistener 8883\n", f"\nlistener {self.port} 127.0.0.1\n"),
            (" /etc/mosquitto/", f" {self.folder}/"),
            (" /var/lib/mosquitto/", f" {self.folder}/store/"),
            ("\nlog_dest syslog\n", "\nlog_dest stderr\n"),
        ):
            assert there in text, there
            text = text.replace(there, here)
        return text


def make_certificates(folder: Path, *, name: str = "IP:127.0.0.1", days: int = 2) -> tuple[Path, Path, Path]:
    """A certificate authority, and a certificate with its key for a name; `days` below 0: it has expired."""
    folder.mkdir(exist_ok=True)
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    cert, key, request = folder / "cert.pem", folder / "key.pem", folder / "request.pem"
    extra = folder / "extra"
    extra.write_text(f"subjectAltName={name}\n")
    new_key = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for command in (
        [*new_key, "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca],
        [*new_key, "-subj", "/CN=edge-1", "-keyout", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
         "-days", days, "-extfile", extra, "-out", cert],
    ):  # fmt: skip
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return ca, cert, key
