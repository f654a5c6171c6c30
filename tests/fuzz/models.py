"""Model folders that came from somewhere: the manifest, the labels, the model file's own description."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from streamwatch.detectors.anatomy import Anatomy, NotOnnx, dissect
from streamwatch.detectors.folder import MAX_LABELS, verify
from streamwatch.detectors.manifest import MANIFEST
from streamwatch.domain.errors import ModelError
from tests.fuzz.engine import Target

_SHIPPED = Path(__file__).parents[2] / "models" / "test-card"
_PARTS = (MANIFEST, "labels.txt")
_LINE = 3000


@functools.cache
def _folder() -> Path:
    made = tempfile.TemporaryDirectory(prefix="streamwatch-fuzz-")
    _kept.append(made)
    folder = Path(made.name)
    for name in ("model.onnx", *_PARTS):
        (folder / name).write_bytes((_SHIPPED / name).read_bytes())
    return folder


_kept: list[tempfile.TemporaryDirectory[str]] = []
"""Goes with the process."""


def check_folder(data: bytes) -> None:
    """A byte that says which file is spoiled, then the file."""
    name = _PARTS[data[0] % len(_PARTS)] if data else MANIFEST
    path = _folder() / name
    path.write_bytes(data[1:])
    try:
        verified = verify(_folder())
    except ModelError as error:
        assert error.problems
        assert all(len(str(problem)) < _LINE for problem in error.problems), "an error that grows with the file"
    else:
        assert 0 < len(verified.labels) <= MAX_LABELS
        assert verified.manifest.sha256 == verified.sha256
    finally:
        path.write_bytes((_SHIPPED / name).read_bytes())


def check_anatomy(data: bytes) -> None:
    try:
        found = dissect(data)
    except NotOnnx:
        return
    assert isinstance(found, Anatomy)
    assert len(found.inputs) + len(found.outputs) <= len(data)
    assert sum(len(port.shape or ()) for port in (*found.inputs, *found.outputs)) <= len(data)


def _models() -> list[bytes]:
    from tests.detectors import folders  # noqa: PLC0415 - onnx takes a second to import

    return [folders.channel_means().SerializeToString(), folders.with_external_data().SerializeToString(),
            (_SHIPPED / "model.onnx").read_bytes()[:3000]]  # fmt: skip


TARGETS = (
    Target("model-folder", check_folder,
           lambda: [bytes([at]) + (_SHIPPED / name).read_bytes() for at, name in enumerate(_PARTS)],
           ("detectors.manifest", "detectors.folder"), brief=60),
    Target("model-anatomy", check_anatomy, _models, ("detectors.anatomy",), brief=2000),
)  # fmt: skip
