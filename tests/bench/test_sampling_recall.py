"""What the simulated samplers find: against arithmetic where there is any, and against each other."""

import math
from dataclasses import replace

import pytest

from streamwatch.bench.sampling import experiment, recall, traces
from streamwatch.bench.sampling.programme import LENGTHS_S, Event, Plot
from streamwatch.bench.sampling.recall import BLIND, FIXED, FULL, Cell
from streamwatch.bench.sampling.traces import Trace


def regular(seconds: float = 600.0, key_every_s: float = 2.0) -> Trace:
    """Nothing but key pictures at even distances, and an event of each length now and then, never on a key's beat."""
    arrivals = tuple(number * key_every_s for number in range(int(seconds / key_every_s)))
    count = len(arrivals)
    events = tuple(Event(31.37 + number * 47.3, LENGTHS_S[number % 4]) for number in range(int(seconds / 47.3) - 1))
    return Trace(
        scenecut=False,
        cuts_per_minute=0,
        plot=Plot(seconds, events, ()),
        arrivals=arrivals,
        sizes=(30_000,) * count,
        keys=(True,) * count,
        anchors=(True,) * count,
        shown=arrivals,
    )


@pytest.mark.parametrize(("gap_s", "looks_every_s"), [(10.0, 8.0), (20.0, 18.0), (6.6, 6.0)])
def test_a_fixed_rate_sees_as_much_of_events_as_arithmetic_says(gap_s: float, looks_every_s: float) -> None:
    found = recall.pooled(recall.runs(regular(), recall.fixed(gap_s), range(60)))
    assert found.looks_per_min == pytest.approx(60 / looks_every_s, rel=0.05)
    for length, cell in found.cells.items():
        low, high = cell.interval
        assert low - 0.03 <= min(length / looks_every_s, 1.0) <= high + 0.03, length


def test_the_same_seeds_find_the_same() -> None:
    trace, _ = traces.recorded(18)
    spec = experiment.spec(20.0)
    assert recall.runs(trace, spec, range(2)) == recall.runs(trace, spec, range(2))


def test_an_event_begins_where_no_other_one_is_near() -> None:
    trace, _ = traces.recorded(2)
    for length in LENGTHS_S:
        edges = {edge for event in trace.plot.events for edge in (event.begin, event.end)}
        for begin in recall.starts(trace, length):
            assert not any(begin < edge < begin + length for edge in edges)


def test_samplers_are_compared_at_equal_looks() -> None:
    trace, _ = traces.recorded(2)
    found = recall.compare(trace, experiment.spec(20.0), range(8))
    rates = [found[name].looks_per_min for name in (FULL, BLIND, FIXED)]
    assert max(rates) / min(rates) < 1.06


@pytest.mark.parametrize("trace", traces.recorded(2), ids=["scenecut off", "scenecut on"])
def test_novelty_finds_short_events_that_a_fixed_rate_misses_at_the_same_looks(trace: Trace) -> None:
    made = experiment.compared(trace, 20.0, 10)
    assert made["recall_ratio"] > 1.6
    samplers = made["samplers"]
    assert samplers[FULL]["recall"]["3"]["share"] > 1.5 * samplers[BLIND]["recall"]["3"]["share"]


def test_without_cues_nothing_is_gained_and_nothing_lost() -> None:
    """A trace whose sizes say nothing: novelty on or off is the same sampler."""
    trace, _ = traces.recorded(18)
    flat = replace(trace, sizes=tuple(20_000 if key else 1_000 for key in trace.keys))
    spec = experiment.spec(20.0)
    on, off = (recall.pooled(recall.runs(flat, replace(spec, novelty=novelty), range(6))) for novelty in (True, False))
    assert on.looks_per_min == pytest.approx(off.looks_per_min, rel=0.05)


@pytest.mark.parametrize(("seen", "of"), [(0, 10), (5, 10), (10, 10), (300, 400)])
def test_an_interval_holds_its_share_and_narrows_with_more_events(seen: int, of: int) -> None:
    low, high = Cell(seen, of).interval
    assert -1e-9 <= low <= seen / of <= high <= 1 + 1e-9
    more_low, more_high = Cell(10 * seen, 10 * of).interval
    assert more_high - more_low < high - low


def test_of_no_events_nothing_is_known() -> None:
    assert math.isnan(Cell(0, 0).share)
    assert Cell(0, 0).interval == (0.0, 1.0)
