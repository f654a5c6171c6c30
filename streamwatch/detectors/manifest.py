"""Reading `manifest.yaml` of a model folder: values, and the line of every key for those who have to mend one.

Neither numpy nor an engine is needed: the daemon checks model folders too. Everything wrong is a `Problem` that names
`FILE:LINE` and says what would be right.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from streamwatch.detectors import spec
from streamwatch.detectors.spec import Manifest
from streamwatch.domain.errors import ModelError, Problem

MANIFEST = "manifest.yaml"
MAX_MANIFEST = 64 * 1024
"""Bytes."""

Lines = dict[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A setting in a manifest, for messages."""

    path: Path
    lines: Lines
    key: str

    def problem(self, wrong: str, right: str = "") -> Problem:
        """What is wrong here."""
        return Problem(f"{self.path}:{self._line()}", self.key, wrong, right)

    def _line(self) -> int:
        """Line of the key, or of the nearest part of the manifest that contains it."""
        parts = self.key.split(".")
        found = (self.lines.get(".".join(parts[:n])) for n in range(len(parts), -1, -1))
        return next((line for line in found if line is not None), 1)


def load_manifest(folder: Path) -> Manifest:
    """Read `manifest.yaml` of `folder`. Raises ModelError with every problem found."""
    return parse(folder)[0]


def parse(folder: Path) -> tuple[Manifest, Lines]:
    """Read the manifest and the line of each of its keys. Raises ModelError with every problem found."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ModelError(Problem(str(folder), "", "no such model folder", f"a folder with a {MANIFEST}"))
    try:
        text = read_file(path, MAX_MANIFEST, None).decode()
    except UnicodeDecodeError as error:
        raise ModelError(Problem(str(path), "", "not UTF-8 text")) from error
    lines: Lines = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = _value(node, "", lines, set()) if node is not None else None
    except _Unfit as error:
        raise ModelError(Problem(f"{path}:{error.line}", error.key, error.wrong, error.right)) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ModelError(Problem(f"{path}:{line}", "", f"not YAML: {error.problem or error}")) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ModelError(Problem(f"{path}:1", "", "not YAML that a manifest could be")) from error
    if not isinstance(raw, dict):
        raise ModelError(Problem(f"{path}:1", "", "not a manifest", "keys and values, as in models/test-card"))
    try:
        return Manifest.model_validate(raw), lines
    except ValidationError as error:
        problems = (_problem(path, lines, dict(detail)) for detail in error.errors(include_url=False))
        raise ModelError(*dict.fromkeys(problems)) from error


class _Unfit(Exception):
    """A YAML feature that a manifest has no use for."""

    def __init__(self, node: yaml.Node, key: str, wrong: str, right: str = "") -> None:
        super().__init__(wrong)
        self.line, self.key, self.wrong, self.right = node.start_mark.line + 1, key, wrong, right


def _value(node: yaml.Node, key: str, lines: Lines, seen: set[int]) -> object:
    """Turn a YAML node into plain values and note the line of every key. Refuses doubles and references."""
    lines.setdefault(key, node.start_mark.line + 1)
    if id(node) in seen:
        # an alias; a few nested ones expand to more than any memory holds
        raise _Unfit(node, key, "a reference to another value", "the value itself")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        out: dict[str, object] = {}
        for key_node, value_node in node.value:
            name = str(key_node.value)
            if name in out:
                raise _Unfit(key_node, f"{key}.{name}".lstrip("."), "given twice", "once")
            path = f"{key}.{name}".lstrip(".")
            lines[path] = key_node.start_mark.line + 1
            out[name] = _value(value_node, path, lines, seen)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{key}.{i}".lstrip("."), lines, seen) for i, item in enumerate(node.value)]
    scalar: object = _SCALARS.construct_object(node)
    return scalar


_SCALARS = yaml.constructor.SafeConstructor()


def _problem(path: Path, lines: Lines, detail: dict[str, object]) -> Problem:
    location = detail["loc"]
    parts = [str(part) for part in location] if isinstance(location, tuple) else []
    # pydantic adds the name of a union's branch to the path; the manifest has no such key
    key = ".".join(part for part in parts if part not in {"SeedPicture", "FlatPicture"})
    place = Place(path, lines, key)
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(parts[-1], sorted(set(_known_keys())), n=1)
        return place.problem("no such key", f"did you mean {near[0]}?" if near else "")
    if detail["type"] == "missing":
        return place.problem("missing")
    return place.problem(str(detail["msg"]).removeprefix("Value error, "))


def _known_keys() -> Iterator[str]:
    for part in vars(spec).values():
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from (entry.alias or name for name, entry in part.model_fields.items())


def read_file(path: Path, limit: int, place: Place | None) -> bytes:
    """Read a whole file of at most `limit` bytes; a device or a pipe is no file."""

    def problem(wrong: str, right: str = "") -> Problem:
        return place.problem(f"{path.name}: {wrong}", right) if place else Problem(str(path), "", wrong, right)

    try:
        # without O_NONBLOCK, opening a pipe nobody writes to would wait for ever
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123  # Path.open takes no flags
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise ModelError(problem("not a file"))
            if info.st_size > limit:
                raise ModelError(problem(f"{info.st_size} bytes", f"at most {limit}"))
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise ModelError(problem("no such file", f"expected at {path}")) from error
    except OSError as error:
        raise ModelError(problem(f"cannot be read: {error.strerror or error}")) from error
    if len(data) > limit:
        raise ModelError(problem(f"more than {limit} bytes", f"at most {limit}"))
    return data
