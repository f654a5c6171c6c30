"""Checking a model folder: what its manifest says against what lies there.

The model is read once: what was hashed and looked into is what an engine is given. Everything wrong is found in one
go, and nothing here needs numpy or an engine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from streamwatch.detectors.anatomy import Anatomy, NotOnnx, Port, dissect
from streamwatch.detectors.manifest import MANIFEST, Lines, Place, parse, read_file
from streamwatch.detectors.spec import Manifest
from streamwatch.domain.errors import ModelError, Problem

MAX_LABELS_FILE = 128 * 1024
MAX_LABELS = 1000
MAX_LABEL = 128
MAX_MODEL = 1024**3
"""Bytes. An image classifier has some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A model folder that keeps what its manifest says, as far as that can be told without running it."""

    folder: Path
    manifest: Manifest
    labels: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    """The same with the model's bytes, for the engine."""

    verified: Verified
    data: bytes = field(repr=False)
    lines: Lines = field(repr=False)
    """Of the manifest's keys, for what only the engine can find wrong."""


def verify(folder: Path) -> Verified:
    """Check manifest, labels, hash and shapes of `folder`. Raises ModelError with every problem found."""
    return read_model(folder).verified


def read_model(folder: Path, *, sha256: str = "") -> Model:
    """Check `folder` as `verify` does and return the model's bytes too.

    `sha256`: the hash another process found, if any; a model that changed since is refused.
    """
    manifest, lines = parse(folder)
    path = folder / MANIFEST
    problems: list[Problem] = []
    labels: tuple[str, ...] = ()
    data = b""
    try:
        labels = _labels(folder / manifest.labels, Place(path, lines, "labels"))
    except ModelError as error:
        problems += error.problems
    try:
        data = read_file(folder / manifest.file, MAX_MODEL, Place(path, lines, "file"))
    except ModelError as error:
        problems += error.problems
    else:
        problems += _model_problems(manifest, labels, data, path=path, lines=lines, expected=sha256)
    problems += _label_problems(manifest, labels, path=path, lines=lines)
    if problems:
        raise ModelError(*problems)
    return Model(Verified(folder, manifest, labels, manifest.sha256), data, lines)


def _labels(path: Path, place: Place) -> tuple[str, ...]:
    """One label a line, in the order of the model's output."""
    try:
        names = read_file(path, MAX_LABELS_FILE, place).decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ModelError(Problem(str(path), "", "not UTF-8 text")) from error
    problems = []
    seen: dict[str, int] = {}
    for line, name in enumerate((name.removesuffix("\r") for name in names), start=1):
        if not name or name != name.strip() or len(name) > MAX_LABEL or not name.isprintable():
            right = f"1 to {MAX_LABEL} printable characters with no blanks around them"
            problems.append(Problem(f"{path}:{line}", "", "not a label", right))
        elif name in seen:
            problems.append(Problem(f"{path}:{line}", "", f"label {name} again", f"already on line {seen[name]}"))
        seen.setdefault(name, line)
    if len(names) > MAX_LABELS:
        problems.append(Problem(str(path), "", f"{len(names)} labels", f"at most {MAX_LABELS}"))
    if problems:
        raise ModelError(*problems[:20])
    return tuple(seen)


def _label_problems(manifest: Manifest, labels: tuple[str, ...], *, path: Path, lines: Lines) -> Iterator[Problem]:
    """Yield what names a label that the labels' file does not know."""
    named = [(f"thresholds.{label}", label) for label in manifest.thresholds]
    named += [(f"evaluation.{i}.label", item.label) for i, item in enumerate(manifest.evaluation)]
    named += [(f"golden.{i}.label", item.label) for i, item in enumerate(manifest.golden)]
    for key, label in named:
        if labels and label not in labels:
            right = f"one of {', '.join(labels[:8])}{' …' if len(labels) > 8 else ''}, from {manifest.labels}"  # noqa: PLR2004
            yield Place(path, lines, key).problem(f"no label {label}", right)


def _model_problems(
    manifest: Manifest, labels: tuple[str, ...], data: bytes, *, path: Path, lines: Lines, expected: str
) -> Iterator[Problem]:
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256:
        wrong = f"not the hash of {manifest.file}: that file was changed or replaced, or the manifest is another one's"
        yield Place(path, lines, "sha256").problem(wrong, f"{manifest.file} has {found}")
        return
    if expected and found != expected:
        wrong = f"{manifest.file} changed since it was checked: {found}"
        yield Place(path, lines, "file").problem(wrong, f"expected {expected}")
        return
    try:
        anatomy = dissect(data)
    except NotOnnx as error:
        yield Place(path, lines, "file").problem(f"{manifest.file} is no ONNX model: {error}")
        return
    if anatomy.external:
        wrong = f"{manifest.file} keeps numbers in other files, which no hash covers"
        yield Place(path, lines, "file").problem(wrong, "one file that holds everything")
    yield from _input_problems(manifest, anatomy, Place(path, lines, "input"))
    yield from _output_problems(manifest, anatomy, labels, Place(path, lines, "output"))


def _input_problems(manifest: Manifest, anatomy: Anatomy, place: Place) -> Iterator[Problem]:
    want = manifest.input
    names = ", ".join(port.name for port in anatomy.inputs) or "none"
    port = next((port for port in anatomy.inputs if port.name == want.name), None)
    if port is None or len(anatomy.inputs) != 1:
        yield place.problem(f"the model's inputs are: {names}", f"the one input, named {want.name}")
        return
    if port.dtype != want.dtype:
        yield place.problem(f"dtype {want.dtype} does not fit the model", f"its input is {port.dtype}")
    size = (3, want.height, want.width) if want.layout == "nchw" else (want.height, want.width, 3)
    if not _fits(port, (1, *size)):
        yield place.problem(f"{want.layout} {'x'.join(map(str, size))} does not fit the model", _shape(port))


def _output_problems(manifest: Manifest, anatomy: Anatomy, labels: tuple[str, ...], place: Place) -> Iterator[Problem]:
    want = manifest.output
    names = ", ".join(port.name for port in anatomy.outputs) or "none"
    port = next((port for port in anatomy.outputs if port.name == want.name), None)
    if port is None:
        yield place.problem(f"the model has no output {want.name}", f"its outputs are: {names}")
        return
    if labels and not (_fits(port, (1, len(labels))) or _fits(port, (len(labels),))):
        yield place.problem(f"{manifest.labels} holds {len(labels)} labels, not as many as the output", _shape(port))


def _fits(port: Port, shape: tuple[int, ...]) -> bool:
    """Whether a value of this shape can pass the port; dimensions that the model leaves open take anything."""
    if port.shape is None:
        return True
    pairs = zip(port.shape, shape, strict=False)
    return len(port.shape) == len(shape) and all(have in {None, want} for have, want in pairs)


def _shape(port: Port) -> str:
    shape = "any shape" if port.shape is None else "x".join("?" if size is None else str(size) for size in port.shape)
    return f"{port.name} is {shape}"
