from streamwatch.runtime.turns import Station, Turns
from tests.fakes.shade import ShadeDetector

QUICK, SLOW = ShadeDetector("quick"), ShadeDetector("slow")


def test_without_a_limit_every_detector_scores_every_look() -> None:
    turns = Turns((Station(QUICK), Station(SLOW)))
    for arrival in (0.0, 0.1, 0.2):
        assert turns.at(arrival) == (QUICK, SLOW)
        turns.scored("quick", arrival)
        turns.scored("slow", arrival)


def test_a_detector_with_a_limit_sits_out_until_its_time_is_over() -> None:
    turns = Turns((Station(QUICK), Station(SLOW, every_s=10)))
    assert turns.at(5.0) == (QUICK, SLOW)
    turns.scored("slow", 5.0)
    assert turns.at(14.9) == (QUICK,)
    assert turns.at(15.0) == (QUICK, SLOW)


def test_a_look_that_is_nobodys_turn_is_scored_by_all() -> None:
    turns = Turns((Station(SLOW, every_s=10),))
    turns.scored("slow", 5.0)
    assert turns.at(6.0) == (SLOW,)
