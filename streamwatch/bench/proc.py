"""What /proc says of processes: processor time, memory, threads. The parsing is pure; the reading is one call each."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Bytes of one process."""

    rss: int
    pss: int
    """Its own, and its share of what it shares."""
    own: int
    """What would be free if it ended (USS)."""
    heap: int
    """What it wrote itself: no pages of programs and libraries, which come and go with whoever shares them."""


class Usage(NamedTuple):
    """Processor seconds of one process since its start."""

    cpu_s: float
    """All threads, ended ones too."""
    main_s: float
    """The main thread alone: in a watcher, receiving and keeping the books."""


def parse_stat(text: str) -> float:
    """User and system seconds of a `stat` file; names may hold blanks and brackets."""
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def parse_smaps(text: str) -> Memory:
    """Of a `smaps_rollup` file."""
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":  # noqa: PLR2004 - a number and its unit
            sizes[name] = int(words[0]) * 1024
    own = sizes.get("Private_Clean", 0) + sizes.get("Private_Dirty", 0)
    return Memory(rss=sizes.get("Rss", 0), pss=sizes.get("Pss", 0), own=own, heap=sizes.get("Anonymous", 0))


def children(pid: int) -> tuple[int, ...]:
    """Process ids of the children, now; none where the process is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found.extend(int(child) for child in (thread / "children").read_text().split())
    return tuple(found)


def usage(pid: int) -> Usage | None:
    """Processor seconds so far; None where the process is gone."""
    try:
        whole = parse_stat(Path(f"/proc/{pid}/stat").read_text())
        main = parse_stat(Path(f"/proc/{pid}/task/{pid}/stat").read_text())
    except OSError:
        return None
    return Usage(whole, main)


def parse_core(text: str, core: int) -> float:
    """Seconds for which a core was busy, and those that the machine below took from it, by `/proc/stat`."""
    for line in text.splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _waiting, interrupts, soft, stolen = (int(field) for field in fields[:8])
            return (user + nice + system + interrupts + soft + stolen) / _TICKS
    return 0.0


def core_busy(core: int) -> float:
    """The same now; 0 where the kernel does not tell."""
    try:
        return parse_core(Path("/proc/stat").read_text(), core)
    except (OSError, ValueError):
        return 0.0


def memory(pid: int) -> Memory | None:
    """Memory now; None where the process is gone, or may not be asked."""
    try:
        return parse_smaps(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return None


def cpu_model() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return os.uname().machine
