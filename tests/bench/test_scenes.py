from itertools import pairwise

import numpy as np
import pytest

from streamwatch.bench.scenes import Planes, Programme


def programme(seed: int = 1) -> Programme:
    return Programme(160, 90, seconds=30, seed=seed)


def test_the_same_seed_shows_the_same_and_another_one_does_not() -> None:
    one, two, other = programme(), programme(), programme(seed=2)
    for t in (0.0, 7.04, 29.96):
        assert one.picture(t).tobytes() == two.picture(t).tobytes()
        assert one.picture(t).tobytes() != other.picture(t).tobytes()


def test_pictures_are_yuv420_of_the_size_asked_for() -> None:
    made = programme()
    for t in range(30):
        y, u, v = made.picture(float(t))
        assert (y.shape, u.shape, v.shape) == ((90, 160), (45, 80), (45, 80))
        assert {plane.dtype for plane in (y, u, v)} == {np.dtype(np.uint8)}


def test_there_are_eighteen_cuts_a_minute_and_they_are_seen() -> None:
    made = programme()
    assert made.cuts == 9
    tones = [int(np.std(made.picture(t).y.astype(int) - made.picture(t + 0.04).y)) for t in np.arange(0, 29.9, 0.04)]
    jumps = sum(b > 20 > a for a, b in pairwise(tones))
    assert jumps >= 6  # some scenes look alike in brightness


def test_nothing_but_the_marker_is_magenta() -> None:
    made = programme()

    def magenta(picture: Planes) -> float:
        return float(min(picture.u.mean(), picture.v.mean()))

    assert max(magenta(made.picture(t)) for t in np.arange(0, 30, 0.5)) < 145
    assert magenta(made.marker(1.0)) > 165


@pytest.mark.parametrize("t", [0.0, 29.99])
def test_the_programme_has_a_picture_at_its_ends(t: float) -> None:
    assert programme().picture(t).y.std() > 5
