import pytest

from streamwatch.detectors import shipped
from streamwatch.domain.errors import ModelError


def test_beside_the_configuration_comes_first(tmp_path, monkeypatch):
    for place in ("etc", "here", "shipped"):
        (tmp_path / place / "models" / "m").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(shipped, "shipped_roots", lambda: iter([tmp_path / "shipped"]))
    expected = [tmp_path / place / "models/m" for place in ("etc", "here", "shipped")]
    for place in expected:
        assert shipped.find_folder("models/m", tmp_path / "etc") == place
        place.rmdir()


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    assert shipped.find_folder(str(tmp_path), tmp_path / "elsewhere") == tmp_path


def test_the_test_card_is_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (shipped.find_folder("models/test-card", tmp_path) / "manifest.yaml").is_file()


def test_an_installed_package_brings_its_own(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "streamwatch"
    folder = package / "shipped" / "models" / "test-card"
    folder.mkdir(parents=True)
    (tmp_path / "site-packages" / "models").mkdir()
    monkeypatch.setattr(shipped.resources, "files", lambda _: package)
    monkeypatch.chdir(tmp_path)
    assert shipped.find_folder("models/test-card", tmp_path) == folder
    assert list(shipped.shipped_roots()) == [package / "shipped"]


def test_nowhere_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as caught:
        shipped.find_folder("models/none", tmp_path / "etc", where="streamwatch.yaml:9", key="detectors.0.model")
    text = str(caught.value)
    assert text.startswith("streamwatch.yaml:9: detectors.0.model: no such folder: models/none (looked for ")
    assert f"{tmp_path}/etc/models/none, {tmp_path}/models/none, " in text
