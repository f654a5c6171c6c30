"""The proof that no footage is kept, and the proof of the proof: with leaks built in, it must fail and name them."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon import RULE
from tests.integration.journal import eventually
from tests.proof import life, marker, verdict
from tests.proof.__main__ import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"no proof can be made here: {missing()}")

# What each leak of tests/proof/leaky.py must be found by, one sign a way of finding it.
LEAKS = {
    "a file": (r"opens .*leak-file-\d+\.raw for writing", r"leak-file-\d+\.raw: the marker \(key picture, RGB 64x64"),
    "a file that is gone": (r"opens .*leak-gone-\d+\.png", r"watcher \d+, .*leak-gone-\d+\.png: a PNG picture"),
    "an attribute": (r"call f?setxattr", r"attribute user\.note of .*: the marker \(.*RGB 64x64"),
    "shared memory": (r"opens /dev/shm/leak-shared", r"/leak-shared-\d+: the marker"),
    "a mapped file": (r"shares 16384 bytes of .*leak-mapped", r"leak-mapped-\d+: the marker"),
    "a file in memory": (r"makes a file in memory, leak", r"watcher \d+, /memfd:leak: the marker"),
    "a log line": (r"watcher \d+, pipe.*: the marker \(.*base64",),  # the daemon cuts it out before it logs it
    "another picture": (r"leak-jpeg-\d+: a JPEG picture",),
    "size": (r"sends 20000 bytes at once to pipe",),
    "a core": (r"watcher \d+: left a core \(SIGSEGV\)", r"core.*: the marker"),
    "a recording": (r"state/cache\.bin: the marker \(bitstream\)", r"state/cache\.bin: an MPEG transport stream"),
    "the daemon's connection": (r"daemon \d+, call sendto: sends \d+ bytes to TCP",),
    "the daemon's file": (r"daemon \d+, call openat: opens .*leak-daemon for writing",),
    "the daemon's output": (r"daemon \d+, pipe.*: the marker \(bitstream",),
}


@pytest.fixture
def shm() -> Iterator[None]:
    yield
    for path in Path("/dev/shm").glob("leak-shared-*"):  # noqa: S108
        path.unlink()


async def test_nothing_of_a_marker_is_found_after_a_whole_life(tmp_path: Path) -> None:
    made = await marker.make()
    lived = await life.whole(tmp_path, made, print)
    reached = verdict.reach(lived, made)
    assert [f"{found.place}: {found.what}" for found in reached.findings] == []
    assert {"SIGSEGV", "SIGABRT", "SIGKILL"} <= set(reached.ends)
    assert reached.processes["daemon"] == 2
    document = verdict.attestation(reached, lived, 1.0)
    assert document["result"] == "proved"
    assert len(lived.phases) >= 10
    assert sum(document["trace"]["bytes_sent"].values()) > 10_000  # the trace did see what was said
    assert document["searched"]["files_changed"] > 5


@pytest.mark.usefixtures("shm")
async def test_every_leak_that_is_built_in_is_found_and_named(tmp_path: Path) -> None:
    made = await marker.make()
    async with life.life(tmp_path, made) as here:
        daemon = await here.begin(
            program=("-m", "tests.proof.leaky"), detectors=["leaky"], privacy={"sandbox": "off"}, rules=[RULE]
        )
        await daemon.log.until(lambda e: "seen" in str(e), limit=30, what="the watcher's leaks")
        await here.looked()
        cache = tmp_path / "ours" / "state" / "cache.bin"
        await eventually(cache.exists, limit=30, what="the daemon's leaks")
        await here.lost(0, lambda pid: os.kill(pid, signal.SIGSEGV), limit=60)
        lived = await here.end()
    told = "\n".join(f"{found.place}: {found.what}" for found in verdict.reach(lived, made).findings)
    shutil.rmtree(tmp_path / "ours")  # a core is large
    expected = {f"{name}: {sign}": sign for name, signs in LEAKS.items() for sign in signs}
    if not cores_come():
        expected = {name: sign for name, sign in expected.items() if not name.startswith("a core")}
    missed = [name for name, sign in expected.items() if not re.search(sign, told)]
    assert missed == [], told
    assert not re.search(r"the daemon's log: the marker \(.*base64", told)


def cores_come() -> bool:
    """Whether a process on this machine leaves its core in its working directory."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    return pattern.startswith("core") and resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
