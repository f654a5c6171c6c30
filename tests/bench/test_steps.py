import pytest

from streamwatch.bench.measure import Figures
from streamwatch.bench.scenarios import Kind, Scenario
from streamwatch.bench.steps import loaded, search
from streamwatch.domain.errors import OutsideError


class Machine:
    """Keeps the gap of so many streams; each takes a thousandth of the core."""

    def __init__(self, holds: int, *, hiccups: int = 0, gives_up_over: int = 10_000) -> None:
        self.tried: list[int] = []
        self._holds, self._hiccups, self._gives_up_over = holds, hiccups, gives_up_over

    async def at(self, streams: int) -> Figures:
        self.tried.append(streams)
        if streams > self._gives_up_over:
            raise OutsideError("only some are covered")
        self._hiccups -= 1
        return self._figures(late=self._hiccups >= 0)

    async def again(self) -> Figures:
        return self._figures(late=False)

    def _figures(self, *, late: bool) -> Figures:
        streams = self.tried[-1]
        over = streams > self._holds or late
        return {"streams": streams, "core_share": streams / 1000, "uncovered_s": 3.0 if over else 0.0, "restarts": 0.0}


async def test_the_most_that_kept_the_gap_and_the_least_that_did_not() -> None:
    machine = Machine(950)
    found = await search(machine.at, machine.again, first=200, most=2000)
    assert machine.tried == [200, 850, 935, 1028]
    assert (found["streams"], found["broke_at"], found["broke_by_s"]) == (935, 1028, 3.0)


async def test_what_happens_once_is_not_held_against_it() -> None:
    machine = Machine(5000, hiccups=2)
    found = await search(machine.at, machine.again, first=200, most=900)
    assert (found["streams"], found["broke_at"]) == (900, None)


async def test_streams_that_are_never_covered_end_the_search_too() -> None:
    machine = Machine(5000, gives_up_over=400)
    found = await search(machine.at, machine.again, first=200, most=900)
    assert (found["streams"], found["broke_at"]) == (200, 850)
    with pytest.raises(OutsideError):
        await search(machine.at, machine.again, first=500, most=900)


async def test_a_gap_that_breaks_at_once_leaves_no_streams() -> None:
    machine = Machine(100)
    found = await search(machine.at, machine.again, first=200, most=900)
    assert (found["streams"], found["broke_at"]) == (0, 200)


async def test_the_search_ends_after_some_steps() -> None:
    machine = Machine(10**9)
    await search(machine.at, machine.again, first=800, most=10**6)
    assert len(machine.tried) == 6


LOAD = Scenario("load", "360p", 10, 100, 8, "a share of the core", kind=Kind.LOAD, load=0.6, most=700)


async def test_the_share_of_the_core_is_reached_although_many_streams_are_cheaper_than_few() -> None:
    tried: list[int] = []

    async def at(streams: int) -> Figures:
        tried.append(streams)
        return {"core_share": 0.05 + streams / 1000}

    assert (await loaded(at, LOAD))["core_share"] == pytest.approx(0.6, abs=0.1)
    assert tried == [100, 400, 533]


async def test_no_more_streams_are_tried_than_allowed() -> None:
    tried: list[int] = []

    async def at(streams: int) -> Figures:
        tried.append(streams)
        return {"core_share": streams / 10_000}

    await loaded(at, LOAD)
    assert tried == [100, 700]
