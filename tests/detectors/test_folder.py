import hashlib
import os
import subprocess
import sys

import pytest
from onnx import TensorProto

from streamwatch.detectors.folder import read_model, verify
from streamwatch.detectors.shipped import find_folder
from streamwatch.domain.errors import ModelError
from tests.detectors import folders


def problems(folder, **kwargs: str):
    with pytest.raises(ModelError) as caught:
        read_model(folder, **kwargs)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def test_a_sound_folder_is_verified(tmp_path):
    folder = folders.write(tmp_path / "m")
    verified = verify(folder)
    assert verified.labels == folders.LABELS
    assert verified.sha256 == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert verified.manifest.name == "means"


def test_the_shipped_test_card_is_sound_and_small(tmp_path):
    folder = find_folder("models/test-card", tmp_path)
    verified = verify(folder)
    assert verified.labels == ("test_card",)
    assert verified.manifest.kind == "test"
    assert (folder / verified.manifest.file).stat().st_size < 1_000_000


def test_the_bytes_are_the_ones_that_were_hashed(tmp_path):
    model = read_model(folders.write(tmp_path / "m"))
    assert hashlib.sha256(model.data).hexdigest() == model.verified.sha256
    assert "data" not in repr(model)


def test_a_missing_folder_is_named(tmp_path):
    (problem,) = problems(tmp_path / "nowhere")
    assert problem == f"{tmp_path}/nowhere: no such model folder (a folder with a manifest.yaml)"


def test_a_missing_manifest_is_named(tmp_path):
    (problem,) = problems(tmp_path)
    assert problem == f"{tmp_path}/manifest.yaml: no such file (expected at {tmp_path}/manifest.yaml)"


def test_every_missing_file_is_named_with_its_line(tmp_path):
    folder = folders.write(tmp_path)
    (folder / "model.onnx").unlink()
    (folder / "labels.txt").unlink()
    assert problems(folder) == [
        f"{tmp_path}/manifest.yaml:9: labels: labels.txt: no such file (expected at {tmp_path}/labels.txt)",
        f"{tmp_path}/manifest.yaml:7: file: model.onnx: no such file (expected at {tmp_path}/model.onnx)",
    ]


def test_a_wrong_hash_is_named_with_the_right_one(tmp_path):
    folder = folders.write(tmp_path)
    data = (folder / "model.onnx").read_bytes() + b"\0"
    (folder / "model.onnx").write_bytes(data)
    (problem,) = problems(folder)
    assert problem.startswith(f"{tmp_path}/manifest.yaml:8: sha256: not the hash of model.onnx")
    assert hashlib.sha256(data).hexdigest() in problem


def test_a_model_that_changed_since_it_was_checked_is_refused(tmp_path):
    (problem,) = problems(folders.write(tmp_path), sha256="0" * 64)
    assert "changed since it was checked" in problem


@pytest.mark.parametrize("labels", [("one",), ("a", "b", "c", "d")])
def test_labels_not_matching_the_output_are_named(tmp_path, labels):
    (problem,) = problems(folders.write(tmp_path, labels=labels))
    assert problem.startswith(f"{tmp_path}/manifest.yaml:")
    assert f"output: labels.txt holds {len(labels)} labels, not as many as the output (out is ?x3)" in problem


@pytest.mark.parametrize(
    ("labels", "line", "wrong"),
    [
        (("a", "", "c"), 2, "not a label"),
        (("a", " b", "c"), 2, "not a label"),
        (("a", "b", "a"), 3, "label a again (already on line 1)"),
        (("a", "b", "x" * 129), 3, "not a label"),
        (("a", "\x1b[31m", "c"), 2, "not a label"),
    ],
)
def test_labels_that_cannot_be_are_named_with_their_line(tmp_path, labels, line, wrong):
    (problem,) = problems(folders.write(tmp_path, labels=labels))
    assert problem.startswith(f"{tmp_path}/labels.txt:{line}: {wrong}")


def test_labels_named_in_the_manifest_must_exist(tmp_path):
    folder = folders.write(tmp_path, thresholds={"fourth": {"open": 0.8, "close": 0.5, "basis": "guess"}})
    (problem,) = problems(folder)
    assert "thresholds.fourth: no label fourth (one of first, second, third, from labels.txt)" in problem


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"input": {"name": "image"}}, "input: the model's inputs are: picture"),
        ({"input": {"width": 7}}, "input: nchw 3x4x7 does not fit the model (picture is ?x3x4x6)"),
        ({"input": {"layout": "nhwc"}}, "input: nhwc 4x6x3 does not fit the model (picture is ?x3x4x6)"),
        ({"input": {"dtype": "uint8", "scale": 1.0}}, "input: dtype uint8 does not fit the model"),
        ({"output": {"name": "logits"}}, "output: the model has no output logits (its outputs are: out)"),
    ],
)
def test_shapes_and_names_not_matching_the_model_are_named(tmp_path, changes, wrong):
    (problem,) = problems(folders.write(tmp_path, **changes))
    assert wrong in problem


def test_a_model_that_keeps_numbers_elsewhere_is_refused(tmp_path):
    (problem,) = problems(folders.write(tmp_path, folders.with_external_data()))
    assert "model.onnx keeps numbers in other files" in problem


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (problem,) = problems(folders.write(tmp_path, b"\x89PNG\r\n\x1a\n and so on"))
    assert "model.onnx is no ONNX model" in problem


def test_a_pipe_in_place_of_a_model_is_refused_without_waiting(tmp_path):
    folder = folders.write(tmp_path)
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    (problem,) = problems(folder)
    assert "model.onnx: not a file" in problem


def test_an_absurd_size_is_refused_without_reading_it(tmp_path):
    folder = folders.write(tmp_path)
    with (folder / "model.onnx").open("wb") as file:
        file.truncate(2 * 1024**3)
    (problem,) = problems(folder)
    assert "2147483648 bytes (at most 1073741824)" in problem


def test_a_uint8_model_fits_a_uint8_input(tmp_path):
    model = folders.channel_means(layout="nhwc", dtype=TensorProto.UINT8)
    folder = folders.write(tmp_path, model, input={"layout": "nhwc", "dtype": "uint8", "scale": 1.0})
    assert verify(folder).manifest.input.dtype == "uint8"


def test_checking_loads_neither_arrays_nor_an_engine(tmp_path):
    folder = folders.write(tmp_path)
    code = (
        "import sys; from pathlib import Path; from streamwatch.detectors.folder import verify; "
        "from streamwatch.detectors import registry; registry.check_kind('onnx'); verify(Path(sys.argv[1])); "
        "print([name for name in ('numpy', 'cv2', 'av', 'onnxruntime', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
