"""From a file to a `Config`, or to everything that is wrong with it at once, each with its line."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from streamwatch.config import checks, explain, findings, tree
from streamwatch.config.files import Unreadable, read_text
from streamwatch.config.findings import MAX_PROBLEMS, VALUE, Finding, dotted
from streamwatch.config.models import Config
from streamwatch.config.partial import partial
from streamwatch.config.substitution import Substitution
from streamwatch.domain.errors import ConfigError, Problem
from streamwatch.domain.urls import printable

MAX_FILE = 4 * 1024 * 1024
"""Bytes of a configuration file: 10,000 streams need one of them."""
_SHOWN_VALUE = 60


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where it was written, for whoever finds something wrong with it later."""

    config: Config
    path: Path
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Dotted key to line, from 1: `streams.0.url` → 7. Keys that hold their default have none."""
    files: tuple[Path, ...] = ()
    """Every file it was read from, the configuration first: a change of any of them is a reason to reload."""
    sha256: str = ""
    """Of the file's text, as `sha256sum` says it; empty where no file was read."""

    def where(self, key: str) -> str:
        """`FILE:LINE` of a key, or of what it would stand in where it is not written."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{printable(str(self.path))}:{self.lines.get(key, 1)}"

    def problem(self, key: str, wrong: str, right: str = "") -> Problem:
        """A problem at a key of this file."""
        return Problem(self.where(key), key, wrong, right)

    def beside(self, name: str) -> Path:
        """A file named in the configuration that is only read: relative to the configuration's folder."""
        return self.path.parent / name

    def remarks(self) -> tuple[Problem, ...]:
        """What is allowed and probably not meant: no reason to refuse a start."""
        found = ((finding, _said(finding, {})) for finding in checks.remarks(self.config))
        return tuple(self.problem(dotted(finding.path), wrong, finding.right) for finding, wrong in found)


def load(path: Path, *, environ: Mapping[str, str]) -> Loaded:
    """Read and check a configuration file. Raises ConfigError with every problem in it."""
    try:
        text = read_text(path, limit=MAX_FILE)
    except Unreadable as why:
        raise ConfigError(Problem(printable(str(path)), "", why.wrong, why.right)) from why
    return replace(parse(text, path=path, environ=environ), sha256=digest(text))


def digest(text: str) -> str:
    """Which text of a configuration this is."""
    return hashlib.sha256(text.encode()).hexdigest()


def load_rules(path: Path, *, base: Path, environ: Mapping[str, str]) -> Loaded:
    """Read a file of which only the rules are wanted: a configuration, or nothing but `rules`.

    In the latter case everything else is as in the configuration `base`, which can be loaded. Raises ConfigError.
    """
    try:
        text, around = read_text(path, limit=MAX_FILE), read_text(base, limit=MAX_FILE)
    except Unreadable as why:
        raise ConfigError(Problem(printable(str(path)), "", why.wrong, why.right)) from why
    written = tree.read(text).value
    if isinstance(written, dict) and written.keys() <= {"rules"}:
        if not written.get("rules"):
            raise ConfigError(Problem(printable(str(path)), "rules", "holds no rules", "rules: and at least one"))
        expanded = Substitution(environ=environ, folder=base.parent).expand(tree.read(around).value)
        return parse(text, path=path, environ=environ, base=expanded if isinstance(expanded, dict) else {})
    return parse(text, path=path, environ=environ)


def parse(text: str, *, path: Path, environ: Mapping[str, str], base: Mapping[str, Any] | None = None) -> Loaded:
    """Check the text of a configuration file. `path` names it and tells where secret files are looked for.

    `base`: what holds of top keys that it does not write.
    """
    document = tree.read(text)
    written = document.value if document.value is not None else {}
    lines = {dotted(key): line for key, line in document.lines.items()}
    if not isinstance(written, dict):
        found = [*document.findings, Finding((), "the file is not made of keys", "key: value", 1)]
        raise _refusal(found, written, path, lines)
    if document.value is None and document.findings:
        raise _refusal(document.findings, written, path, lines)
    substitution = Substitution(environ=environ, folder=path.parent)
    values = substitution.expand(written)
    if base and isinstance(values, dict):
        values = {**base, **values}
    early = [*document.findings, *substitution.findings]
    config, late = _validate(values, {finding.path for finding in substitution.findings})
    if config is None or early:
        raise _refusal([*early, *late], written, path, lines, baseless=checks.baseless(config or partial(values)))
    return Loaded(config, path, MappingProxyType(lines), (path, *substitution.files))


def _validate(values: object, broken: set[findings.Path]) -> tuple[Config | None, list[Finding]]:
    """The configuration, or what is wrong with it beside what is already known to be `broken`."""
    try:
        return Config.model_validate(values), []
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    # The whole's own check, at the path of no length, stops at its first finding; below the same checks run for all.
    typed = [found for found in errors if found["loc"]]
    fresh = (found for found in typed if not _within(tuple(found["loc"]), broken))
    late = [explain.finding(found) for found in islice(fresh, MAX_PROBLEMS + 1)]
    if len(broken) + len(late) > MAX_PROBLEMS:
        return None, late  # more than will be told already; judging the rest of such a file could take long
    wrong = broken | {tuple(found["loc"]) for found in typed}
    fitting = (finding for finding in checks.findings(partial(values)) if not _reported(finding, wrong))
    late += islice(fitting, MAX_PROBLEMS + 1)
    return None, late


def _within(path: findings.Path, places: set[findings.Path]) -> bool:
    return any(path[:length] in places for length in range(1, len(path) + 1))


def _reported(finding: Finding, broken: set[findings.Path]) -> bool:
    return any(_within(place, broken) for place in (finding.path, *finding.given))


def _refusal(
    found: list[Finding], written: object, path: Path, lines: Mapping[str, int], *, baseless: tuple[str, ...] = ()
) -> ConfigError:
    file = printable(str(path))
    placed = sorted((_line(finding, lines), index) for index, finding in enumerate(found))
    problems = []
    for line, index in placed[:MAX_PROBLEMS]:
        finding = found[index]
        key = printable(dotted(explain.hidden(finding.path) or finding.path))
        problems.append(Problem(f"{file}:{line}", key, _said(finding, written), finding.right))
    if len(placed) > MAX_PROBLEMS:
        problems.append(Problem(file, "", "more problems than are listed here", "mend these and check again"))
    return ConfigError(*problems, baseless=baseless)


def _line(finding: Finding, lines: Mapping[str, int]) -> int:
    if finding.line is not None:
        return finding.line
    places = (dotted(finding.path[:length]) for length in range(len(finding.path), 0, -1))
    return next((lines[place] for place in places if place in lines), 1)


def _said(finding: Finding, written: object) -> str:
    """The finding with the value as it was written, before substitution, where that may be shown."""
    if VALUE not in finding.wrong:
        return finding.wrong
    shown = "the value"
    if explain.hidden(finding.path) is None:
        value = written
        for part in finding.path:
            value = _inside(value, part)
        if value is None:
            shown = "the default"
        elif isinstance(value, str):
            shown = f"`{printable(value, _SHOWN_VALUE)}`"
    return finding.wrong.replace(VALUE, shown)


def _inside(value: object, part: str | int) -> object:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None
