"""Writers that die at any moment, and a disk that really is full."""

import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamwatch.audit.log import AuditError, AuditLog, Fact
from streamwatch.audit.segments import Reading, segments
from streamwatch.audit.verification import verify
from tests.audit.book import AT

ROOT = Path(__file__).parents[2]
KILLS = 8


def test_no_kill_costs_a_line_that_was_written_or_leaves_a_log_that_is_not_sound(tmp_path):
    rng = random.Random(7)
    told = 0
    for _ in range(KILLS):
        command = [sys.executable, "-m", "tests.audit.writer", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
                              stderr=subprocess.DEVNULL) as writer:  # fmt: skip
            assert writer.stdout is not None
            for _ in range(rng.randrange(1, 150)):
                told = int(writer.stdout.readline())
            writer.kill()
            told = max([told, *(int(line) for line in writer.stdout.read().split(b"\n")[:-1])])
        reading = Reading(tmp_path)
        found = verify(reading.lines())
        assert [damage for damage in found.damages if damage.what != "torn"] == []
        assert found.tip.n >= told
    assert len(segments(tmp_path)) > 1


def test_a_disk_that_takes_a_part_of_a_line_keeps_no_half_of_it(tmp_path):
    log = AuditLog(tmp_path)
    log.append(Fact(AT, "a.kind", {}))
    size = segments(tmp_path)[0].stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs() as logs:
        for more in (0, 1, 150):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + more, hard))
            try:
                with pytest.raises(AuditError, match="too large"):
                    log.append(Fact(AT, "a.kind", {"lost": True}))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert segments(tmp_path)[0].stat().st_size == size
        log.append(Fact(AT, "a.kind", {}))
    log.close()
    found = verify(Reading(tmp_path).lines())
    assert (found.lines, found.damages, logs) == (2, [], [])


CONFINED = """
import sys
from pathlib import Path
from streamwatch.audit.log import AuditLog, Fact
from streamwatch.sandbox.enter import enter_daemon

folder = Path(sys.argv[1])
print(sum(layer.in_force for layer in enter_daemon("preferred", writable=(str(folder),))))
log = AuditLog(folder, segment_bytes=500)
for day in range(1, 6):
    log.append(Fact(f"2026-11-0{day}T00:00:00.000Z", "a.kind", {}))
while log.age(at="2026-11-06T00:00:00.000Z", delete="2026-11-04T00:00:00.000Z", close="2026-11-01T00:00:00.000Z"):
    pass
"""


def test_it_sets_aside_begins_and_deletes_inside_the_daemons_sandbox(tmp_path):
    log = AuditLog(tmp_path)
    log.append(Fact("2026-11-01T00:00:00.000Z", "a.kind", {}))
    log.close()
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes() + b"half a li")
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    [layers] = (int(said) for said in done.stdout.split("\n") if said.isdigit())
    assert layers >= 1
    assert verify(Reading(tmp_path).lines()).damages == []
    assert not path.exists()
