"""From a life to a verdict, and the attestation that an auditor keeps."""

from __future__ import annotations

import json
import platform
import resource
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import av

from streamwatch import __version__
from tests.proof import allowed, forms, places, trace
from tests.proof.finder import Finder
from tests.proof.haystack import Blob, Found, search
from tests.proof.life import Lived
from tests.proof.marker import HEIGHT, WIDTH, Marker

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "streamwatch.no-footage/1"
_LIBRARIES = ("av", "onnxruntime", "opencv-python-headless", "numpy", "aiohttp", "aiomqtt")
_ONCE = 4
"""Findings of one kind at one place that are told one by one."""


@dataclass(slots=True)
class Verdict:
    """What was looked at, and what was found."""

    findings: list[Found]
    judged: allowed.Judged
    processes: Counter[str]
    tally: places.Tally
    searched: int
    """Bytes that were searched, files and all that was said."""
    patterns: int
    forms: tuple[str, ...]
    ends: Counter[str] = field(default_factory=Counter)
    """Signals by which watchers ended."""

    @property
    def proved(self) -> bool:
        """Nothing was found."""
        return not self.findings


def reach(lived: Lived, marker: Marker) -> Verdict:
    """Judge a life: by its traces, and by everything that it left anywhere."""
    finder = Finder(forms.of(marker))
    processes = trace.read(sorted(lived.traces.glob("run-*.*")))
    judged = allowed.judge(processes, lived.site)
    tally = places.Tally()
    found: list[Found] = list(judged.findings)
    searched = 0
    guilty: set[str] = set()
    for blob in _everything(lived, judged, tally):
        if blob.place in guilty:
            continue  # a further piece of a large file that is known to hold it
        searched += len(blob.data)
        here = search(blob, finder)
        if here and len(blob.data) >= places.STEP:
            guilty.add(blob.place)
        found += here
    return Verdict(
        findings=_told(found),
        judged=judged,
        processes=Counter(allowed.role(process) for process in processes),
        tally=tally,
        searched=searched,
        patterns=finder.count,
        forms=finder.forms,
        ends=Counter(process.end for process in processes if process.end and allowed.role(process) == "watcher"),
    )


def _everything(lived: Lived, judged: allowed.Judged, tally: places.Tally) -> Iterator[Blob]:
    yield from judged.said
    yield from lived.blobs
    mounts = places.writable_mounts(Path("/proc/self/mountinfo").read_text())
    yield from places.changed(mounts, since=lived.since, ours=lived.ours, without=lived.without, tally=tally)


def _told(found: Iterable[Found]) -> list[Found]:
    """Each once, with how often; of many forms at one place the first few."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in found:
        counts[one.place, one.what] += one.pieces
    at: Counter[str] = Counter()
    told: list[Found] = []
    for (place, what), pieces in counts.items():
        at[place] += what.startswith("the marker")
        if at[place] <= _ONCE:
            told.append(Found(place, what, pieces))
        elif at[place] == _ONCE + 1:
            told.append(Found(place, "and more", 1))
    return told


def attestation(verdict: Verdict, lived: Lived, seconds: float) -> dict[str, Any]:
    """What an auditor keeps. Nothing of the marker is in it."""
    judged, tally = verdict.judged, verdict.tally
    return {
        "schema": SCHEMA,
        "result": "proved" if verdict.proved else "found",
        "findings": [{"where": f.place, "what": f.what, "pieces": f.pieces} for f in verdict.findings],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "took_s": round(seconds, 1),
        "streamwatch": {"version": __version__, **_commit()},
        "machine": {
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "core_pattern": _read("/proc/sys/kernel/core_pattern"),
            "core_limit": resource.getrlimit(resource.RLIMIT_CORE)[1],
            "python": platform.python_version(),
            "ffmpeg": av.ffmpeg_version_info,
            "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        },
        "sandbox": lived.layers,
        "phases": lived.phases,
        "remarks": lived.remarks,
        "processes": dict(verdict.processes),
        "watchers_ended_by": dict(verdict.ends),
        "trace": {
            "calls": judged.calls,
            "opened_for_writing": dict(judged.opened),
            "refused_attempts": dict(+judged.refused),
            "bytes_sent": dict(judged.sent),
            "largest_call": dict(judged.largest),
            "largest_allowed": allowed.LARGEST_WRITE,
        },
        "searched": {
            "bytes": verdict.searched,
            "files_seen": tally.files,
            "files_changed": tally.changed,
            "file_bytes_read": tally.read,
            "files_unreadable": tally.unreadable,
            "pieces": verdict.patterns,
            "forms": sorted({form.split(", ", 1)[-1] for form in verdict.forms}),
            "picture": f"{WIDTH}x{HEIGHT}",
        },
        "not_searched": {
            "servers": "folders of nginx-rtmp and of the publishers: they have the stream lawfully",
            "traces": "the syscall trace itself, whose payloads are searched decoded",
            "elsewhere": "outside the daemon's and the broker's folders, which others write too, the marker is looked "
            "for, and not any picture whatever",
            "forms": "a picture scaled, encoded or encrypted in a way that is not listed is caught by where, how much "
            "and with which first bytes it is written, not by content",
        },
    }


def write(document: dict[str, Any], path: Path) -> None:
    """Put the attestation where it is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> dict[str, Any]:
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
        changes = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None}
    return {"commit": head.stdout.strip(), "changed_since": bool(changes.stdout.strip())}


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return "?"
