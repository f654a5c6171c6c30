import pytest
import yaml

from streamwatch.detectors.manifest import load_manifest
from streamwatch.domain.errors import ModelError
from tests.detectors import folders


def problems(folder):
    with pytest.raises(ModelError) as caught:
        load_manifest(folder)
    return [str(problem) for problem in caught.value.problems]


def edited(tmp_path, old, new):
    folder = folders.write(tmp_path)
    path = folder / "manifest.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return folder


def test_an_unknown_key_is_named_with_line_and_nearest_key(tmp_path):
    (problem,) = problems(edited(tmp_path, "licence:", "license: x\nlicence:"))
    assert problem == f"{tmp_path}/manifest.yaml:4: license: no such key (did you mean licence?)"


def test_an_unknown_key_inside_a_part_is_named(tmp_path):
    (problem,) = problems(edited(tmp_path, "  layout: nchw\n", "  layout: nchw\n  colours: rgb\n"))
    assert problem == f"{tmp_path}/manifest.yaml:15: input.colours: no such key (did you mean colour?)"


def test_a_missing_key_is_named(tmp_path):
    (problem,) = problems(edited(tmp_path, "purpose: tests\n", ""))
    assert problem == f"{tmp_path}/manifest.yaml:1: purpose: missing"


def test_all_problems_come_in_one_go(tmp_path):
    folder = edited(tmp_path, "layout: nchw", "layout: chw")
    path = folder / "manifest.yaml"
    path.write_text(path.read_text().replace("kind: classifier", "kind: nonsense").replace("width: 6", "width: 0"))
    found = problems(folder)
    assert [line.split(": ")[1] for line in found] == ["kind", "input.width", "input.layout"]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("file: model.onnx", "file: ../model.onnx", "file"),
        ("file: model.onnx", "file: /etc/passwd", "file"),
        ("labels: labels.txt", "labels: .", "labels"),
        ("height: 4", "height: 100000", "input.height"),
        ("height: 4", "height: true", "input.height"),
        ("layout: nchw", "layout: nchw\n  std: [1, 0, 1]", "input"),
        ("layout: nchw", "layout: nchw\n  mean: [.nan, 0, 1]", "input.mean.0"),
        ("layout: nchw", "layout: nchw\n  dtype: uint8", "input"),
        ("schema: streamwatch.model/1", "schema: streamwatch.model/2", "schema"),
        ("activation: none", "activation: relu", "output.activation"),
    ],
)
def test_values_that_cannot_be_are_named(tmp_path, old, new, key):
    assert any(f" {key}: " in problem for problem in problems(edited(tmp_path, old, new)))


def test_a_key_given_twice_is_named(tmp_path):
    (problem,) = problems(edited(tmp_path, "kind: classifier", "kind: classifier\nkind: test"))
    assert problem == f"{tmp_path}/manifest.yaml:7: kind: given twice (once)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "just words",
        "a: [1, 2",
        "a: \t- b: c",
        "a: !!python/object/apply:os.system [id]",
        "[" * 30_000,
        "a: &x [1]\nb: *x\n",
        "&a [*a]",
        "a: 99999-99-99",
        "\x00",
    ],
)
def test_what_is_no_manifest_is_one_problem_with_a_line(tmp_path, text):
    folder = folders.write(tmp_path)
    (folder / "manifest.yaml").write_text(text)
    found = problems(folder)
    assert all(problem.startswith(f"{tmp_path}/manifest.yaml:") for problem in found)


def test_nested_references_are_refused_before_they_grow(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    folder = folders.write(tmp_path)
    (folder / "manifest.yaml").write_text("\n".join(lines))
    (problem,) = problems(folder)
    assert "a reference to another value" in problem


def test_bytes_that_are_no_text_are_refused(tmp_path):
    folder = folders.write(tmp_path)
    (folder / "manifest.yaml").write_bytes(b"\xff\xfe\x00")
    assert problems(folder) == [f"{tmp_path}/manifest.yaml: not UTF-8 text"]


def test_a_huge_manifest_is_refused(tmp_path):
    folder = folders.write(tmp_path)
    (folder / "manifest.yaml").write_text("#" * 100_000)
    (problem,) = problems(folder)
    assert "100000 bytes (at most 65536)" in problem


def test_a_full_manifest_reads_back(tmp_path):
    golden = [{"picture": {"level": 7}, "label": "first", "score": 0.1, "tolerance": 0.01}]
    evaluation = [
        {
            "set": "none",
            "evaluator": "nobody",
            "date": "2026-11-22",
            "label": "first",
            "positives": 0,
            "negatives": 10,
            "threshold": 0.8,
            "missed": 0,
            "false_alarms": 0,
            "false_alarm_rate_below": 0.3,
            "statement": "rule of three",
        }
    ]
    folder = folders.write(tmp_path, golden=golden, evaluation=evaluation, limits=["none"], expires="2027-01-01")
    manifest = load_manifest(folder)
    assert manifest.golden[0].tolerance == 0.01
    assert manifest.evaluation[0].negatives == 10
    assert yaml.safe_load((folder / "manifest.yaml").read_text())["expires"] == manifest.expires
