"""Which kinds of detector there are, and building one. Imports no engine until a detector of its kind is built."""

from __future__ import annotations

from collections import Counter
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Protocol

from streamwatch.detectors.base import Detector
from streamwatch.domain.errors import ModelError, Problem

GROUP = "streamwatch.detectors"
"""Entry points of plug-ins: the name is the kind, the object a `DetectorFactory`."""


class DetectorFactory(Protocol):
    """Builds detectors of one kind, inside a watcher."""

    def __call__(self, *, name: str, folder: Path, sha256: str) -> Detector:
        """Return a detector ready to score.

        Args:
            name: what the operator calls it.
            folder: its `model` or `lists` folder.
            sha256: of the model as the daemon checked it; empty where nobody did. Another model must be refused.

        Raises:
            ModelError: the folder cannot be used.

        """
        ...


# Named, not imported: the daemon reads this file too, and holds no engine.
_BUILT_IN = (EntryPoint("onnx", "streamwatch.detectors.onnx:OnnxClassifier", GROUP),)
_PLANNED = {"pdq": "matching of known content is not built yet"}


def kinds() -> dict[str, EntryPoint]:
    """Every kind and where its factory is; loads nothing.

    Raises:
        ModelError: two offer the same kind; which of them would run must not depend on the order of installation.

    """
    plugins = tuple(metadata.entry_points(group=GROUP))
    offers = Counter([*_PLANNED, *(offer.name for offer in (*_BUILT_IN, *plugins))])
    problems = [
        Problem(f"plug-in {plugin.value}", "kind", f"offers {plugin.name}, which is taken", "a kind of its own")
        for plugin in plugins
        if offers[plugin.name] > 1
    ]
    if problems:
        raise ModelError(*problems)
    return {offer.name: offer for offer in (*_BUILT_IN, *plugins)}


def check_kind(kind: str, *, where: str = "", key: str = "kind") -> None:
    """Say whether detectors of this kind can be built; loads nothing. Raises ModelError.

    `where` and `key` (`FILE:LINE`, `detectors.0.kind`) name the setting.
    """
    if kind in _PLANNED:
        raise ModelError(
            Problem(where or kind, key, f"{kind}: {_PLANNED[kind]}", f"one of {', '.join(sorted(kinds()))}")
        )
    known = kinds()
    if kind not in known:
        raise ModelError(
            Problem(where or kind, key, f"no detectors of kind {kind}", f"one of {', '.join(sorted(known))}")
        )


def build(*, name: str, kind: str, folder: Path, sha256: str = "") -> Detector:
    """Build one detector. Called inside a watcher.

    Raises:
        ModelError: the kind is not known, its plug-in cannot be loaded, or the folder cannot be used.

    """
    check_kind(kind, where=name)
    try:
        factory: DetectorFactory = kinds()[kind].load()
    except Exception as error:  # an import can raise anything
        wrong = f"what builds {kind} cannot be loaded: {type(error).__name__}: {error}"
        raise ModelError(Problem(name, "kind", wrong)) from error
    return factory(name=name, folder=folder, sha256=sha256)
