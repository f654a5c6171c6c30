"""Many streams and confirmations in the simulated watcher."""

import pytest

from streamwatch.bench.sampling import confirmation, crowd, experiment, toll, traces
from streamwatch.bench.sampling.world import Cast, Told, World
from streamwatch.link.messages import Sampled

OFF, ON = traces.recorded(2)


def looks(seed: int, speed: float = 1.0) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []

    def told(now: float, message: Told) -> None:
        del now
        if isinstance(message, Sampled):
            found.append((message.stream, message.arrival))

    world = World(crowd.cast([OFF, ON], experiment.spec(10.0), 6, seed), told=told, speed=speed, seed=seed)
    world.run(60.0)
    return found


def test_the_same_seed_is_the_same_world_and_another_is_another() -> None:
    assert looks(1) == looks(1) != looks(2)


def test_every_stream_is_looked_at_within_the_promise_while_there_is_room() -> None:
    ears = crowd.Ears(experiment.spec(10.0), 8)
    world = World(crowd.cast([OFF, ON], experiment.spec(10.0), 8, 1), told=ears.told)
    world.run(90.0)
    assert max(ears.gaps(crowd.WARM_S, 90.0)) <= 10.0
    assert ears.declared_s(90.0)[0] == ears.true_s(90.0) == 0.0


def test_promises_that_ask_for_three_quarters_of_a_worker_hold_whatever_else_is_wished_for() -> None:
    held = crowd.held_at([OFF, ON], experiment.spec(10.0), count=80, load=0.75, seconds=60, seed=2)
    assert held.within == 1.0
    assert held.worst < 1.0


def test_under_overload_the_books_say_what_was_lost_and_gaps_stretch_alike() -> None:
    spec = experiment.spec(10.0, min_gap_s=2.0)
    pressed = crowd.pressed([OFF, ON], spec, count=24, load=2, seconds=100, seed=1)
    assert pressed.true_s > 100
    # A look waits for ten seconds and more on a worker this slow: what the books closed before stays lost.
    assert 0.99 * pressed.true_s <= pressed.declared_s <= 1.04 * pressed.true_s
    assert pressed.suspected >= 1
    assert pressed.worst_s > 10.0


def test_a_stream_that_ends_is_looked_at_no_more() -> None:
    found: list[float] = []
    world = World(
        [Cast(OFF, experiment.spec(10.0), ends=20.0)],
        told=lambda now, message: found.append(now) if isinstance(message, Sampled) else None,
    )
    world.run(60.0)
    assert found
    assert max(found) <= 21.0


@pytest.mark.parametrize(("scale", "p95_s"), [(1.0, 1.0), (6.0, 1.5)])
def test_what_is_suspected_is_confirmed_from_what_lies_around_it(scale: float, p95_s: float) -> None:
    confirmed = confirmation.confirm([OFF], experiment.spec(10.0), count=1, speed=1.0, scale=scale)
    assert confirmed.confirmed >= 0.9 * confirmed.met > 0
    assert confirmed.look_p95_s is not None
    assert confirmed.look_p95_s <= p95_s
    assert confirmed.event_p50_s is not None


def test_deciding_costs_less_than_all_that_is_simulated() -> None:
    measured = toll.measure([OFF, ON], experiment.spec(10.0), count=40, seconds=5.0, load=0.4)
    assert 0 < measured.share + measured.samplers < measured.whole
    assert measured.calls_per_s > 0
