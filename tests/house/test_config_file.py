"""The annotated configuration is the operator's reference: it shows every key, with the default it really has."""

import re
from pathlib import Path

import pytest
import yaml

from streamwatch.config import explain
from streamwatch.config.loader import load, parse
from streamwatch.config.models import Config

FOLDER = Path(__file__).parents[2] / "config"
ANNOTATED = FOLDER / "streamwatch.yaml"
MINIMAL = FOLDER / "minimal.yaml"

FROM_INTERFACE = """\
node: edge-1
mqtt:
  url: mqtt://127.0.0.1:1883
streams:
  - id: lobby
    url: rtmp://127.0.0.1:1935/live/lobby
detectors:
  - name: test-card
    kind: onnx
    model: models/test-card
rules:
  - name: test-card
    detector: test-card
    label: test_card
    severity: test
"""


def uncommented():
    """The annotated file with every commented-out key written, as an operator would uncomment it."""
    known = {path.rpartition(".")[2] for path in paths(Config)}
    lines = []
    for line in ANNOTATED.read_text().splitlines():
        hidden = re.fullmatch(r"( *)# ( *(?:- )?([a-z_]+):( .*)?)", line)
        if hidden and hidden[3] in known:
            lines.append(hidden[1] + hidden[2])
        elif not line.startswith("origins: []"):
            lines.append(line)
    return "\n".join(lines) + "\n"


def paths(section, prefix=""):
    """Dotted paths of all keys below a section, entries of lists as position 0."""
    for key, field in explain.keys(section).items():
        path = f"{prefix}{key}"
        yield path
        inner = explain.section_in(field.annotation)
        if inner is not None:
            yield from paths(inner, f"{path}." if inner is field.annotation else f"{path}.0.")


def test_both_files_load_and_say_the_same():
    annotated, minimal = load(ANNOTATED, environ={}), load(MINIMAL, environ={})
    assert annotated.config == minimal.config
    for loaded in (annotated, minimal):
        [remark] = loaded.remarks()  # nobody's address can stand in a file for everybody
        assert "watch_url" in remark.wrong


def test_the_minimal_file_is_the_one_of_the_interface():
    lines = [line for line in MINIMAL.read_text().splitlines() if not line.startswith("#")]
    assert "\n".join(lines) + "\n" == FROM_INTERFACE
    assert len(MINIMAL.read_text().splitlines()) - len(lines) <= 2


def test_every_key_of_the_models_is_shown():
    shown = set(written_paths(yaml.safe_load(uncommented())))
    assert set(paths(Config)) - shown == set()


def written_paths(value, prefix=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            yield from written_paths(inner, f"{prefix}{key}.")
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield from written_paths(value[0], f"{prefix}0.")


def defaults(section, prefix=""):
    """Path and default of every key that has one."""
    for key, field in explain.keys(section).items():
        inner = explain.section_in(field.annotation)
        if inner is not None:
            yield from defaults(inner, f"{prefix}{key}." if inner is field.annotation else f"{prefix}{key}.0.")
        elif not field.is_required() and field.default is not None and field.default != ():
            yield f"{prefix}{key}", field.default


def at(value, path):
    for part in path.split("."):
        value = value[int(part) if part.isdecimal() else part]
    return value


@pytest.mark.parametrize(("path", "default"), list(defaults(Config)))
def test_every_default_is_written_as_it_is(path, default):
    shown = at(yaml.safe_load(uncommented()), path)
    assert str(shown) == str(getattr(default, "value", default))


def test_all_keys_uncommented_make_a_configuration(tmp_path):
    for secret in ("mqtt.password", "stream-ids.key", "ingest-1.hook"):
        (tmp_path / secret).write_text("0123456789abcdef\n")
    text = (
        uncommented()
        .replace("mqtt://127.0.0.1:1883 ", "mqtts://127.0.0.1:8883 ")
        .replace("kind: onnx ", "kind: other ")
        .replace("severity: test ", "severity: high ")
    )
    loaded = parse(text, path=tmp_path / "c.yaml", environ={})
    assert loaded.config.origins[0].poll == 5.0
    assert loaded.config.rules[0].cooldown == 30.0
    assert len(loaded.files) == 4


def test_every_shown_key_says_something():
    sections = {path for path in paths(Config) if explain.section_in(field_at(path).annotation)}
    for number, line in enumerate(uncommented().splitlines(), 1):
        key = re.match(r" *(?:- )?([a-z_]+):", line)
        override = line.startswith("      ") and "sampling" not in line  # they repeat what is said below
        if key and not override and key[1] not in {path.rpartition(".")[2] for path in sections}:
            assert " # " in line, f"line {number}: {key[1]} has no comment"


def field_at(path):
    return explain.at(tuple(int(part) if part.isdecimal() else part for part in path.split(".")))[1]
