"""From a file to what the daemon works by: the public table of bad input, as far as a file can be bad."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from streamwatch.app import settings
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.errors import ConfigError, UserError

ROOT = Path(__file__).parents[2]


def minimal() -> dict[str, object]:
    made: dict[str, object] = yaml.safe_load((ROOT / "config/minimal.yaml").read_text(encoding="utf-8"))
    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(change: Callable[[dict], None] = lambda _config: None) -> Path:
        config = minimal()
        change(config)
        path = tmp_path / "streamwatch.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return path

    return written


def problems(path: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        settings.read(path)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_file_runs_with_the_shipped_model(write: Callable[..., Path]) -> None:
    ready = settings.read(write())
    assert [spec.id for spec in ready.setup.streams] == ["lobby"]
    (rule,) = (rule for rule in ready.setup.desk_rules if rule.spec.kind is not Kind.EVASION)
    assert (rule.spec.severity, rule.spec.kind) == (Severity.TEST, Kind.TEST)
    assert len(rule.detector.sha256) == 64
    assert ready.setup.configure.detectors[0].sha256 == rule.detector.sha256
    assert ready.watchers >= 1
    assert ready.broker.url.reveal() == "mqtt://127.0.0.1:1883"


def test_the_annotated_file_is_good() -> None:
    settings.read(ROOT / "config/streamwatch.yaml")


def test_a_missing_model_names_the_line_and_where_it_was_looked_for(write: Callable[..., Path]) -> None:
    def change(config: dict) -> None:
        config["detectors"][0]["model"] = "models/nowhere"

    (said,) = problems(write(change))
    assert ":10: detectors.0.model: no such folder: models/nowhere (looked for " in said


def test_a_wrong_file_and_a_missing_model_are_named_in_one_run(write: Callable[..., Path]) -> None:
    def change(config: dict) -> None:
        config["nodde"] = "x"
        config["detectors"][0]["model"] = "models/nowhere"
        config["detectors"].append({"name": "b", "kind": "onxx", "model": "models/test-card"})

    said = "\n".join(problems(write(change)))
    for word in ("nodde", "models/nowhere", "onxx"):
        assert word in said


@pytest.mark.parametrize("folder", ["streamwatch.yaml", "streamwatch.yaml/inside"])
def test_a_state_folder_that_cannot_be_one_is_named(write: Callable[..., Path], folder: str, tmp_path: Path) -> None:
    def change(config: dict) -> None:
        config["state"] = str(tmp_path / folder)

    assert any("state.folder" in said for said in problems(write(change)))


def test_a_changed_model_names_its_hash(write: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/test-card", tmp_path / "mine")
    model = tmp_path / "mine/model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")

    def change(config: dict) -> None:
        config["detectors"][0]["model"] = "mine"

    assert any("sha256" in said for said in problems(write(change)))


def test_on_a_reload_a_detector_whose_model_broke_keeps_its_old_one_and_that_is_said(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "models/test-card", tmp_path / "mine")

    def change(config: dict) -> None:
        config["detectors"][0]["model"] = "mine"

    path = write(change)
    before = settings.read(path)
    model = tmp_path / "mine/model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    after = settings.read(path, before=before)
    assert after.setup.configure == before.setup.configure
    assert "keeps its old model" in after.setup.kept[0]
    assert "sha256" in after.setup.kept[0]
    assert before.setup.kept == ()


def test_labels_that_do_not_match_the_output_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/test-card", tmp_path / "mine")
    (tmp_path / "mine/labels.txt").write_text("test_card\nanother\n", encoding="utf-8")

    def change(config: dict) -> None:
        config["detectors"][0]["model"] = "mine"

    assert any("2 labels" in said for said in problems(write(change)))


def test_a_rule_on_a_label_that_nobody_scores_is_named_with_the_known_ones(write: Callable[..., Path]) -> None:
    def change(config: dict) -> None:
        config["rules"][0]["label"] = "tset_card"

    (said,) = problems(write(change))
    assert "rules.0.label" in said
    assert "one of test_card" in said


def test_what_this_version_does_not_do_is_refused_by_name(write: Callable[..., Path]) -> None:
    def change(config: dict) -> None:
        config["origins"] = [
            {"name": "edge", "kind": "mediamtx", "api": "http://127.0.0.1:9997", "read": "rtmp://127.0.0.1/{name}"}
        ]
        config["detectors"].append({"name": "known", "kind": "pdq", "lists": ["lists/x"]})

    said = problems(write(change))
    for key in ("origins.0", "detectors.1.kind"):
        assert any(f" {key}:" in line for line in said), key


@pytest.mark.parametrize(
    ("retention", "good"),
    [
        ({"samples": "7d"}, True),
        ({"samples": "8d"}, False),
        ({"samples": "30d", "basis": "order 7 of the data protection officer"}, True),
    ],
)
def test_scores_of_frames_are_kept_for_a_week_or_on_a_ground(
    write: Callable[..., Path], retention: dict, *, good: bool
) -> None:
    path = write(lambda config: config.update(state={"retention": retention}))
    if good:
        assert settings.read(path).setup.keep.samples_s >= 7 * 86400
        return
    (said,) = problems(path)
    assert "state.retention.samples" in said
    assert "recorded ground" in said


def test_a_plug_in_kind_that_nobody_offers_is_named(write: Callable[..., Path]) -> None:
    def change(config: dict) -> None:
        config["detectors"][0]["kind"] = "magic"

    assert any("magic" in said and "onnx" in said for said in problems(write(change)))


def test_two_readings_of_one_file_are_equal_and_a_change_shows_where_it_is(write: Callable[..., Path]) -> None:
    path = write()
    first, second = settings.read(path).setup, settings.read(path).setup
    assert first == second

    def change(config: dict) -> None:
        config["mqtt"]["url"] = "mqtt://127.0.0.1:1884"

    changed = settings.read(write(change)).setup
    assert changed != first
    assert replace(changed, fixed=first.fixed, written=first.written) == first
    assert {name for name, _ in set(changed.fixed) ^ set(first.fixed)} == {"mqtt"}


def test_a_secret_shows_in_no_fingerprint(write: Callable[..., Path]) -> None:
    def change(config: dict) -> None:
        config["mqtt"] |= {"username": "u", "password": "hunter2hunter2"}

    assert "hunter2" not in repr(settings.read(write(change)))


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        settings.read(tmp_path / "nowhere.yaml")


def test_private_streams_come_with_their_basis_and_lose_it_by_the_id_in_force(write: Callable[..., Path]) -> None:
    def private(config: dict, **more: object) -> None:
        config["streams"][0] |= {"audience": "private", **more}
        config["privacy"] = {"stream_ids": "keyed", "key": "0123456789abcdef", "names": "hidden"}

    before = settings.read(write(lambda config: private(config, legal_basis="order 17")))
    (stream,) = before.setup.streams
    assert before.setup.bases == {stream.id: "order 17"}
    with pytest.raises(ConfigError) as caught:
        settings.read(write(lambda config: (private(config), config.pop("node"))), before=before)
    assert caught.value.baseless == (stream.id,)
    assert "Principle 9" in str(caught.value)


def test_ids_do_not_change_while_a_daemon_runs(write: Callable[..., Path]) -> None:
    def keyed(config: dict, key: str = "0123456789abcdef") -> None:
        config["privacy"] = {"stream_ids": "keyed", "key": key}

    before = settings.read(write(keyed))
    after = settings.read(write(lambda config: keyed(config, "another key, as long")), before=before)
    plain = settings.read(write(), before=after)
    assert before.setup.streams == after.setup.streams == plain.setup.streams
    assert plain.setup.fixed != before.setup.fixed, "and that is said: in force only after a restart"
