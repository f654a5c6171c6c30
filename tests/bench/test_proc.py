import mmap
import os
import time

from streamwatch.bench import proc

STAT = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 9 9 20 0 3 0 100 1 1 1\n"
SMAPS = """55d0-7ffc ---p 00000000 00:00 0    [rollup]
Rss:                2048 kB
Pss:                1024 kB
Private_Clean:       100 kB
Private_Dirty:       400 kB
Anonymous:           300 kB
Locked:                0 kB
"""


def test_processor_time_is_found_behind_any_name() -> None:
    assert proc.parse_stat(STAT) * os.sysconf("SC_CLK_TCK") == 300


def test_a_core_is_busy_with_whatever_is_not_idle_or_waiting() -> None:
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 1000 500 4 5 6 0 0\ncpu1 0 0 0 1 1 0 0 0 0 0\nintr 5\n"
    assert proc.parse_core(text, 0) * os.sysconf("SC_CLK_TCK") == 21
    assert proc.parse_core(text, 1) == proc.parse_core(text, 2) == 0
    assert proc.core_busy(min(os.sched_getaffinity(0))) > 0


def test_memory_in_bytes() -> None:
    assert proc.parse_smaps(SMAPS) == proc.Memory(rss=2048 << 10, pss=1024 << 10, own=500 << 10, heap=300 << 10)


def test_this_process_is_seen_to_work() -> None:
    before = proc.usage(os.getpid())
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
    after = proc.usage(os.getpid())
    assert before is not None
    assert after is not None
    assert after.main_s - before.main_s >= 0.08
    assert after.cpu_s >= after.main_s


def test_this_process_has_memory_and_what_is_written_is_counted_as_its_own() -> None:
    before = proc.memory(os.getpid())
    with mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as fresh:
        fresh.write(bytes(8 << 20))
        after = proc.memory(os.getpid())
    assert before is not None
    assert after is not None
    assert after.heap - before.heap > 7 << 20


def test_who_is_gone_has_neither() -> None:
    nobody = 1 << 22  # the kernel's largest process id, plus one
    assert (proc.usage(nobody), proc.memory(nobody), proc.children(nobody)) == (None, None, ())
