"""What real encodes look like at a glance: x264 at low bit rates, through the real decoder, as a look has them."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from streamwatch.detectors.glance import GRID, glance
from streamwatch.domain.evasion import Glance
from streamwatch.evasion.picture import MOVED, PLAIN, plain, same
from streamwatch.sources.decoder import PyavDecoder
from streamwatch.testcard.scene import card_frame, scene
from tests.sources import media

Frame = NDArray[np.uint8]
WIDTH, HEIGHT, FPS, GOP = 320, 180, 10, 10
X264 = {"preset": "veryfast", "bf": "0", "g": str(GOP), "keyint_min": str(GOP), "sc_threshold": "0", "threads": "1"}
NATURAL = ["astronaut", "camera", "chelsea", "coffee", "rocket"]
"""Photographs that scikit-image ships: people, animals, things, a launch by night."""


def photo(name: str) -> Frame:
    image = getattr(skimage.data, name)()
    image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image
    return np.asarray(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def glances(draw: Callable[[int], Frame], *, kbps: int, keys: int = 4, size: int = 224) -> list[Glance]:
    """Glances at the key pictures of so many groups, each decoded alone, as looks do."""
    out = io.BytesIO()
    with av.open(out, "w", format="flv") as made:
        video = made.add_stream("libx264", rate=FPS, options=X264)
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", kbps * 1000
        video.codec_context.thread_count = 1
        for index in range(keys * GOP):
            frame = av.VideoFrame.from_ndarray(draw(index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
    packets = [packet for packet in media.packets(out.getvalue()) if packet.key]
    decoder = PyavDecoder(packets[0].config, max_pixels=1 << 20)
    pictures = [decoder.key(packet) for packet in packets]
    assert len(pictures) == keys
    return [glance(picture.rgb(size, size)) for picture in pictures if picture is not None]


@pytest.mark.parametrize("kbps", [20, 300])
@pytest.mark.parametrize(
    ("colour", "name"),
    [((0, 0, 0), "black"), ((12, 12, 12), "black"), ((0, 0, 255), "one colour"), ((128, 128, 128), "one colour"),
     ((200, 10, 30), "one colour"), ((255, 255, 255), "one colour")],
)  # fmt: skip
def test_one_colour_is_one_colour_after_encoding(colour: tuple[int, int, int], name: str, kbps: int) -> None:
    frame = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
    assert {plain(seen) for seen in glances(lambda _: frame, kbps=kbps)} == {name}


def test_a_covered_camera_is_black_in_spite_of_its_noise() -> None:
    rng = np.random.default_rng(1)
    for seen in glances(lambda _: rng.normal(4, 3, (HEIGHT, WIDTH, 3)).clip(0, 255).astype(np.uint8), kbps=150):
        assert plain(seen) == "black"


def test_a_small_clock_on_black_shows_nothing_and_a_person_in_the_dark_does() -> None:
    clock = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.putText(clock, "12:00", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 255, 255), 1, cv2.LINE_AA)
    lit = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    lit[60:120, 130:190] = photo("astronaut")[20:80, 130:190]
    assert {plain(seen) for seen in glances(lambda _: clock, kbps=100)} == {"black"}
    assert {plain(seen) for seen in glances(lambda _: lit, kbps=100)} == {""}


@pytest.mark.parametrize("name", NATURAL)
@pytest.mark.parametrize("light", [1.0, 0.4, 0.2, 0.1])
def test_a_natural_scene_is_not_black_even_at_a_tenth_of_its_light(name: str, light: float) -> None:
    frame = (photo(name) * light).astype(np.uint8)
    for seen in glances(lambda _: frame, kbps=100, keys=2):
        assert plain(seen) == ""
        assert seen.plain < PLAIN - 0.1  # not by a hair


@pytest.mark.parametrize("kbps", [40, 150, 600])
@pytest.mark.parametrize("name", NATURAL)
def test_a_picture_that_stands_is_the_same_in_every_key(name: str, kbps: int) -> None:
    frame = photo(name)
    first, *later = glances(lambda _: frame, kbps=kbps, keys=6)[1:]  # the encoder finds its rate in the first
    assert all(same(first, seen) for seen in later)


@pytest.mark.parametrize("name", NATURAL)
def test_no_picture_is_another(name: str) -> None:
    (one,) = glances(lambda _: photo(name), kbps=300, keys=1)
    for other in NATURAL:
        (seen,) = glances(lambda _, other=other: photo(other), kbps=300, keys=1)  # type: ignore[misc]
        assert same(one, seen) == (name == other)


@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "coffee"])
def test_a_head_that_moves_is_not_frozen(name: str) -> None:
    still = photo(name).astype(np.float32)
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.ellipse(mask, (WIDTH // 2, HEIGHT // 2), (30, 45), 0, 0, 360, (1.0,), -1)
    mask = cv2.GaussianBlur(mask, (11, 11), 0)[..., None]

    def draw(index: int) -> Frame:
        t = index / FPS
        shift = np.array([[1, 0, 8 * np.sin(1.7 * t)], [0, 1, 4 * np.sin(2.3 * t + 1)]], np.float32)
        moved = cv2.warpAffine(still, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(still * (1 - mask) + moved * mask, np.uint8)

    first, *later = glances(draw, kbps=300, keys=7)  # a minute has as many looks
    assert not all(same(first, seen) for seen in later)


def test_the_programmes_of_the_demo_and_the_test_card_are_pictures() -> None:
    for t in range(0, 60, 5):
        assert plain(glance(scene("lobby", float(t), WIDTH, HEIGHT))) == ""
    assert plain(glance(card_frame(WIDTH, HEIGHT))) == ""


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (2, 300), (31, 33), (448, 224)])
def test_any_size_can_be_glanced_at(size: tuple[int, int]) -> None:
    seen = glance(np.full((size[1], size[0], 3), 200, np.uint8))
    assert (round(seen.luma), seen.spread, seen.plain) == (200, pytest.approx(0, abs=0.1), 1.0)
    assert (seen.hash, seen.sure) == (0, 0)


def test_a_glance_is_a_few_numbers_and_does_not_print_what_it_compares_by() -> None:
    seen = glance(photo("coffee"))
    assert "hash" not in repr(seen)
    assert "sure" not in repr(seen)
    assert seen.hash.bit_length() <= seen.sure.bit_length() + 256 <= 2 * (GRID // 2) ** 2
    assert MOVED == 2
