"""What every Assigner promises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.domain.streams import StreamId
from streamwatch.fleet.assigner import LeastLoaded
from streamwatch.fleet.base import Assigner

Make = Callable[[int], Assigner]


@pytest.fixture(params=[LeastLoaded])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


def names(count: int) -> list[StreamId]:
    return [StreamId(f"stream-{n}") for n in range(count)]


def test_every_stream_has_one_slot(make: Make):
    assigner = make(3)
    slots = {name: assigner.assign(name, 1.0) for name in names(20)}
    assert set(slots.values()) == {0, 1, 2}
    for name, slot in slots.items():
        assert assigner.slot_of(name) == slot
        assert [name in assigner.held_by(one) for one in range(3)] == [one == slot for one in range(3)]


def test_equal_streams_spread_evenly(make: Make):
    assigner = make(4)
    for name in names(40):
        assigner.assign(name, 1.0)
    assert [len(assigner.held_by(slot)) for slot in range(4)] == [10, 10, 10, 10]


def test_a_heavy_stream_counts_as_several(make: Make):
    assigner = make(2)
    heavy, *light = names(5)
    alone = assigner.assign(heavy, 4.0)
    assert {assigner.assign(name, 1.0) for name in light} == {1 - alone}


def test_a_stream_assigned_again_stays_where_it_is(make: Make):
    assigner = make(2)
    first, *others = names(10)
    slot = assigner.assign(first, 1.0)
    for name in others:
        assigner.assign(name, 1.0)
    assert assigner.assign(first, 100.0) == slot
    assert assigner.assign(first, 100.0, avoid={slot}) == slot
    assert assigner.held_by(slot).count(first) == 1


def test_a_changed_weight_counts_for_the_next_choice(make: Make):
    assigner = make(2)
    a, b, c = names(3)
    slot = assigner.assign(a, 1.0)
    assigner.assign(b, 1.0)
    assigner.assign(a, 5.0)
    assert assigner.assign(c, 1.0) == 1 - slot


def test_a_released_stream_is_forgotten_and_its_room_is_free(make: Make):
    assigner = make(2)
    a, b, c = names(3)
    slot = assigner.assign(a, 1.0)
    assigner.assign(b, 1.0)
    assigner.release(a)
    assigner.release(a)
    assert assigner.slot_of(a) is None
    assert assigner.held_by(slot) == ()
    assert assigner.assign(c, 1.0) == slot


def test_new_streams_avoid_what_is_to_be_avoided_if_there_is_a_choice(make: Make):
    assigner = make(3)
    assert {assigner.assign(name, 1.0, avoid={0, 2}) for name in names(5)} == {1}
    assert assigner.assign(StreamId("anyway"), 1.0, avoid={0, 1, 2}) in {0, 2}


def test_a_fleet_without_slots_is_a_mistake(make: Make):
    with pytest.raises(ValueError, match="at least one"):
        make(0)


OPERATIONS = st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.floats(0.1, 10)), max_size=60)


@pytest.mark.parametrize("make_one", [LeastLoaded])
@given(operations=OPERATIONS)
def test_no_stream_ever_moves_while_it_is_held(make_one: Make, operations: list[tuple[bool, int, float]]):
    assigner = make_one(3)
    held: dict[StreamId, int] = {}
    for come, number, weight in operations:
        name = StreamId(str(number))
        if come:
            slot = assigner.assign(name, weight)
            assert held.setdefault(name, slot) == slot
        else:
            assigner.release(name)
            held.pop(name, None)
        assert {name: assigner.slot_of(name) for name in held} == held
        assert sorted(n for slot in range(3) for n in assigner.held_by(slot)) == sorted(held)
