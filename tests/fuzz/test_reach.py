"""Whoever reads bytes from outside is fuzzed: modules that take bytes or text apart are found by walking the code."""

from __future__ import annotations

import ast
import functools
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.engine import targets

PACKAGE = Path(__file__).parents[2] / "streamwatch"
READING = {
    "loads", "from_json", "model_validate_json", "validate_json", "fromisoformat", "from_bytes", "unpack",
    "unpack_from", "iter_unpack", "decode", "urlsplit", "urljoin", "ip_address", "ip_network", "parse", "compose",
    "fromhex", "b64decode", "unquote", "partition", "rpartition", "findall", "fullmatch",
}  # fmt: skip
"""Calls by which bytes or text from somewhere become something else."""
TRUSTED = {
    "bench": "our own programs measured on this machine",
    "app": "the command line, and what our own demo says; configuration is read by `config`",
    "cli": "the command line of who runs it",
    "testcard": "our own encoder, and servers on loopback for tests and the demo; their chunks and AMF0 are `wire`'s",
    "sandbox": "the kernel's answers (grants have a target)",
    "domain.clock": "the clock",
    "domain.streams": "names, from the configuration",
    "telemetry.logs": "our own words",
}
"""Parts of the package whose input is nobody's to choose but the operator's, or ours; with the reason."""
ELSEWHERE = {
    "alerts.book": "moments of documents that `alerts.parts` has checked",
    "alerts.desk": "the same",
    "alerts.duty": "a note of our own in the ledger; tests damage it",
    "alerts.parts": "parts of the document, by the target `documents`",
    "alerts.summing": "moments of documents that `alerts.parts` has checked",
    "alerts.ulid": "ids of our own making; those of commands are checked by a pattern, in the target `commands`",
    "alerts.voice": "documents, by the target `documents`",
    "audit.segments": "names of files in our own folder; what stands in them is read by `audit.chain`",
    "bus.client": "the identifier in a PUBACK, two bytes; packets are read by the library, bad ones end all",
    "bus.inbox": "lanes of topics that `bus.topics` has read",
    "config.addresses": "by the target `config`",
    "config.fields": "by the target `config`",
    "daemon.auditing": "documents of our own making",
    "daemon.overhearing": "replies of our own making",
    "daemon.bases": "a note of our own in the ledger; damaged files by the target `ledger`",
    "detectors.glance": "arithmetic on pixels",
    "fleet.assignments": "our own configuration, on its way to a watcher",
    "ledger.hiding": "notes and documents of our own in the ledger, by the same target",
    "ledger.retention": "moments that the ledger wrote",
    "link.transport": "hands frames to `link.frames`, fuzzed both ways",
    "sources.decoder": "FFmpeg, in the watcher's sandbox: tests of hostile streams feed it",
    "sources.dial": "addresses that `sources.address` has checked",
    "sources.fallback.fetch": "the same answers and redirects as `sources.hls.http`, by the target `http-heads`",
    "sources.fallback.hls": "playlists, by the target `playlist`",
    "sources.rtmp.reader": "messages that the session has read",
}
"""Modules that take something apart and are not fuzzed by themselves; with the reason."""


@functools.cache
def _readers() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in READING:
                found.add(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    return found


def _within(module: str, names: object) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)  # type: ignore[attr-defined]


def test_every_reader_of_outside_bytes_has_a_target() -> None:
    fuzzed = {name for target in targets().values() for name in target.reads}
    missing = {name for name in _readers() - fuzzed if not _within(name, TRUSTED) and name not in ELSEWHERE}
    assert not missing, f"fuzz them (`reads` of a target in tests/fuzz), or say here why not: {sorted(missing)}"


def test_what_is_excused_is_there_and_not_fuzzed_too() -> None:
    fuzzed = {name for target in targets().values() for name in target.reads}
    readers = _readers()
    assert not fuzzed & ELSEWHERE.keys()
    assert set(ELSEWHERE) <= readers


def test_targets_name_modules_that_exist() -> None:
    for target in targets().values():
        assert target.reads, target.name
        for name in target.reads:
            assert find_spec(f"streamwatch.{name}") is not None, (target.name, name)
