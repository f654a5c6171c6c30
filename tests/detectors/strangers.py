"""More than two thousand harmless frames that are not the test card: what the detector must stay silent on.

Families of pictures 320 x 180, each from its own seeded generator, so that a part of them is the same part every time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage
from av.filter import Graph
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from streamwatch.testcard import variants
from streamwatch.testcard.pattern import test_card

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 320, 180

NATURAL = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "color.png",
    "grass.png",
    "gravel.png",
    "horse.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "logo.png",
    "microaneurysms.png",
    "moon.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "page.png",
    "phantom.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)
SOURCES = {
    "testsrc": {},
    "testsrc2": {},
    "smptebars": {},
    "smptehdbars": {},
    "pal75bars": {},
    "pal100bars": {},
    "rgbtestsrc": {},
    "yuvtestsrc": {},
    "zoneplate": {"ku": "60", "kv": "60", "kt": "3"},
    "mandelbrot": {},
    "sierpinski": {"seed": "7"},
    "gradients": {"seed": "7", "speed": "0.1"},
    "life": {"seed": "7", "mold": "10", "life_color": "#C83232", "mold_color": "#326432"},
    "cellauto": {"seed": "7"},
    "colorspectrum": {},
}
"""FFmpeg's own sources and their options."""


def _fit(picture: Picture, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _colour(rng: Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def natural(rng: Generator) -> Iterator[Picture]:
    """Crops of scikit-image's pictures, turned, mirrored, boxed, grey, darker, brighter, and compressed as JPEG."""
    folder = Path(skimage.__file__).parent / "data"
    photos = [np.asarray(cv2.imread(str(folder / name), cv2.IMREAD_COLOR_RGB), np.uint8) for name in NATURAL]
    for n in itertools.count():
        photo = photos[n % len(photos)]
        side = rng.uniform(0.3, 1.0, 2) if n >= len(photos) else (1.0, 1.0)
        height, width = (max(16, int(size * share)) for size, share in zip(photo.shape, side, strict=False))
        top = rng.integers(0, photo.shape[0] - height + 1)
        left = rng.integers(0, photo.shape[1] - width + 1)
        picture = np.rot90(photo[top : top + height, left : left + width], rng.integers(0, 4))
        picture = _fit(picture[:, ::-1] if rng.random() < 0.5 else picture)
        bar = rng.uniform(0, 0.15)
        alter: list[Callable[[Picture], Picture]] = [
            lambda p: p,
            lambda p, bar=bar: variants.letterboxed(p, bar),
            lambda p, bar=bar: variants.pillarboxed(p, bar),
            variants.grey,
            variants.corner_logo,
            variants.lower_third,
        ]
        picture = alter[rng.integers(0, len(alter))](picture)
        picture = cv2.convertScaleAbs(picture, alpha=rng.uniform(0.4, 1.6), beta=rng.uniform(-40, 40))
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(10, 95))])
        yield np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def sources(rng: Generator) -> Iterator[Picture]:
    """FFmpeg's test sources, some seconds apart."""
    graphs = []
    for name, options in SOURCES.items():
        graph = Graph()
        given = {"size": f"{WIDTH}x{HEIGHT}", "rate": "25", **options}
        chain = [graph.add(name, ":".join(f"{key}={value}" for key, value in given.items()))]
        chain += [graph.add("format", "rgb24"), graph.add("buffersink")]
        for first, second in itertools.pairwise(chain):
            first.link_to(second)
        graph.configure()
        graphs.append(graph)
    for graph in itertools.cycle(graphs):
        for _ in range(int(rng.integers(3, 12))):
            frame = graph.pull()
        yield np.ascontiguousarray(frame.to_ndarray())


def noise(rng: Generator) -> Iterator[Picture]:
    """Uniform, normal, salt and pepper, blocks of any size (sixteen by sixteen too), and 1/f."""
    while True:
        yield rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        yield np.clip(rng.normal(128, rng.uniform(2, 60), (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
        salt = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        salt[rng.random((HEIGHT, WIDTH)) < 0.1] = rng.choice([0, 255])
        yield salt
        cells = rng.integers(2, 40, 2)
        how = rng.choice([cv2.INTER_NEAREST, cv2.INTER_CUBIC])
        blocks = rng.integers(0, 256, (*cells.tolist(), 3), np.uint8)
        yield np.asarray(cv2.resize(blocks, (WIDTH, HEIGHT), interpolation=int(how)), np.uint8)
        sixteen = rng.integers(0, 256, (16, 16, 3), np.uint8)
        yield np.asarray(cv2.resize(sixteen, (WIDTH, HEIGHT), interpolation=int(how)), np.uint8)
        spectrum = np.fft.rfft2(rng.normal(size=(HEIGHT, WIDTH, 3)), axes=(0, 1))
        pitch = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
        pitch[0, 0] = 1
        cloud = np.fft.irfft2(spectrum / pitch[..., None] ** rng.uniform(0.5, 2), (HEIGHT, WIDTH), axes=(0, 1))
        cloud = (cloud - cloud.min()) / (cloud.max() - cloud.min())
        yield (cloud * 255).astype(np.uint8)


def flat(rng: Generator) -> Iterator[Picture]:
    """One colour, the greys first, some with the faint noise of a covered lens."""
    for level in range(0, 256, 15):
        yield np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    while True:
        picture = np.full((HEIGHT, WIDTH, 3), _colour(rng), np.int16)
        yield np.clip(picture + rng.normal(0, rng.uniform(0, 3), picture.shape), 0, 255).astype(np.uint8)


def drawn(rng: Generator) -> Iterator[Picture]:
    """Gradients, checkerboards, stripes, zone plates, and discs."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    while True:
        angle = rng.uniform(0, 2 * np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        ramp = (along - along.min()) / (along.max() - along.min())
        ends = np.array([_colour(rng), _colour(rng)])
        yield (ends[0] + ramp[..., None] * (ends[1] - ends[0])).astype(np.uint8)
        centre = rng.uniform(0, 1, 2) * (HEIGHT, WIDTH)
        far = np.hypot(y - centre[0], x - centre[1])
        yield (ends[0] + (far / far.max())[..., None] * (ends[1] - ends[0])).astype(np.uint8)
        rows, columns = rng.integers(2, 40, 2)
        board = ((y * rows // HEIGHT + x * columns // WIDTH) % 2).astype(int)
        yield ends[board].astype(np.uint8)
        sixteen = ((y * 16 // HEIGHT + x * 16 // WIDTH) % 2).astype(int)
        yield ends[sixteen].astype(np.uint8)
        stripes = (along // rng.uniform(4, 60) % 2).astype(int)
        yield ends[stripes].astype(np.uint8)
        plate = 127.5 + 127.5 * np.cos(far**2 / rng.uniform(20, 2000))
        yield np.repeat(plate.astype(np.uint8)[..., None], 3, axis=2)
        discs = np.full((HEIGHT, WIDTH, 3), _colour(rng), np.uint8)
        for _ in range(int(rng.integers(1, 60))):
            where = (int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT)))
            cv2.circle(discs, where, int(rng.integers(3, 60)), _colour(rng), cv2.FILLED)
        yield discs


def slates(rng: Generator) -> Iterator[Picture]:
    """Lines of text, and squares like those of a QR code."""
    while True:
        slate = np.full((HEIGHT, WIDTH, 3), _colour(rng), np.uint8)
        for line in range(int(rng.integers(1, 9))):
            text = "".join(chr(code) for code in rng.integers(33, 127, int(rng.integers(4, 24))))
            at = (int(rng.integers(0, 60)), 20 + line * 20)
            cv2.putText(slate, text, at, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.4, 1.2), _colour(rng), 1, cv2.LINE_AA)
        yield slate
        size = int(rng.integers(5, 14)) * 4 + 1
        code = (rng.integers(0, 2, (size, size)) * 255).astype(np.uint8)
        for top, left in ((0, 0), (0, size - 7), (size - 7, 0)):
            code[top : top + 7, left : left + 7] = 0
            code[top + 1 : top + 6, left + 1 : left + 6] = 255
            code[top + 2 : top + 5, left + 2 : left + 5] = 0
        page = np.full((HEIGHT, WIDTH), 255, np.uint8)
        edge = int(rng.integers(80, HEIGHT + 1))
        top, left = int(rng.integers(0, HEIGHT - edge + 1)), int(rng.integers(0, WIDTH - edge + 1))
        page[top : top + edge, left : left + edge] = cv2.resize(code, (edge, edge), interpolation=cv2.INTER_NEAREST)
        yield np.repeat(page[..., None], 3, axis=2)
        full = cv2.resize(code, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        yield np.repeat(np.asarray(full, np.uint8)[..., None], 3, axis=2)


def other_seeds(rng: Generator) -> Iterator[Picture]:
    """The pattern of other seeds, plain and altered as the card may be."""
    for n in itertools.count(2):
        card = test_card(WIDTH, HEIGHT, seed=f"STREAMWATCH-STANDARD-TEST-PATTERN-{n}")
        bar = rng.uniform(0, 0.13)
        alter: list[Callable[[Picture], Picture]] = [
            lambda p: p,
            lambda p, bar=bar: variants.letterboxed(p, bar),
            lambda p, bar=bar: variants.pillarboxed(p, bar),
            variants.mirrored,
            lambda p: _fit(variants.turned(p)),
            variants.grey,
        ]
        yield alter[n % len(alter)](card)


FAMILIES: dict[str, tuple[Callable[[Generator], Iterator[Picture]], int]] = {
    "natural pictures": (natural, 1200),
    "test sources": (sources, 300),
    "noise": (noise, 480),
    "flat": (flat, 60),
    "drawn": (drawn, 350),
    "text and codes": (slates, 210),
    "other seeds": (other_seeds, 600),
}
"""What makes each family, and how many the full evaluation takes."""


def strangers(family: str, count: int) -> list[Picture]:
    """The first `count` of a family; always the same."""
    make, _ = FAMILIES[family]
    return list(itertools.islice(make(default_rng(20261122)), count))
