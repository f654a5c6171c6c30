"""What the README tells people to type exists; what it shows of files is accepted."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}
COMMAND = re.compile(r"^\s*(streamwatch [^#\n`]+|scripts/[^#\n`]+)", re.MULTILINE)


def commands() -> list[str]:
    blocks = [block for text in TEXTS.values() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]
    inline = [code for text in TEXTS.values() for code in re.findall(r"`((?:streamwatch |scripts/)[^`\n]*)`", text)]
    found = [line for block in blocks for line in COMMAND.findall(block)] + inline
    return sorted({command.strip() for command in found})


@cache
def help_of(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "streamwatch", *words, "--help"],
        capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, f"no such command: streamwatch {' '.join(words)}"
    return done.stdout


@pytest.mark.parametrize("command", commands())
def test_every_command_and_option_that_is_named_exists(command: str) -> None:
    words = shlex.split(command)
    if words[0].startswith("scripts/"):
        script = ROOT / words[0]
        assert script.is_file()
        assert os.access(script, os.X_OK)
        return
    options = [word for word in words if word.startswith("--")]
    if "--version" in options or len(words) == 1:
        return
    path = words[1:3] if words[1] in {"alerts", "audit", "models", "test-card"} and len(words) > 2 else words[1:2]
    shown = help_of(*path)
    for option in options:
        assert option in shown, f"{option} is not an option of {' '.join(path)}"


def test_yaml_examples_are_parts_of_a_good_configuration() -> None:
    keys = set(yaml.safe_load((ROOT / "config/streamwatch.yaml").read_text(encoding="utf-8"))) | {"origins", "rules"}
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXTS["README.md"], re.DOTALL)]
    ours = [example for example in examples if "authInternalUsers" not in example]
    assert len(ours) >= 3
    assert all(set(example) <= keys for example in ours)


def test_links_lead_somewhere() -> None:
    for name, text in TEXTS.items():
        for target in re.findall(r"\]\(((?!http)[^)#]+)\)", text):
            assert (ROOT / target).exists(), f"{name}: {target}"


def test_the_reasons_are_all_named() -> None:
    from streamwatch.domain.streams import Reason  # noqa: PLC0415

    for reason in Reason:
        assert f"`{reason.value}`" in TEXTS["README.md"]
