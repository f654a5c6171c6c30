"""Stories of a queue: who waits, and who is next."""

from streamwatch.sampling.capacity import RESERVED, Claim, Plan
from streamwatch.sampling.schedule import Schedule, Wish


def calm(floor: float) -> Wish:
    return Wish(Claim.FLOOR, floor - 10, 10, 10)


def suspicious(due: float, floor: float = 1e6) -> Wish:
    return Wish(Claim.SUSPICION, due - 1, 1, floor - due + 1)


LOOK_BACK = Wish(Claim.SUSPICION, 100.0, 0.0, 1e6)


def served(schedule: Schedule[str], now: float = 0.0, cost: float = 0.01) -> list[str]:
    names = []
    while (taken := schedule.take(now)) is not None:
        names.append(taken.item)
        schedule.spent(taken.claim, cost)
    return names


def filled(*waiting: tuple[str, Wish]) -> Schedule[str]:
    schedule: Schedule[str] = Schedule()
    for name, wish in waiting:
        schedule.put(wish, name)
    return schedule


def test_nobody_waits() -> None:
    assert Schedule[str]().take(0.0) is None


def test_the_earliest_deadline_is_first_whoever_came_first_and_equals_in_order_of_coming() -> None:
    schedule = filled(("late", calm(9)), ("soon", calm(3)), ("suspect", suspicious(5)), ("soon too", calm(3)))
    assert len(schedule) == 4
    assert served(schedule) == ["soon", "soon too", "suspect", "late"]
    assert len(schedule) == 0


def test_a_second_look_goes_before_all_that_only_come_round() -> None:
    assert served(filled(("a", calm(1)), ("b", suspicious(0.5)), ("back", LOOK_BACK)))[0] == "back"


def test_where_both_are_late_each_has_its_share_of_the_time() -> None:
    crowd = [(f"calm {number}", calm(number / 1000)) for number in range(1000)]
    wave = [(f"suspect {number}", suspicious(number / 1000)) for number in range(1000)]
    first = served(filled(*crowd, *wave), now=100.0)[:500]
    shares = sum(name.startswith("suspect") for name in first) / 500
    assert abs(shares - RESERVED[Claim.SUSPICION]) < 0.02


def test_a_share_is_one_of_time_not_of_looks() -> None:
    schedule = filled(
        *((f"c{n}", calm(n / 1000)) for n in range(500)), *((f"s{n}", suspicious(n / 1000)) for n in range(500))
    )
    spent = dict.fromkeys(Claim, 0.0)
    for _ in range(300):
        taken = schedule.take(100.0)
        assert taken is not None
        cost = 0.005 if taken.claim is Claim.FLOOR else 0.02  # looks between keys are dearer
        schedule.spent(taken.claim, cost)
        spent[taken.claim] += cost
    assert abs(spent[Claim.SUSPICION] / sum(spent.values()) - RESERVED[Claim.SUSPICION]) < 0.03


def test_a_wave_of_suspicion_after_a_long_calm_does_not_stop_the_calm_streams() -> None:
    schedule = filled(*((f"c{n}", calm(n / 1000)) for n in range(2000)))
    for _ in range(1000):
        taken = schedule.take(100.0)
        assert taken is not None
        schedule.spent(taken.claim, 0.01)
    for number in range(1000):
        schedule.put(suspicious(number / 1000), f"s{number}")
    next_second = served(schedule, now=100.0)[:100]
    assert 30 <= sum(name.startswith("c") for name in next_second) <= 65


def test_a_suspicious_stream_is_never_worse_off_than_a_calm_one() -> None:
    """Its wish stands in both queues: the floor's turn comes before the crowded other one's."""
    wave = [(f"s{number}", suspicious(1.0, floor=50.0)) for number in range(100)]
    schedule = filled(*wave, ("unlucky", suspicious(99.0, floor=2.0)), ("calm", calm(3.0)))
    assert "unlucky" in served(schedule, now=100.0)[:3]


def test_what_was_taken_from_one_queue_is_gone_from_the_other() -> None:
    schedule = filled(("a", suspicious(1.0, floor=2.0)), ("b", calm(3.0)))
    assert served(schedule, now=100.0) == ["a", "b"]


def test_cleared_means_nobody_waits() -> None:
    schedule = filled(("a", suspicious(1.0)), ("b", calm(3.0)))
    schedule.clear()
    assert (len(schedule), schedule.take(0.0)) == (0, None)


def test_when_the_promise_is_stretched_all_wait_in_proportion_and_the_heavy_ones_not_until_they_must() -> None:
    often = Wish(Claim.FLOOR, 100.0, 2.0, 2.0)
    seldom = Wish(Claim.FLOOR, 96.0, 10.0, 10.0)
    heavy = Wish(Claim.FLOOR, 103.0, 10.0, 10.0, weight=4)
    waiting = (("often", often), ("seldom", seldom), ("heavy", heavy))
    assert served(filled(*waiting)) == ["often", "seldom", "heavy"]
    stretched = filled(*waiting)
    stretched.press(Plan(floor_stretch=4.0))
    assert served(stretched) == ["often", "heavy", "seldom"]


def test_a_plan_that_changes_all_the_time_lets_nobody_overtake() -> None:
    """A story of an hour: equals wait for equally long, whatever the plan was when their wish came."""
    schedule: Schedule[int] = Schedule()
    last = {number: number / 10 - 10 for number in range(100)}
    for number, at in last.items():
        schedule.put(Wish(Claim.FLOOR, at, 10, 10), number)
    longest = 0.0
    for step in range(36_000):
        now = step / 10
        if step % 10 == 0:
            schedule.press(Plan(floor_stretch=1.0 + (step // 10) % 7))
        taken = schedule.take(now)
        assert taken is not None
        longest = max(longest, now - last[taken.item])
        last[taken.item] = now
        schedule.put(Wish(Claim.FLOOR, now, 10, 10), taken.item)
    assert longest <= 10.1


def test_stretched_suspicion_stretches_for_all_alike() -> None:
    schedule = filled(("keen", Wish(Claim.SUSPICION, 100, 0.5, 1e6)), ("mild", Wish(Claim.SUSPICION, 98, 4.0, 1e6)))
    schedule.press(Plan(suspicion_stretch=3.0))
    assert served(schedule, now=200) == ["keen", "mild"]
    schedule = filled(("keen", Wish(Claim.SUSPICION, 100, 0.5, 1e6)), ("mild", Wish(Claim.SUSPICION, 95, 4.0, 1e6)))
    assert served(schedule, now=200) == ["mild", "keen"]


def test_a_wrong_prediction_of_what_looks_take_starves_nobody() -> None:
    for predicted in (0.0, 0.01, 0.2, 0.5):
        schedule = filled(
            *((f"c{n}", calm(n / 1000)) for n in range(2000)), *((f"s{n}", suspicious(n / 1000)) for n in range(2000))
        )
        counts = dict.fromkeys(Claim, 0)
        for _ in range(1000):
            taken = schedule.take(100.0)
            assert taken is not None
            schedule.spent(taken.claim, predicted)
            schedule.spent(taken.claim, 0.01 - predicted)
            counts[taken.claim] += 1
        assert abs(counts[Claim.SUSPICION] / 1000 - RESERVED[Claim.SUSPICION]) < 0.02, predicted
