import pytest

from streamwatch.bench import proc
from streamwatch.bench.measure import GapBook, Snapshot, figures_of, latency_figures, memory_figures
from streamwatch.bench.site import AlertSeen

MIB = 1 << 20
DAEMON, WATCHER, SPARE = 10, 11, 12


def snapshot(at: float, *, daemon: float, watcher: float, main: float, **metrics: float) -> Snapshot:
    usage = {
        DAEMON: proc.Usage(daemon, daemon),
        WATCHER: proc.Usage(watcher, main),
        SPARE: proc.Usage(0.5, 0.5),
    }
    around = {20: proc.Usage(at, 0.0)}
    return Snapshot(
        at,
        at,
        usage,
        around,
        at / 5,
        {name.replace("__", "{") + "}" * ("__" in name): v for name, v in metrics.items()},
    )


def test_costs_are_per_stream_and_minute() -> None:
    before = snapshot(100.0, daemon=5.0, watcher=20.0, main=8.0, **{"streamwatch_samples_total__detector=bench": 50})
    after = snapshot(130.0, daemon=6.0, watcher=23.0, main=9.5, **{"streamwatch_samples_total__detector=bench": 125})
    figures = figures_of(before, after, daemon=DAEMON, watcher=WATCHER, streams=20)
    assert figures["cpu"] == pytest.approx(0.4)  # 4 s in 30 s of 20 streams
    assert figures["core_share"] == pytest.approx(4 / 30)
    assert figures["cpu_publish"] == pytest.approx(0.1)
    assert figures["cpu_watcher_main"] == pytest.approx(0.15)
    assert figures["cpu_watcher_workers"] == pytest.approx(0.15)
    assert figures["looks_per_min"] == pytest.approx(7.5)
    assert figures["around_share"] == pytest.approx(1.0)
    assert figures["strangers_share"] == pytest.approx(0.2 - 4 / 30)


def test_a_process_that_came_in_the_window_counts_from_its_beginning() -> None:
    before = snapshot(0.0, daemon=1.0, watcher=1.0, main=1.0)
    after = snapshot(60.0, daemon=1.0, watcher=1.0, main=1.0)
    after.usage[13] = proc.Usage(3.0, 1.0)
    assert figures_of(before, after, daemon=DAEMON, watcher=WATCHER, streams=1)["cpu"] == pytest.approx(3.0)


def stream(name: str, gap: float | None, age: float | None) -> dict[str, object]:
    return {"sid": name, "gap_s": gap, "last_sample_s": age}


def test_each_gap_is_noted_once_and_what_was_before_the_window_never() -> None:
    book = GapBook([])
    book.note([stream("a", 9.0, 1.0), stream("b", None, None)], 100.0)
    book.note([stream("a", 9.0, 3.0), stream("b", None, 0.5)], 102.0)  # the same frame of a; b's first
    book.note([stream("a", 8.0, 1.0), stream("b", 2.0, 0.5)], 108.0)
    assert book.gaps == [8.0, 2.0]


def test_a_stream_that_waits_longer_than_any_gap_is_the_worst() -> None:
    book = GapBook([])
    book.note([stream("a", 8.0, 1.0)], 100.0)
    book.note([stream("a", 8.0, 14.0)], 113.0)
    assert book.gaps == []
    assert book.worst == 14.0


def test_memory_of_a_stream_is_a_difference() -> None:
    small = proc.Memory(rss=130 * MIB, pss=100 * MIB, own=95 * MIB, heap=80 * MIB)
    full = proc.Memory(rss=150 * MIB, pss=119 * MIB, own=114 * MIB, heap=99 * MIB)
    figures = memory_figures(small, full, 5, 100)
    assert figures["stream_mb"] == pytest.approx(0.2)
    assert figures["watcher_base_mb"] == pytest.approx(129)
    assert memory_figures(small, full, 5, 5)["stream_mb"] is None
    assert memory_figures(None, full, 5, 100) == {}


def test_without_an_alert_there_is_no_latency() -> None:
    assert latency_figures([]) == {"alerts": 0, "alert_p50_s": None, "alert_p95_s": None, "alert_max_s": None}
    assert latency_figures([AlertSeen(1, 0.3), AlertSeen(2, 0.1)])["alert_p50_s"] == 0.1
