"""Programmes and their packets: what the simulation stands on."""

import itertools
import shutil
from pathlib import Path

import pytest

from streamwatch.bench.sampling import traces
from streamwatch.bench.sampling.programme import APART_S, LENGTHS_S, plot
from streamwatch.bench.sampling.traces import Trace, TraceSpec


@pytest.mark.parametrize("cuts", [0, 2, 18])
def test_a_plot_has_as_many_other_cuts_as_asked_for_and_its_events_keep_apart(cuts: int) -> None:
    made = plot(240, cuts, seed=3)
    assert len(made.cuts) == 4 * cuts
    assert {event.length for event in made.events} <= set(LENGTHS_S)
    assert all(after.begin - before.end >= APART_S[0] - 0.1 for before, after in itertools.pairwise(made.events))
    assert made.events[-1].end < 240
    assert set(made.all_cuts) == {*made.cuts, *(edge for event in made.events for edge in (event.begin, event.end))}


def test_the_same_seed_is_the_same_plot_and_another_is_another() -> None:
    assert plot(120, 8, seed=1) == plot(120, 8, seed=1) != plot(120, 8, seed=2)


@pytest.mark.parametrize("cuts", traces.RECORDED_CUTS)
def test_recorded_traces_come_back_as_they_were_written(cuts: int) -> None:
    for trace in traces.recorded(cuts):
        assert Trace.read(trace.dump()) == trace
        assert trace.cuts_per_minute == cuts
        assert len(trace.arrivals) == round(trace.plot.seconds * 25)


@pytest.mark.parametrize("cuts", traces.RECORDED_CUTS)
def test_recorded_traces_are_like_streams(cuts: int) -> None:
    """Rate as asked for, keys as set, anchors shown after all before them, and nothing shown before it came."""
    off, on = traces.recorded(cuts)
    for trace in (off, on):
        kilobits = sum(trace.sizes) * 8 / 1000 / trace.plot.seconds
        assert kilobits == pytest.approx(traces.KILOBITS, rel=0.05)
        latest = -1.0
        for anchor, shown in zip(trace.anchors, trace.shown, strict=True):
            assert anchor == (shown > latest)
            latest = max(latest, shown)
    keys = [at for at, key in zip(off.arrivals, off.keys, strict=True) if key]
    assert {round(b - a, 2) for a, b in itertools.pairwise(keys)} == {2.0}
    keys = [at for at, key in zip(on.arrivals, on.keys, strict=True) if key]
    assert max(b - a for a, b in itertools.pairwise(keys)) == pytest.approx(4.0)


def test_cuts_are_where_the_plot_says() -> None:
    """With scenecut most cuts are on a key; without, the anchors at many of them are several times the usual size."""
    off, on = traces.recorded(18)
    keyed = {shown for shown, key in zip(on.shown, on.keys, strict=True) if key}
    cuts = on.plot.all_cuts
    assert sum(any(abs(shown - cut) < 0.13 for shown in keyed) for cut in cuts) > 0.6 * len(cuts)
    anchors = [
        (shown, size)
        for shown, size, key, anchor in zip(off.shown, off.sizes, off.keys, off.anchors, strict=True)
        if anchor and not key
    ]
    usual = sorted(size for _, size in anchors)[len(anchors) // 2]
    large = [shown for shown, size in anchors if size > 2 * usual]
    assert sum(any(-0.01 < shown - cut < 0.2 for shown in large) for cut in cuts) > 0.4 * len(cuts)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_short_programme_is_drawn_encoded_and_kept(tmp_path: Path) -> None:
    spec = TraceSpec(18, 4)
    off, on = traces.record(spec, tmp_path)
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".off", ".on"]
    assert len(off.arrivals) == len(on.arrivals) == 100
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert traces.record(spec, tmp_path) == (off, on)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
