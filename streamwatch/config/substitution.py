"""`${NAME}` and `${file:PATH}` inside values. The result is text and never read as YAML again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from streamwatch.config import findings
from streamwatch.config.files import Unreadable, read_text
from streamwatch.config.findings import Finding
from streamwatch.domain.urls import printable

MAX_SECRET = 64 * 1024
"""Bytes of a secret file, and characters of a value after substitution."""
MAX_REFERENCES = 1000
"""References in one file: with MAX_SECRET the bound of what substitution can add."""

_REFERENCE = re.compile(
    r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]{0,199})|file:(?P<file>[^}\x00]{1,4096}))\}|(?P<bad>\$\{)"
)


class Substitution:
    """Expands a document's values; collects what is wrong and which files were read."""

    def __init__(self, *, environ: Mapping[str, str], folder: Path) -> None:
        self.findings: list[Finding] = []
        self.files: dict[Path, str | Unreadable] = {}
        """Every secret file tried, so that a reload can watch them."""
        self._environ = environ
        self._folder = folder
        self._left = MAX_REFERENCES

    def expand(self, value: object, path: findings.Path = ()) -> object:
        """The value with every reference replaced; where that fails a finding is kept and the text stays as written."""
        if isinstance(value, dict):
            return {key: self.expand(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.expand(inner, (*path, index)) for index, inner in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, path)
        return value

    def _text(self, text: str, path: findings.Path) -> str:
        try:
            result = _REFERENCE.sub(self._replacement, text)
            result.encode()
        except Unreadable as why:
            self.findings.append(Finding(path, why.wrong, why.right))
            return text
        except UnicodeEncodeError:
            self.findings.append(Finding(path, "not UTF-8 text after substitution"))
            return text
        if len(result) > MAX_SECRET:
            self.findings.append(Finding(path, f"longer than {MAX_SECRET // 1024} KiB after substitution"))
            return text
        return result

    def _replacement(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        self._left -= 1
        if self._left < 0:
            raise Unreadable(f"more than {MAX_REFERENCES} references in one file")
        if match["name"]:
            return self._variable(match["name"])
        if match["file"]:
            return self._secret(match["file"])
        raise Unreadable("a `${` that names nothing", "${NAME}, ${file:PATH}, or $${ for the two characters themselves")

    def _variable(self, name: str) -> str:
        try:
            return self._environ[name]
        except KeyError as error:
            right = f"set {name}, or write $${{ for the two characters themselves"
            raise Unreadable(f"the environment variable {name} is not set", right) from error

    def _secret(self, name: str) -> str:
        path = self._folder / name
        if path not in self.files:
            try:
                self.files[path] = read_text(path, limit=MAX_SECRET)
            except Unreadable as why:
                self.files[path] = why
        found = self.files[path]
        if isinstance(found, Unreadable):
            raise Unreadable(f"secret file {printable(str(path))}: {found.wrong}", found.right) from found
        # Editors and `echo` end a file with a newline that is no part of the secret; only one is taken off.
        return found.removesuffix("\n").removesuffix("\r")
