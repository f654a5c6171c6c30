"""How a watcher is started: not from where its daemon happens to stand."""

from __future__ import annotations

import subprocess
from pathlib import Path

from streamwatch.app.start import watcher_command
from streamwatch.sandbox.grant import Grant
from tests.sandbox.children import REPOSITORY

PEEK = """
from streamwatch.sandbox.enter import enter
from streamwatch.sandbox.grant import Grant

enter("preferred", keep_fds=(), grant=Grant())
try:
    print(open("secret").read())
except OSError as error:
    print(error.strerror)
"""


def test_the_folder_in_which_the_daemon_was_started_cannot_be_read(tmp_path: Path):
    modules, here = tmp_path / "modules", tmp_path / "here"
    modules.mkdir()
    here.mkdir()
    (modules / "peek.py").write_text(PEEK)
    (here / "secret").write_text("key")
    python, *options = watcher_command(sandbox="required", grant=Grant())(3)
    ours = options[: options.index("-m")]

    def said(*chosen: str) -> str:
        return subprocess.run(
            [python, *chosen, "-m", "peek"],
            cwd=here,
            env={"PYTHONPATH": f"{REPOSITORY}:{modules}"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    assert said() == "key", "without our options it could be: the attempt means something"
    assert said(*ours) == "Permission denied"
