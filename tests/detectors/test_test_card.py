"""The shipped model on real encodings: a bounded form of scripts/evaluate-test-card."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamwatch.detectors.golden import draw
from streamwatch.detectors.manifest import load_manifest
from streamwatch.detectors.onnx import OnnxClassifier
from streamwatch.detectors.shipped import find_folder
from streamwatch.detectors.spec import FlatPicture, SeedPicture
from streamwatch.testcard import variants
from streamwatch.testcard.pattern import CELLS, STANDARD_SEED, grid, test_card
from tests.detectors.ladder import ALTERED, Rung, through_x264
from tests.detectors.strangers import FAMILIES, strangers

ROOT = Path(__file__).resolve().parents[2]
RUNGS = ((240, 23), (240, 40), (480, 35))
"""Heights and CRFs for every variant: where scores are lowest. The script takes the whole ladder."""
HIGH = {"plain": (1080, 23), "lower third": (1080, 40), "letterbox 12 %": (720, 28)}


@pytest.fixture(scope="module")
def detector():
    return OnnxClassifier(name="card", folder=find_folder("models/test-card", ROOT))


def score(detector, picture):
    found = detector.score(picture).get("test_card")
    assert found is not None
    return found


@pytest.mark.parametrize("variant", ALTERED)
def test_the_card_is_recognised_after_encoding(detector, variant):
    for height, crf in (*RUNGS, *([HIGH[variant]] if variant in HIGH else [])):
        frames = list(Rung(variant, height, crf).frames())
        assert any(key for key, _ in frames)
        assert any(not key for key, _ in frames)
        assert min(score(detector, picture) for _, picture in frames) >= 0.95, (height, crf)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_else_is(detector, family):
    pictures = strangers(family, min(FAMILIES[family][1], 150))
    assert max(score(detector, picture) for _, picture in through_x264(pictures, crf=35, gop=4)) <= 0.1


def test_the_full_evaluation_looks_at_enough():
    assert sum(count for _, count in FAMILIES.values()) >= 2000
    assert FAMILIES["other seeds"][1] >= 300


def test_alterations_may_come_together(detector):
    card = variants.letterboxed(variants.pillarboxed(test_card(854, 480), 0.12), 0.075)
    worst = variants.lower_third(variants.corner_logo(variants.grey(variants.mirrored(card))))
    assert min(score(detector, picture) for _, picture in through_x264([worst] * 3, crf=35)) >= 0.95


@pytest.mark.parametrize("bar", [16, 128, 255])
def test_bars_of_any_grey_do_not_count(detector, bar):
    card = variants.letterboxed(test_card(640, 360), 0.1, bar=bar)
    assert score(detector, cv2.resize(card, (64, 64), interpolation=cv2.INTER_AREA)) >= 0.95


def test_a_faint_card_counts_and_a_vanishing_one_does_not(detector):
    card = test_card(64, 64).astype(np.float64) - 128
    assert score(detector, (128 + card * 0.1).astype(np.uint8)) >= 0.95
    assert score(detector, (128 + card * 0.005).astype(np.uint8)) <= 0.1


def test_the_model_is_built_the_same_again():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "build-test-card-model", "--check"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the same\n", done.stderr


def test_model_card_and_manifest_carry_the_same_measurement(detector):
    folder = find_folder("models/test-card", ROOT)
    card = (folder / "MODEL_CARD.md").read_text()
    found = re.search(
        r"(\d+) frames, lowest score \*\*([\d.]+)\*\*.*?(\d+) frames, highest score \*\*([\d.]+)\*\*", card, re.DOTALL
    )
    assert found
    (entry,) = load_manifest(folder).evaluation
    assert (entry.positives, entry.min_positive) == (int(found[1]), float(found[2]))
    assert (entry.negatives, entry.max_negative) == (int(found[3]), float(found[4]))
    assert entry.false_alarm_rate_below == pytest.approx(3 / entry.negatives, rel=0.01)


def test_golden_pictures_follow_the_cards_recipe():
    drawn = draw(SeedPicture(seed=STANDARD_SEED, cells=CELLS), CELLS, CELLS)
    assert np.array_equal(drawn, grid())
    assert np.array_equal(draw(SeedPicture(seed=STANDARD_SEED, cells=CELLS), 64, 48)[::3, ::4], grid())
    assert np.array_equal(draw(FlatPicture(level=9), 3, 2), np.full((2, 3, 3), 9))


def test_a_look_costs_a_fraction_of_what_decoding_does(detector):
    """A key picture at 360p costs 3 ms, this about 0.2: a model that became ten times as dear would be noticed."""
    picture = test_card(64, 64)
    spent = []

    def measure():
        for _ in range(200):
            begin = time.thread_time()
            detector.score(picture)
            spent.append(time.thread_time() - begin)

    worker = threading.Thread(target=measure, name="measure")
    worker.start()
    worker.join()
    assert sorted(spent)[len(spent) // 2] < 0.002
