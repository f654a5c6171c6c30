"""What every detector keeps: run by ours, the fakes, and by plug-ins that add themselves to DETECTORS."""

import gc
import re
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from streamwatch.detectors.base import Detector
from streamwatch.detectors.registry import build
from streamwatch.detectors.shipped import find_folder
from streamwatch.domain.errors import ScoreFailed
from tests.fakes.detectors import BrightnessDetector


def _test_card() -> Detector:
    folder = find_folder("models/test-card", Path(__file__).parent)
    return build(name="card", kind="onnx", folder=folder)


DETECTORS: dict[str, Callable[[], Detector]] = {"fake": BrightnessDetector, "test card": _test_card}


@pytest.fixture(params=DETECTORS.values(), ids=DETECTORS.keys())
def detector(request):
    found = request.param()
    yield found
    found.close()


def pictures(detector, count):
    rng = np.random.default_rng(1)
    size = (detector.info.height, detector.info.width, 3)
    return [rng.integers(0, 256, size, np.uint8) for _ in range(count)]


def test_says_what_it_is(detector):
    info = detector.info
    assert info.name
    assert info.version
    assert re.fullmatch(r"[0-9a-f]{64}", info.sha256)
    assert info.labels
    assert len(set(info.labels)) == len(info.labels)
    assert info.width > 0
    assert info.height > 0
    assert detector.info == info


def test_scores_every_label_between_0_and_1_in_order(detector):
    for picture in pictures(detector, 5):
        scores = detector.score(picture)
        assert scores.detector == detector.info.name
        assert tuple(label for label, _ in scores.values) == detector.info.labels
        assert all(type(score) is float and 0 <= score <= 1 for _, score in scores.values)


def test_same_picture_same_scores(detector):
    first, other = pictures(detector, 2)
    before = detector.score(first)
    detector.score(other)
    assert detector.score(first.copy()) == before


def test_leaves_the_picture_alone_and_takes_one_that_cannot_be_written(detector):
    (picture,) = pictures(detector, 1)
    kept = picture.copy()
    picture.flags.writeable = False
    detector.score(picture)
    assert np.array_equal(picture, kept)


def test_takes_pictures_that_are_views(detector):
    (picture,) = pictures(detector, 1)
    view = np.ascontiguousarray(picture[:, ::-1])[:, ::-1]
    assert detector.score(view) == detector.score(picture)


def test_keeps_no_reference_to_a_picture(detector):
    class Tracked(np.ndarray):
        pass

    (picture,) = pictures(detector, 1)
    tracked = picture.view(Tracked)
    seen = weakref.ref(tracked)
    detector.score(tracked)
    del tracked
    gc.collect()
    assert seen() is None


def test_several_threads_get_their_own_scores(detector):
    work = pictures(detector, 8)
    alone = [detector.score(picture) for picture in work]
    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(detector.score, work * 8))
    assert together == alone * 8


@pytest.mark.parametrize("shape", [(3, 5, 3), (3, 5), (1, 1, 4)])
def test_a_picture_of_another_shape_is_no_score(detector, shape):
    with pytest.raises(ScoreFailed):
        detector.score(np.zeros(shape, np.uint8))


def test_a_picture_of_another_type_is_no_score(detector):
    with pytest.raises(ScoreFailed):
        detector.score(np.zeros((detector.info.height, detector.info.width, 3), np.float32))


def test_closes_twice_and_scores_no_more(detector):
    (picture,) = pictures(detector, 1)
    detector.close()
    detector.close()
    with pytest.raises(ScoreFailed):
        detector.score(picture)
