import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto

from streamwatch.detectors.onnx import OnnxClassifier
from streamwatch.detectors.shipped import find_folder
from streamwatch.domain.errors import ModelError, ScoreFailed
from tests.detectors import folders

SIZE = (folders.HEIGHT, folders.WIDTH, 3)


def picture():
    """Red 51, green 102, blue 204 on average, no two pixels alike."""
    out = np.empty(SIZE, np.int16)
    out[...] = (51, 102, 204)
    ramp = np.arange(folders.HEIGHT * folders.WIDTH).reshape(folders.HEIGHT, folders.WIDTH, 1)
    return (out + ramp - ramp[:, ::-1][::-1]).astype(np.uint8)


def classifier(tmp_path, model=None, **changes: Any):
    return OnnxClassifier(name="ours", folder=folders.write(tmp_path, model, **changes))


def values(detector):
    return [score for _, score in detector.score(picture()).values]


def refused(tmp_path, model=None, **changes: Any):
    with pytest.raises(ModelError) as caught:
        classifier(tmp_path, model, **changes)
    (problem,) = caught.value.problems
    return str(problem)


def test_scores_carry_the_labels_in_order(tmp_path):
    scores = classifier(tmp_path).score(picture())
    assert scores.detector == "ours"
    assert [label for label, _ in scores.values] == ["first", "second", "third"]
    assert scores.get("second") == pytest.approx(0.4)


def test_planes_and_pixels_give_the_same(tmp_path):
    model = folders.channel_means(layout="nhwc")
    assert values(classifier(tmp_path / "planes")) == pytest.approx([0.2, 0.4, 0.8])
    assert values(classifier(tmp_path / "pixels", model, input={"layout": "nhwc"})) == pytest.approx([0.2, 0.4, 0.8])


def test_bgr_turns_the_channels_round(tmp_path):
    assert values(classifier(tmp_path, input={"colour": "bgr"})) == pytest.approx([0.8, 0.4, 0.2])


def test_mean_and_std_are_in_scaled_units_and_in_the_order_of_the_colours(tmp_path):
    wanted = {"colour": "bgr", "mean": [0.3, 0.1, 0.0], "std": [1.0, 0.5, 2.0]}
    detector = classifier(tmp_path, input=wanted, output={"activation": "sigmoid"})
    assert values(detector) == pytest.approx(1 / (1 + np.exp([-0.5, -0.6, -0.1])))


def test_a_uint8_input_gets_pixels_as_they_are(tmp_path):
    model = folders.channel_means(layout="nhwc", dtype=TensorProto.UINT8)
    wanted = {"layout": "nhwc", "dtype": "uint8", "scale": 1.0}
    detector = classifier(tmp_path, model, input=wanted, output={"activation": "softmax"})
    assert values(detector) == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


def test_sigmoid_and_softmax(tmp_path):
    raw = np.array([51, 102, 204]) / 255 * 2 - 1
    inputs = {"scale": 2 / 255, "mean": [1, 1, 1]}
    sigmoid = classifier(tmp_path / "a", input=inputs, output={"activation": "sigmoid"})
    assert values(sigmoid) == pytest.approx(1 / (1 + np.exp(-raw)))
    softmax = classifier(tmp_path / "b", input=inputs, output={"activation": "softmax"})
    assert values(softmax) == pytest.approx(np.exp(raw) / np.exp(raw).sum())


def test_sigmoid_stands_far_out_without_a_warning(tmp_path):
    inputs = {"scale": 1e6, "mean": [1e8, 1e8, 1e8]}
    assert values(classifier(tmp_path, input=inputs, output={"activation": "sigmoid"})) == [0.0, 1.0, 1.0]


def test_a_model_whose_answer_is_no_number_is_refused_at_load(tmp_path):
    assert "the model gives no scores" in refused(
        tmp_path, folders.channel_means(after=("Log",)), input={"mean": [1] * 3}
    )


def test_an_answer_that_is_no_number_is_no_score(tmp_path):
    # the root of minus the mean: a number for the blank picture at load, and for no other
    detector = classifier(tmp_path, folders.channel_means(after=("Neg", "Sqrt")))
    with pytest.raises(ScoreFailed, match="no number"):
        detector.score(picture())


def test_an_answer_outside_0_to_1_is_no_score_and_never_clamped(tmp_path):
    detector = classifier(tmp_path, input={"scale": 1 / 200})
    with pytest.raises(ScoreFailed, match="outside 0 to 1"):
        detector.score(picture())


def test_an_engine_that_fails_is_no_score(tmp_path):
    detector = classifier(tmp_path)
    detector._feed.name = "nothing"
    with pytest.raises(ScoreFailed, match="the engine failed"):
        detector.score(picture())


def test_a_model_the_engine_does_not_know_is_refused(tmp_path):
    problem = refused(tmp_path, folders.channel_means(after=("NoSuchOperation",)))
    assert problem.startswith(f"{tmp_path}/model.onnx: onnxruntime cannot load it: ")
    assert "\n" not in problem


def test_labels_that_do_not_fit_what_comes_out_are_refused_although_the_model_says_nothing(tmp_path):
    problem = refused(tmp_path, folders.channel_means(shape=["n", "k"]), labels=("one", "two"))
    assert "3 values for 2 labels" in problem


def test_golden_pictures_are_scored_at_load(tmp_path):
    golden = [
        {"picture": {"level": 51}, "label": "third", "score": 0.2, "tolerance": 0.001},
        {"picture": {"level": 51}, "label": "first", "score": 0.9, "tolerance": 0.1},
    ]
    problem = refused(tmp_path, golden=golden)
    assert "manifest.yaml:" in problem
    assert "golden.1: scores 0.2" in problem
    assert "(0.9 ± 0.1; " in problem


def test_another_model_than_the_one_checked_is_refused(tmp_path):
    with pytest.raises(ModelError, match="changed since it was checked"):
        OnnxClassifier(name="ours", folder=folders.write(tmp_path), sha256="0" * 64)


def test_the_session_is_single_threaded_quiet_and_writes_no_profile(tmp_path):
    options = classifier(tmp_path)._session.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.enable_profiling is False
    assert options.log_severity_level == 3


def test_a_thread_uses_one_buffer_again_and_again(tmp_path):
    feed = classifier(tmp_path)._feed
    assert feed(picture()) is feed(picture())


def run(code, *args: str, **environment: str):
    clean = {key: value for key, value in os.environ.items() if key not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        env=clean | {"PYTHONPATH": root} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_the_switch_against_telemetry_nothing_is_imported(tmp_path):
    code = (
        "import os, sys, streamwatch\n"
        "del os.environ['ORT_DISABLE_TELEMETRY']\n"
        "try:\n    import streamwatch.detectors.onnx\n"
        "except RuntimeError as error:\n    print(error, 'onnxruntime' in sys.modules)\n"
    )
    done = run(code, HOME=str(tmp_path))
    assert done.stdout == "ORT_DISABLE_TELEMETRY=1 must be in the environment before onnxruntime is imported False\n"


def test_scoring_leaves_nothing_in_an_empty_home(tmp_path):
    home, folder = tmp_path / "home", find_folder("models/test-card", tmp_path)
    home.mkdir()
    code = (
        "import sys, numpy; from pathlib import Path; from streamwatch.detectors.registry import build\n"
        "card = build(name='card', kind='onnx', folder=Path(sys.argv[1]))\n"
        "print(card.score(numpy.zeros((64, 64, 3), numpy.uint8)).get('test_card') < 0.01)\n"
    )
    done = run(code, str(folder), HOME=str(home), PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout.splitlines()[-1] == "True"
    assert list(home.rglob("*")) == []
