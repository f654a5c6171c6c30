"""The document of `streamwatch bench sampling`, its tables and its picture, from one quick run of everything."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streamwatch.bench.sampling import experiment, picture, real
from streamwatch.bench.sampling.experiment import Size
from streamwatch.cli import bench, bench_sampling_view
from streamwatch.domain.errors import OutsideError

TINY = Size(2, 8, 8, 40.0, 1, (2,), 20, 3.0)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    patch = pytest.MonkeyPatch()
    patch.setattr(experiment, "QUICK", TINY)
    try:
        return experiment.simulate(quick=True, told=lambda _: None)
    finally:
        patch.undo()


def test_the_document_is_json_and_every_goal_has_a_name(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document))["schema"] == experiment.SCHEMA
    found = list(experiment.goals(document))
    assert len(found) > 10
    assert {wanted["figure"] for _, wanted in found} <= set(bench_sampling_view.FIGURES)


def test_everything_is_shown(document: dict[str, Any]) -> None:
    out = io.StringIO()
    bench_sampling_view.show({**document, "real": {"failed": "no servers"}}, Console(file=out))
    text = out.getvalue()
    for word in ("without novelty", "fixed rate", "1080p", "Goals", "no servers"):
        assert word in text


def test_a_check_in_real_time_is_shown_beside_its_simulation(document: dict[str, Any]) -> None:
    figures = {"looks_per_min": 8.5, "gap_p50_s": 7.0, "gap_p95_s": 8.0, "gap_max_s": 8.1}
    real = {"measured": {**figures, "cpu_decode": 0.02, "cpu_inner": 0.001, "uncovered_s": 0.0}, "simulated": figures}
    out = io.StringIO()
    bench_sampling_view.show({**document, "real": real}, Console(file=out))
    assert "measured" in out.getvalue()


def test_the_picture_is_the_same_for_the_same_document(document: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    drawn = picture.draw(document)
    assert drawn.startswith(b"<?xml")
    assert drawn == picture.draw(document)
    assert len(drawn) < 200_000


def test_the_command_writes_its_document_and_a_check_that_cannot_be_made_costs_nothing_else(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def nothing_there(*_: object, **__: object) -> dict[str, Any]:
        raise OutsideError("the benchmark needs what is not installed")

    monkeypatch.setattr(experiment, "simulate", lambda **_: dict(document))
    monkeypatch.setattr(real, "check", nothing_there)
    path = tmp_path / "sampling.json"
    done = CliRunner().invoke(bench.app, ["sampling", "--output", str(path)])
    assert done.exit_code == 0
    assert json.loads(path.read_text())["real"] == {"failed": "the benchmark needs what is not installed"}
    done = CliRunner().invoke(bench.app, ["sampling", "--no-real", "--output", str(path)])
    assert done.exit_code == 0
    assert "real" not in json.loads(path.read_text())
