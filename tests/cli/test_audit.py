"""`streamwatch audit`: what it finds, how it says it, how it ends."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streamwatch.audit.chain import line
from streamwatch.audit.checkpoint import checkpoint
from streamwatch.audit.log import AuditLog, Fact
from streamwatch.audit.segments import name
from streamwatch.cli.main import app
from streamwatch.daemon.auditing import STARTED
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.errors import UserError
from tests.audit.book import tip_of

AT = "2026-11-21T10:00:00.000Z"
CONFIG = """\
node: edge-1
mqtt: {url: "mqtt://127.0.0.1:1883"}
streams: [{id: a, url: "rtmp://127.0.0.1/live/a"}]
state: STATE
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A log of eight lines in segments of two."""
    folder = tmp_path / "state"
    folder.mkdir()
    log = AuditLog(folder, segment_bytes=600)
    log.append(Fact(AT, STARTED, {"node": "edge-1", "version": "0", "sandbox": {"landlock": True}}))
    for number in range(7):
        log.append(Fact(AT, "verdict.given", {"who": "anna b", "verdict": "dismiss", "number": number, "why": None}))
    log.close()
    return folder


def audit(*words: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)])


def lines(state: Path) -> list[bytes]:
    return [data for path in sorted(state.glob("*.jsonl")) for data in path.read_bytes().splitlines(keepends=True)]


def points(state: Path, file: Path, *numbers: int, node: str = "edge-1") -> Path:
    log = lines(state)
    told = [checkpoint(tip_of(log[:n]), node=node, boot_id="b", at=AT, lines=1).payload() for n in numbers]
    file.write_bytes(b"".join(b"streamwatch/v1/edge-1/audit " + one + b"\n" for one in told))
    return file


def test_a_sound_log_ends_with_0_and_says_what_it_is(state: Path, tmp_path: Path) -> None:
    done = audit("verify", state)
    assert done.exit_code == 0
    assert done.stdout.startswith("sound: 8 lines in 4 segments, n=1 to n=8, the newest of 2026-11-21T10:00:00.000Z")
    assert tip_of(lines(state)).hash in done.stdout
    assert "only checkpoints can tell" in done.stderr
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG.replace("STATE", str(state)))
    assert audit("verify", config).stdout == done.stdout


def test_each_damage_has_its_file_and_line(state: Path) -> None:
    path = state / name(2)
    path.write_bytes(path.read_bytes().replace(b"anna", b"bert", 1))
    (state / name(3)).unlink()
    done = audit("verify", state)
    assert done.exit_code == 1
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{path}:1: change: its hash is not that")
    assert second.startswith(f"{state / name(4)}:1: deletion: n=")
    assert "damaged" in done.stderr


def test_checkpoints_find_a_tail_that_is_gone(state: Path, tmp_path: Path) -> None:
    told = points(state, tmp_path / "told", 2, 8)
    assert audit("verify", state, "--checkpoint", told).stdout.endswith("; 2 checkpoints compared\n")
    (state / name(4)).unlink()
    assert audit("verify", state).exit_code == 0
    done = audit("verify", state, "--checkpoint", told)
    assert done.exit_code == 1
    assert ": truncation: the log ends with n=" in done.stdout
    assert done.stdout.startswith(str(state / name(3)))


def test_checkpoints_of_other_nodes_are_left_out_and_those_alone_are_a_mistake(state: Path, tmp_path: Path) -> None:
    (state / "other").mkdir()
    other = points(state, tmp_path / "other", 8, node="edge-2")
    other.write_bytes(other.read_bytes() + b"{}\n\n" + points(state, tmp_path / "told", 8).read_bytes())
    done = audit("verify", state, "--checkpoint", other)
    assert done.exit_code == 0
    assert "1 checkpoints compared" in done.stdout
    assert "1 lines of" in done.stderr
    only = points(state, tmp_path / "only", 8, node="edge-2")
    failed = audit("verify", state, "--checkpoint", only)
    assert isinstance(failed.exception, UserError)
    assert "no checkpoint of edge-1" in str(failed.exception)


@pytest.mark.parametrize("held", [b"", b"{}\n", b"hello\n"])
def test_a_file_without_a_checkpoint_is_a_mistake(state: Path, tmp_path: Path, held: bytes) -> None:
    file = tmp_path / "none"
    file.write_bytes(held)
    failed = audit("verify", state, "--checkpoint", file)
    assert isinstance(failed.exception, UserError)


def test_show_tells_each_line_for_people(state: Path) -> None:
    done = audit("show", state)
    assert done.exit_code == 0
    first, second, *_ = done.stdout.splitlines()
    assert first == f'{AT}  daemon.started       node=edge-1 sandbox={{"landlock":true}} version=0'
    assert second == f'{AT}  verdict.given        number=0 verdict=dismiss who="anna b"'


def test_show_as_json_is_the_lines_themselves(state: Path) -> None:
    done = audit("show", state, "--json")
    assert done.stdout.encode() == b"".join(lines(state))
    assert [json.loads(one)["n"] for one in done.stdout.splitlines()] == [*range(1, 9)]


def test_show_since_leaves_out_what_is_older(state: Path) -> None:
    now = rfc3339(datetime.now(UTC) - timedelta(minutes=5))
    log = AuditLog(state)
    log.append(Fact(now, "a.kind", {}))
    log.close()
    assert audit("show", state, "--since", "1h").stdout == f"{now}  a.kind\n"
    assert len(audit("show", state, "--since", "3660d").stdout.splitlines()) == 9


def test_show_names_what_cannot_be_read_and_goes_on(state: Path) -> None:
    path = state / name(2)
    path.write_bytes(path.read_bytes().replace(b"anna", b"bert", 1))
    done = audit("show", state)
    assert done.exit_code == 0
    assert f"{path}:1: its hash is not that" in done.stderr
    assert len(done.stdout.splitlines()) == 7


def test_a_forged_line_cannot_write_to_the_terminal(state: Path) -> None:
    data, _ = line(tip_of(lines(state)), at=AT, kind="a", facts={"who": "x"})
    body = data.partition(b',"hash"')[0].replace(b'"x"', b'"\\u001b[31m\\u202ex"') + b"}"
    (state / name(5)).write_bytes(body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n')
    assert audit("verify", state).exit_code == 0
    assert "\x1b" not in audit("show", state).stdout
    assert "\u202e" not in audit("show", state).stdout
    assert "\x1b" not in audit("show", state, "--json").stdout
