"""YAML text to plain values, with the line of every key, and with limits on what a file can cost.

Built from parser events instead of a YAML loader: scalars stay the text that was written, so that the *model* decides
what is a number. The ten spellings of true in YAML 1.1, octal `010`, sexagesimal `12:30` and dates do not exist here:
a stream may be called `no` or `0123`. Tags, merge keys and duplicate keys are refused; aliases count what they copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from streamwatch.config.findings import MAX_PROBLEMS, Finding, Path
from streamwatch.domain.urls import printable

MAX_DEPTH = 50
MAX_NODES = 100_000

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it (all wheels): twenty times faster. Both are safe: neither builds objects."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufeff\uff00-\ufffd\U00010000-\U0010ffff]")
_QUOTED = re.compile(r"(['\"])(?!<)[^'\"]{4,}\1")
_SHOWN_KEY = 60


@dataclass(slots=True)
class _Node:
    """A scalar (`text`), a list (`items`) or a mapping (`entries`)."""

    line: int
    text: str | None = None
    items: list[_Node] | None = None
    entries: list[tuple[str, int, _Node]] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file as plain values: dict, list, str and None, nothing else."""

    value: object
    lines: dict[Path, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class _Halt(Exception):
    """Reading cannot go on after this finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.wrong)
        self.finding = finding


def read(text: str, *, parser: Any = None) -> Document:
    """Parse `text`. Never raises: what is wrong stands in `findings`, with a line."""
    control = _UNPRINTABLE.search(text)
    if control is not None:
        line = text.count("\n", 0, control.start()) + 1
        code = f"U+{ord(control[0]):04X}"
        return Document(None, findings=[Finding((), f"control character {code} in the text", line=line)])
    composer = _Composer(text, parser or _PARSER)
    builder = _Builder(composer.findings)
    try:
        root = composer.document()
        value = builder.build(root, (), 0) if root else None
    except _Halt as halt:
        return Document(None, findings=[*composer.findings, halt.finding])
    except yaml.YAMLError as error:
        return Document(None, findings=[*composer.findings, _syntax(error, text)])
    return Document(value, builder.lines, composer.findings)


class _Composer:
    """Events to nodes. Depth and number are limited here, before anything is copied."""

    def __init__(self, text: str, parser: Any) -> None:
        self.findings: list[Finding] = []
        self._events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=parser))
        self._anchors: dict[str, _Node] = {}
        self._nodes = 0

    def document(self) -> _Node | None:
        """The one document of the file; None for an empty file."""
        root: _Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Halt(
                        Finding((), "a second document begins here", "one document: remove `---`", _line(event))
                    )
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        self._nodes += 1
        line = _line(event)
        if self._nodes > MAX_NODES:
            raise _Halt(Finding((), f"more than {MAX_NODES} values", "a smaller file; discovery finds streams", line))
        if depth > MAX_DEPTH:
            raise _Halt(Finding((), f"nested deeper than {MAX_DEPTH} levels", line=line))
        if isinstance(event, yaml.AliasEvent):
            node = self._anchors.get(event.anchor or "")
            if node is None:
                right = "an anchor above this line; quote a text that begins with `*`"
                raise _Halt(Finding((), "an alias to nothing", right, line))
            return node
        node = self._fresh(event, depth)
        if event.anchor:  # type: ignore[attr-defined]
            # Known only once complete, so that nothing can contain itself.
            self._anchors[event.anchor] = node  # type: ignore[attr-defined]
        return node

    def _fresh(self, event: yaml.Event, depth: int) -> _Node:
        line = _line(event)
        if event.tag is not None:  # type: ignore[attr-defined]
            self.findings.append(Finding((), "a YAML tag", "no tags; quote a text that begins with `!`", line))
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            return _Node(line, text=None if plain and event.value in _NULLS else event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            node = _Node(line, items=[])
            for inner in self._until(yaml.SequenceEndEvent):
                node.items.append(self._node(inner, depth + 1))  # type: ignore[union-attr]
            return node
        node = _Node(line, entries=[])
        for inner in self._until(yaml.MappingEndEvent):
            key = self._key(inner, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key is not None:
                node.entries.append((key, _line(inner), value))  # type: ignore[union-attr]
        return node

    def _key(self, event: yaml.Event, depth: int) -> str | None:
        node = self._node(event, depth)
        wrong = right = ""
        if node.items is not None or node.entries is not None:
            wrong, right = "a list or section as a key", "quote a value that begins with `{` or `[`"
        elif node.text is None:
            wrong, right = "a key without a name", "`name: value`"
        elif node.text == "<<":
            wrong, right = "a merge key", "write the keys out; `*name` alone may stand for a whole value"
        if wrong:
            self.findings.append(Finding((), wrong, right, _line(event)))
            return None
        return node.text

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event


class _Builder:
    """Nodes to values, counting what aliases copy: a short file must not unfold into a large one."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        self.lines: dict[Path, int] = {}
        self._left = MAX_NODES

    def build(self, node: _Node, path: Path, depth: int) -> object:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise _Halt(Finding((), "aliases unfold into too much", "fewer copies", node.line))
        if node.items is not None:
            return [self._item(item, (*path, index), depth) for index, item in enumerate(node.items)]
        if node.entries is None:
            return node.text
        values: dict[str, object] = {}
        for key, line, inner in node.entries:
            here = (*path, key)
            if key in values:
                if len(self.findings) < MAX_PROBLEMS:
                    first = self.lines[here]
                    self.findings.append(Finding(here, f"written twice, first in line {first}", "once", line))
                continue
            self.lines[here] = line
            values[key] = self.build(inner, here, depth + 1)
        return values

    def _item(self, node: _Node, path: Path, depth: int) -> object:
        self.lines[path] = node.line
        return self.build(node, path, depth + 1)


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return int(mark.line) + 1 if mark is not None else 1


def _syntax(error: yaml.YAMLError, text: str) -> Finding:
    """A parser's complaint in one line, without the words of the file: they may be a secret."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = min(mark.line, text.count("\n")) + 1 if mark is not None else 1
    words = [str(part) for part in (getattr(error, "problem", None), getattr(error, "context", None)) if part]
    wrong = printable(_QUOTED.sub("…", " ".join(words) or "not YAML"))
    lines = text.split("\n", line)
    written = lines[line - 1] if len(lines) >= line else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return Finding((), "a tab in the indentation", "spaces", line)
    if "mapping values are not allowed" in wrong:
        return Finding(
            (), f"not YAML: {wrong}", "quote a text that contains `: `; indent keys of a section alike", line
        )
    return Finding((), f"not YAML: {wrong}", "", line)
