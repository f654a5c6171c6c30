"""A configuration that cannot be loaded yet: what is wrong with its models all the same, named in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamwatch.config import tree
from streamwatch.config.files import Unreadable, read_text
from streamwatch.config.findings import dotted
from streamwatch.config.loader import MAX_FILE
from streamwatch.detectors import registry
from streamwatch.detectors.folder import verify
from streamwatch.detectors.shipped import find_folder
from streamwatch.domain.errors import ModelError, Problem
from streamwatch.domain.urls import printable


def model_problems(path: Path) -> tuple[Problem, ...]:
    """Everything wrong with the models that a faulty file names, as far as it can be read."""
    try:
        document = tree.read(read_text(path, limit=MAX_FILE))
    except Unreadable:
        return ()
    lines = {dotted(key): line for key, line in document.lines.items()}
    written = document.value if isinstance(document.value, dict) else {}
    detectors = written.get("detectors")
    problems: list[Problem] = []
    for index, detector in enumerate(detectors if isinstance(detectors, list) else ()):
        if isinstance(detector, dict):
            problems.extend(_detector_problems(path, lines, index, detector))
    return tuple(problems)


def _detector_problems(path: Path, lines: dict[str, int], index: int, detector: dict[str, object]) -> Iterator[Problem]:
    def where(key: str) -> str:
        return f"{printable(str(path))}:{lines.get(key, 1)}"

    kind, model = detector.get("kind"), detector.get("model")
    if not isinstance(kind, str):
        return
    key = f"detectors.{index}.kind"
    try:
        registry.check_kind(kind, where=where(key), key=key)
        if isinstance(model, str) and "${" not in model:
            key = f"detectors.{index}.model"
            verify(find_folder(model, path.absolute().parent, where=where(key), key=key))
    except ModelError as error:
        yield from error.problems
