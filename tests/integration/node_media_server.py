"""node-media-server: an RTMP server that is not ours and not nginx. Installed once, outside what is tracked."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from tests.integration.process import Child, listening
from tests.ports import free_port

WORD = "a shared word"
"""Signs the addresses of its second instance's players."""
_LOCK = Path(__file__).parent / "node"
_CACHE = Path(__file__).parents[2] / ".cache"
_RUN = "const Server = require('node-media-server'); new Server(JSON.parse(process.argv[1])).run();"
_INSTALL_S = 120


@functools.cache
def installed() -> Path | str:
    """The folder that holds the server as the lock names it, or why there is none. Test processes install in turn."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    lock = (_LOCK / "package-lock.json").read_bytes()
    folder = _CACHE / f"node-media-server-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a second npm would take away what a first test already runs
        return _installed_in(folder)


def _installed_in(folder: Path) -> Path | str:
    if (folder / "complete").exists():
        return folder
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_LOCK / name, folder / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_INSTALL_S)
    except (subprocess.SubprocessError, OSError) as e:
        return f"npm could not install node-media-server ({type(e).__name__})"
    (folder / "complete").touch()
    return folder


class NodeMediaServer(Child):
    """Caches a group of pictures, keeps players of streams that are gone, and says no by hanging up."""

    def __init__(self, modules: Path, folder: Path, *, signed: bool = False) -> None:
        folder.mkdir()
        self.port = free_port()
        settings = {
            "bind": "127.0.0.1",
            "rtmp": {"port": self.port},
            "auth": {"play": signed, "secret": WORD},
            "store": {"path": str(folder / "data")},
        }
        super().__init__("node-media-server", ["node", "-e", _RUN, json.dumps(settings)], cwd=modules, stop_s=3.0)

    async def start(self) -> None:
        await super().start()
        await listening(self.port, self)

    def url(self, app: str, name: str) -> str:
        return f"rtmp://127.0.0.1:{self.port}/{app}/{name}"
