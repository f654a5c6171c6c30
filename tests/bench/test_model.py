from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamwatch.bench import model
from streamwatch.bench.scenes import Planes, Programme
from streamwatch.detectors.folder import verify
from streamwatch.detectors.onnx import OnnxClassifier

PROGRAMME = Programme(160, 90, seconds=30)


@pytest.fixture(scope="module", params=[False, True], ids=["net", "cheap"])
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnnxClassifier:
    return OnnxClassifier(name="bench", folder=model.build(tmp_path_factory.mktemp("models"), cheap=request.param))


def rgb(picture: Planes, side: int) -> NDArray[np.uint8]:
    """As BT.601 has it, squashed by taking pixels."""
    rows = np.arange(side) * 90 // side
    columns = np.arange(side) * 160 // side
    y, u, v = (
        plane[np.ix_(rows // part, columns // part)].astype(float)
        for plane, part in zip(picture, (1, 2, 2), strict=True)
    )
    red, blue = y + 1.402 * (v - 128), y + 1.772 * (u - 128)
    green = y - 0.344 * (u - 128) - 0.714 * (v - 128)
    return np.clip(np.stack([red, green, blue], axis=-1), 0, 255).astype(np.uint8)


def test_the_marker_fires_and_nothing_else_does(detector: OnnxClassifier) -> None:
    side = detector.info.width
    assert (detector.score(rgb(PROGRAMME.marker(1.0), side)).get("marker") or 0) > 0.99
    for t in range(0, 30, 2):
        scores = detector.score(rgb(PROGRAMME.picture(float(t)), side))
        assert all(score < 0.2 for _, score in scores.values), (t, scores)


def test_the_net_answers_what_it_sees(detector: OnnxClassifier) -> None:
    """Were it folded into a constant, it would cost nothing."""
    side = detector.info.width
    seen = {detector.score(rgb(PROGRAMME.picture(float(t)), side)).values for t in (0, 10, 20)}
    assert len(seen) == 3


def test_it_is_built_once_and_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = model.build(tmp_path), model.build(tmp_path / "other")
    assert verify(one).sha256 == verify(other).sha256
    assert "0.05" in verify(one).manifest.purpose  # G multiplications
    begun = (one / "model.onnx").stat().st_mtime_ns
    assert model.build(tmp_path) == one
    assert (one / "model.onnx").stat().st_mtime_ns == begun
