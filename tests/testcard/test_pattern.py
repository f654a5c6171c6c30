import hashlib

import numpy as np
import pytest

from streamwatch.testcard import variants
from streamwatch.testcard.pattern import CELLS, STANDARD_SEED, grid, test_card

PDQ = "18a6dda7218532cc0307cd46df1ad379e10417e2f5e5990d27db0e9326ddc2f6"
"""The published hash of the standard pattern."""


def pdq(picture):
    """PDQ of a picture, as its authors define it: luminance, two box filters, 64 x 64, a DCT, and the median."""
    light = picture @ np.array([0.299, 0.587, 0.114])
    height, width = light.shape
    for _ in range(2):
        light = box(box(light, (width + 127) // 128, 1), (height + 127) // 128, 0)
    at = np.arange(64) + 0.5
    small = light[np.ix_((at * height / 64).astype(int), (at * width / 64).astype(int))]
    waves = np.cos(np.pi / 128 * np.outer(np.arange(1, 17), 2 * np.arange(64) + 1)) * np.sqrt(2 / 64)
    parts = waves @ small @ waves.T
    bits = (parts > np.sort(parts.ravel())[127]).ravel()
    return sum(1 << i for i, bit in enumerate(bits) if bit)


def box(values, window, axis):
    values = np.moveaxis(values, axis, 0)
    half = (window + 2) // 2
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0)])
    last = np.minimum(len(values), np.arange(len(values)) + half)
    first = np.maximum(0, np.arange(len(values)) + half - window)
    return np.moveaxis((sums[last] - sums[first]) / (last - first)[:, None], 0, axis)


def distance(picture):
    return (pdq(picture) ^ int(PDQ, 16)).bit_count()


def test_the_standard_pattern_has_its_published_hash():
    assert pdq(test_card(1024, 1024)) == int(PDQ, 16)


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (640, 360), (426, 240), (720, 1280), (512, 512)])
def test_every_size_is_the_same_picture(size):
    assert distance(test_card(*size)) <= 16


def test_another_seed_is_another_picture():
    assert all(distance(test_card(512, 512, seed=f"another-{n}")) > 90 for n in range(10))


def test_the_grid_follows_the_recipe():
    first = hashlib.sha256(STANDARD_SEED.encode() + b"\0\0\0\0").digest()
    last = hashlib.sha256(STANDARD_SEED.encode() + b"\0\0\0\x17").digest()
    assert grid().shape == (CELLS, CELLS, 3)
    assert grid().tobytes().startswith(first)
    assert grid().tobytes().endswith(last)
    assert grid()[0, 0].tolist() == list(first[:3])


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (426, 240), (64, 64), (16, 16), (3, 7)])
def test_a_card_has_the_size_asked_for(width, height):
    card = test_card(width, height)
    assert card.shape == (height, width, 3)
    assert card.dtype == np.uint8


def test_every_card_is_a_fresh_one():
    test_card(64, 64)[...] = 0
    assert test_card(64, 64).any()


def test_at_its_own_size_the_card_is_the_grid():
    assert np.array_equal(test_card(CELLS, CELLS), grid())


ALTER = {
    "corner logo": variants.corner_logo,
    "lower third": variants.lower_third,
    "letterboxed": lambda picture: variants.letterboxed(picture, 0.1),
    "pillarboxed": lambda picture: variants.pillarboxed(picture, 0.1),
    "mirrored": variants.mirrored,
    "turned twice": lambda picture: variants.turned(picture, quarters=2),
    "grey": variants.grey,
}


@pytest.mark.parametrize("alter", ALTER.values(), ids=ALTER.keys())
@pytest.mark.parametrize("size", [(640, 360), (426, 240), (240, 426)])
def test_variants_alter_a_copy_of_the_same_size(alter, size):
    card = test_card(*size)
    kept = card.copy()
    out = alter(card)
    assert out.shape == card.shape
    assert out.dtype == np.uint8
    assert out.flags.c_contiguous
    assert not np.shares_memory(out, card)
    assert not np.array_equal(out, card)
    assert np.array_equal(card, kept)


def test_a_quarter_turn_exchanges_width_and_height():
    card = test_card(64, 32)
    assert variants.turned(card).shape == (64, 32, 3)
    assert np.array_equal(variants.turned(variants.turned(card), quarters=3), card)


def test_bars_have_their_share_and_level():
    boxed = variants.letterboxed(test_card(200, 100), 0.1, bar=16)
    assert (boxed[:10] == 16).all()
    assert (boxed[90:] == 16).all()
    assert np.ptp(boxed[10]) > 0
    pillars = variants.pillarboxed(test_card(200, 100), 0.1, bar=16)
    assert (pillars[:, :20] == 16).all()
    assert (pillars[:, 180:] == 16).all()
    assert np.ptp(pillars[:, 20]) > 0


def test_grey_has_three_equal_channels():
    out = variants.grey(test_card(64, 64))
    assert np.array_equal(out[..., 0], out[..., 1])
    assert np.array_equal(out[..., 1], out[..., 2])
