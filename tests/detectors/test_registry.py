from importlib import metadata

import pytest

from streamwatch.detectors import registry
from streamwatch.detectors.onnx import OnnxClassifier
from streamwatch.domain.errors import ModelError
from tests.detectors import folders
from tests.fakes.detectors import BrightnessDetector


def brightness(*, name, folder, sha256):
    return BrightnessDetector(name=name)


def offer(monkeypatch, *kinds: str, value="tests.detectors.test_registry:brightness"):
    points = metadata.EntryPoints(metadata.EntryPoint(kind, value, registry.GROUP) for kind in kinds)
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: points.select(group=group))


def test_onnx_is_built_in(tmp_path):
    detector = registry.build(name="ours", kind="onnx", folder=folders.write(tmp_path))
    assert isinstance(detector, OnnxClassifier)
    assert detector.info.name == "ours"


def test_pdq_says_that_it_is_not_built_yet():
    with pytest.raises(ModelError) as caught:
        registry.check_kind("pdq", where="streamwatch.yaml:12", key="detectors.0.kind")
    assert str(caught.value) == (
        "streamwatch.yaml:12: detectors.0.kind: pdq: matching of known content is not built yet (one of onnx)"
    )


def test_an_unknown_kind_is_named_with_those_there_are(monkeypatch, tmp_path):
    offer(monkeypatch, "brightness")
    with pytest.raises(ModelError, match=r"no detectors of kind tensorflow \(one of brightness, onnx\)"):
        registry.build(name="x", kind="tensorflow", folder=tmp_path)


def test_a_plug_in_is_found_by_its_entry_point(monkeypatch, tmp_path):
    offer(monkeypatch, "brightness")
    assert registry.build(name="ours", kind="brightness", folder=tmp_path).info.name == "ours"


@pytest.mark.parametrize("kinds", [("onnx",), ("pdq",), ("same", "same")])
def test_a_kind_that_is_taken_is_refused(monkeypatch, kinds):
    offer(monkeypatch, *kinds)
    with pytest.raises(ModelError, match=f"offers {kinds[0]}, which is taken"):
        registry.check_kind("onnx")


def test_a_plug_in_that_cannot_be_loaded_is_named(monkeypatch, tmp_path):
    offer(monkeypatch, "odd", value="tests.detectors.no_such_module:factory")
    with pytest.raises(ModelError, match="what builds odd cannot be loaded: ModuleNotFoundError"):
        registry.build(name="x", kind="odd", folder=tmp_path)
