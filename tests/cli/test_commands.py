"""Commands as a person types them: words, exit codes, and machine output that is nothing but JSON."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import jsonschema
import numpy as np
import pytest

from streamwatch.cli.main import app
from streamwatch.testcard.pattern import test_card as card

ROOT = Path(__file__).parents[2]
COMMANDS = ("run", "check", "coverage", "watch", "probe", "demo", "schema", "test-card png", "test-card publish",
            "alerts list", "alerts show", "alerts stats", "verdict", "on-duty", "replay",
            "models list", "models show", "models verify", "audit verify", "audit show")  # fmt: skip


def call(*words: str, cwd: Path = ROOT, limit_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamwatch", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=limit_s,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"},
        check=False,
    )


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds: two of a grey sweep, four of the test card."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    shown = card(320, 180)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "g": "10"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for number in range(60):
            image = shown if number >= 20 else np.full((180, 320, 3), number * 5, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_version_and_help() -> None:
    assert call("--version").stdout.startswith("streamwatch 0.")
    assert app.info.name == "streamwatch"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = call(*command.split(), "--help")
    assert done.returncode == 0
    assert f"Example: streamwatch {command}" in " ".join(done.stdout.split())


def test_a_wrong_word_is_the_users_mistake() -> None:
    assert call("wach").returncode == 2
    assert call("watch").returncode == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("watch", "nowhere.mp4"), "no such file"),
        (("watch", "gopher://h/x"), "not a scheme"),
        (("watch", "rtmp:///live/x"), "names no host"),
        (("watch", "rtmp://h/x", "--gap", "2"), "not a duration"),
        (("watch", "rtmp://h/x", "--detector", "models/none"), "no such folder"),
        (("probe", "rtmp://h:99999999/x"), "names no host"),
        (("check", "nowhere.yaml"), "nowhere.yaml"),
        (("run", "nowhere.yaml"), "nowhere.yaml"),
        (("models", "verify", "models/none"), "no such folder"),
        (("audit", "verify", "nowhere"), "no such file or folder"),
        (("audit", "verify", "models"), "there is no audit log"),
        (("audit", "show", "models", "--since", "2"), "not a duration"),
        (("test-card", "png", "no/such/folder/x.png"), "cannot write"),
        (("test-card", "publish", "http://h/x"), "rtmp://"),
    ],
)
def test_mistakes_end_with_2_and_one_line_that_helps(words: tuple[str, ...], said: str) -> None:
    done = call(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_check_names_every_problem_at_once(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("nod: edge-1\nmqtt:\n  url: http://x\nstreams:\n  - id: a\n    url: rtmp://h/x\n    wieght: 2\n")
    done = call("check", str(wrong))
    assert done.returncode == 2
    for where in (":1: nod:", ":3: mqtt.url:", ":7: streams.0.wieght:"):
        assert where in done.stderr
    assert "(did you mean" in done.stderr or "weight" in done.stderr


def test_check_says_that_a_good_file_is_good() -> None:
    done = call("check", "config/minimal.yaml")
    assert done.returncode == 0
    assert "good" in done.stdout
    assert "1 rules and 10 built in about evasion" in done.stdout


def test_check_connect_tells_what_is_missing_outside(tmp_path: Path, silent_port: int) -> None:
    text = (ROOT / "config/minimal.yaml").read_text(encoding="utf-8").replace(":1883", f":{silent_port}")
    path = tmp_path / "c.yaml"
    path.write_text(text.replace(":1935", f":{silent_port}"), encoding="utf-8")
    done = call("check", "--connect", str(path))
    assert done.returncode == 3
    assert f"MISSING: broker mqtt://127.0.0.1:{silent_port}" in done.stdout
    assert "MISSING: stream lobby" in done.stdout
    assert "unreachable" in done.stdout


@pytest.mark.parametrize("subject", ["config", "alert", "state", "coverage", "status", "breach", "verdict", "signal"])
def test_schemas_are_json_schemas(subject: str) -> None:
    described = json.loads(call("schema", subject).stdout)
    jsonschema.Draft202012Validator.check_schema(described)
    assert described.get("additionalProperties") is False or "$ref" in described or subject == "verdict"


def test_watching_a_file_tells_samples_states_and_the_alert_as_json_lines(film: Path) -> None:
    done = call("watch", str(film), "--json", "--fast", "--gap", "2s")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    samples = [line for line in lines if line["type"] == "sample"]
    assert {"at", "media_s", "scores", "gap_s", "look"} <= samples[0].keys()
    assert samples[0]["scores"]["test_card"] < 0.1
    assert samples[-1]["scores"]["test_card"] > 0.9
    (opened,) = [line for line in lines if line["type"] == "alert" and line["event"] == "opened"]
    assert 2.0 <= opened["first_seen"]["media_s"] <= 4.1
    assert [line["state"] for line in lines if line["type"] == "state"][-1] == "ended"
    assert opened["trace"]["confirmed_by"] in {"looks", "look-back"}
    assert {line["look"] for line in opened["evidence"]} <= {line["look"] for line in samples}


@pytest.fixture(scope="module")
def dark_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of black between two moments of a picture."""
    path = tmp_path_factory.mktemp("dark") / "dark.mp4"
    shown, black = card(320, 180), np.zeros((180, 320, 3), np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=5, options={"preset": "ultrafast", "g": "5"})
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        for number in range(200):
            frame = av.VideoFrame.from_ndarray(shown if number < 10 or number >= 190 else black, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def test_a_file_that_turns_black_is_uncovered_and_told(dark_film: Path) -> None:
    done = call("watch", str(dark_film), "--json", "--fast", "--gap", "4s")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    samples = [line for line in lines if line["type"] == "sample"]
    assert {line["blind"] for line in samples if 3 < line["media_s"] < 37} == {True}
    assert not samples[0]["blind"]
    assert "blind" in [line["reason"] for line in lines if line["type"] == "state"]
    alerts = [line for line in lines if line["type"] == "alert" and line["kind"] == "evasion"]
    assert [(line["rule"], line["event"]) for line in alerts] == [
        ("evasion-black", "opened"),
        ("evasion-black", "closed"),
    ]
    assert alerts[0]["first_seen"]["media_s"] == pytest.approx(24, abs=4)
    assert alerts[1]["close_reason"] == "ended"


def test_watching_for_people_shows_an_alert(film: Path) -> None:
    done = call("watch", str(film), "--fast", "--gap", "2s")
    assert done.returncode == 0
    assert "ALERT opened" in done.stdout
    assert "watching" in done.stderr


def test_a_stream_that_is_never_live_is_the_outside_worlds_fault(silent_port: int) -> None:
    done = call("watch", f"rtmp://127.0.0.1:{silent_port}/live/x", "--for", "6s", "--json")
    assert done.returncode == 3
    states = [json.loads(line) for line in done.stdout.splitlines()]
    assert states[-1]["reason"] == "unreachable"
    assert "never live" in done.stderr


def test_probe_says_what_is_there(film: Path) -> None:
    found = json.loads(call("probe", str(film), "--json").stdout)
    assert (found["codec"], found["width"], found["height"]) == ("h264", 320, 180)
    assert found["key_interval_s"] == pytest.approx(1.0)
    assert found["cost"]["looks_per_min"] > 5
    assert "320x180" in call("probe", str(film)).stdout


def test_probe_of_no_stream_ends_with_3(silent_port: int, tmp_path: Path) -> None:
    assert call("probe", f"rtmp://127.0.0.1:{silent_port}/live/x").returncode == 3
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(os.urandom(4096))
    assert call("probe", str(junk)).returncode == 3


def test_secrets_in_an_address_are_never_printed(silent_port: int) -> None:
    done = call("watch", f"rtmp://u:hunter2@127.0.0.1:{silent_port}/live/x?key=topsecret", "--for", "1s", "--json")
    assert "hunter2" not in done.stdout + done.stderr
    assert "topsecret" not in done.stdout + done.stderr


def test_models_can_be_listed_shown_and_verified() -> None:
    assert "test-card" in call("models", "list").stdout
    assert json.loads(call("models", "show", "models/test-card").stdout)["kind"] == "test"
    assert "as its manifest says" in call("models", "verify", "models/test-card").stdout


def test_the_card_can_be_written_as_a_picture(tmp_path: Path) -> None:
    assert call("test-card", "png", str(tmp_path / "card.png"), "--size", "320x180").returncode == 0
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")


def test_an_interruption_ends_with_130_and_leaves_no_process(silent_port: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "streamwatch", "watch", f"rtmp://127.0.0.1:{silent_port}/live/x", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()  # it watches
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
