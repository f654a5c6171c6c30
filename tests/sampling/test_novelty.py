"""Signs in packet sizes that the picture changed."""

import pytest

from streamwatch.sampling.novelty import REMEMBERED, SPIKE, Budget, Novelty


def seen(sizes: list[int]) -> list[int]:
    """Which of the anchors, by number, are new; every tenth is followed by a key."""
    novelty, new = Novelty(), []
    for number, size in enumerate(sizes):
        if not novelty.usual(size):
            new.append(number)
        if number % 10 == 9:
            novelty.refresh()
    return new


def test_an_anchor_far_larger_than_its_like_is_new_and_its_followers_are_not() -> None:
    assert seen([1000, 1100, 900] * 20 + [round(1000 * SPIKE) + 200] + [1000] * 20) == [60]


def test_a_scene_of_larger_anchors_is_new_once() -> None:
    assert seen([1000] * 40 + [5000] * 100) == [40]


def test_a_scene_that_moves_unevenly_is_not_new_again_and_again() -> None:
    assert seen([1000, 1000, 1000, 1000, 3000] * 20)[1:] == []


def test_sizes_that_wander_are_not_new() -> None:
    assert seen([1000 + 15 * number for number in range(200)]) == []


def test_nothing_is_new_before_anything_is_usual() -> None:
    assert seen([100, 5000, 100, 9000]) == []


def test_without_keys_the_usual_is_found_all_the_same() -> None:
    novelty = Novelty()
    assert all(novelty.usual(1000) for _ in range(2 * REMEMBERED))
    assert not novelty.usual(9000)


def test_another_encoder_begins_with_nothing_usual() -> None:
    novelty = Novelty()
    for _ in range(2 * REMEMBERED):
        novelty.usual(100)
    novelty.forget()
    assert novelty.usual(9000)


def test_a_broadcaster_who_makes_signs_all_the_time_buys_no_more_than_the_budget() -> None:
    budget = Budget()
    taken = sum(budget.take(number / 25) for number in range(25 * 60))
    assert taken <= Budget.BURST + 60 / Budget.EVERY_S + 1


def test_a_budget_that_was_not_used_does_not_grow_for_ever() -> None:
    budget = Budget()
    assert sum(budget.take(1e6) for _ in range(100)) == Budget.BURST


def test_how_often_hints_come_is_known_and_no_more_than_can_be_followed_is_counted() -> None:
    budget = Budget()
    assert budget.per_s(0.0) == 0.0
    for number in range(600):
        budget.seen(number * 12.0)
    assert budget.per_s(7200.0) == pytest.approx(5 / 60, rel=0.2)
    for number in range(600):
        budget.seen(7200 + number * 0.1)
    assert budget.per_s(7260.0) == 1.0 / Budget.EVERY_S
    assert budget.per_s(8000.0) < 0.001
