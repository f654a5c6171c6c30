"""Where a model or list folder is: beside the configuration, here, or shipped with us."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from streamwatch.domain.errors import ModelError, Problem


def find_folder(name: str, base: Path, *, where: str = "", key: str = "model") -> Path:
    """Return the folder called `name`, absolute.

    A relative name is looked for in `base` (the folder of the configuration file), in the working directory, then
    among what is shipped with the package. `where` and `key` (`FILE:LINE`, `detectors.0.model`) name the setting.

    Raises:
        ModelError: there is none; says where it was looked for.

    """
    if Path(name).is_absolute():
        places = [Path(name)]
    else:
        places = list(dict.fromkeys((root / name).absolute() for root in _roots(base)))
    for place in places:
        if place.is_dir():
            return place
    right = "looked for " + ", ".join(str(place) for place in places)
    raise ModelError(Problem(where or name, key if where else "", f"no such folder: {name}", right))


def shipped_roots() -> Iterator[Path]:
    """Folders that hold what is shipped: inside an installed package, and above the package in a source checkout."""
    package = Path(str(resources.files("streamwatch")))
    yield package / "shipped"
    if (package.parent / "pyproject.toml").is_file():
        yield package.parent


def _roots(base: Path) -> Iterator[Path]:
    yield base
    yield Path.cwd()
    yield from shipped_roots()
