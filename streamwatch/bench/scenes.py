"""Pictures to measure with: varied scenes with cuts, drawn by numpy alone, the same for the same seed.

A scene is drawn once as a texture larger than the picture; a frame is a window into it that moves, zooms or changes
its palette, with film grain on top. That costs milliseconds a frame at 1080p, and gives an encoder what real
broadcasts give it: detail, motion, noise, stillness and cuts. Planes are YUV 4:2:0, as encoders take them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Shades = NDArray[np.floating]
"""Values from 0 to 1."""
Draw = Callable[[float], "Planes"]
"""From seconds since the scene began to its picture."""

GRAIN: Final = 2.0
"""Standard deviation of the grain, in levels of luma: with it key pictures are about as large as those of camera
footage at the same bit rate, a fifth of their group of pictures."""
_GRAIN_TILES: Final = 8


class Planes(NamedTuple):
    """One picture: full luma, halved chroma."""

    y: Plane
    u: Plane
    v: Plane

    def tobytes(self) -> bytes:
        """As raw yuv420p."""
        return b"".join(np.ascontiguousarray(plane).tobytes() for plane in self)


class Studio:
    """Makes the scenes of one size and seed. One thread."""

    def __init__(self, width: int, height: int, *, seed: int = 1) -> None:
        """Width and height: pixels, even."""
        self.width, self.height = width, height
        self._rng = np.random.default_rng(seed)
        shape = (height + 64, width + 64)
        self._grain = [
            (self._rng.standard_normal(shape, np.float32) * GRAIN).round().astype(np.int8) for _ in range(_GRAIN_TILES)
        ]

    # --- textures ----------------------------------------------------------------------------------------------------

    def _noise(self, height: int, width: int, *, finest: int, rough: float = 0.55) -> Shades:
        """Value noise from 0 to 1: octaves of smoothed random grids; `finest` is the smallest cell in pixels."""
        total = np.zeros((height, width), np.float32)
        weight, cell = 1.0, max(height // 3, finest)
        while cell >= finest:
            grid = self._rng.random((height // cell + 2, width // cell + 2), np.float32)
            total += np.float32(weight) * _enlarged(grid, height, width, cell)
            weight, cell = weight * rough, cell // 2
        total -= total.min()
        total /= max(float(total.max()), 1e-6)
        return total

    def _coloured(self, luma: Shades, *, tint: float = 14.0) -> Planes:
        """A texture from luma in 0 to 1 and slowly varying, muted colours."""
        height, width = luma.shape
        u, v = (
            (128 + tint * (self._noise(height // 2, width // 2, finest=max(height // 12, 8)) - 0.5) * 2) for _ in "uv"
        )
        return Planes(_levels(16 + 219 * luma), _levels(u), _levels(v))

    def _size(self, factor: float) -> tuple[int, int]:
        return int(self.height * factor) // 2 * 2, int(self.width * factor) // 2 * 2

    # --- scenes ------------------------------------------------------------------------------------------------------

    def landscape(self) -> Draw:
        """A panned landscape of ridges."""
        height, width = self._size(1.5)
        luma = self._noise(height, width, finest=2)
        ridges = 1 - np.abs(2 * luma - 1)
        texture = self._coloured(0.25 + 0.6 * ridges * luma)
        across, down = self._rng.uniform(0.03, 0.08), self._rng.uniform(-0.04, 0.04)
        return lambda t: self._grained(self._window(texture, 0.25 + across * t, 0.25 + down * t), t)

    def zoom(self) -> Draw:
        """The same kind of place, coming nearer."""
        height, width = self._size(1.6)
        texture = self._coloured(self._noise(height, width, finest=2, rough=0.6))
        return lambda t: self._grained(self._zoomed(texture, 1.5 - 0.02 * min(t, 8.0)), t)

    def plasma(self) -> Draw:
        """A palette that flows through a still map."""
        height, width = self.height, self.width
        levels = _levels(255 * self._noise(height, width, finest=max(height // 90, 4)))
        base = np.arange(256, dtype=np.float32) * (2 * np.pi / 256)
        chroma = levels[::2, ::2]

        def draw(t: float) -> Planes:
            luma = _levels(120 + 60 * np.sin(2 * base + 0.25 * t) + 25 * np.sin(5 * base - 0.2 * t))
            first = _levels(128 + 12 * np.sin(base + 0.3 * t))
            second = _levels(128 + 12 * np.cos(base - 0.2 * t))
            return self._grained(Planes(luma[levels], first[chroma], second[chroma]), t)

        return draw

    def fractal(self) -> Draw:
        """A zoom into the edge of the Mandelbrot set."""
        height, width = self.height, self.width
        counts = _mandelbrot(height // 2, width // 2)
        luma = np.repeat(np.repeat(counts, 2, axis=0), 2, axis=1)
        fine = 0.85 * luma + 0.15 * self._noise(height, width, finest=2)
        texture = self._coloured(0.1 + 0.8 * fine, tint=20)
        return lambda t: self._grained(self._zoomed(texture, 0.95 - 0.02 * min(t, 8.0)), t)

    def balls(self) -> Draw:
        """Textured discs that bounce before a landscape."""
        height, width = self._size(1.2)
        back = self._coloured(0.2 + 0.5 * self._noise(height, width, finest=3))
        radius = self.height // 8 // 2 * 2
        span = np.arange(-radius, radius, dtype=np.float32)
        inside = span[:, None] ** 2 + span[None, :] ** 2 < radius**2
        skins = [
            _levels(40 + 190 * self._noise(2 * radius, 2 * radius, finest=2)[:: 1 if i % 2 else -1]) for i in range(5)
        ]
        speeds = self._rng.uniform(0.1, 0.5, (5, 2))
        starts = self._rng.random((5, 2))

        def draw(t: float) -> Planes:
            picture = self._window(back, 0.04 * t, 0.03 * t)
            y, u, v = (plane.copy() for plane in picture)
            for skin, speed, start in zip(skins, speeds, starts, strict=True):
                top, left = (
                    int(abs((s + r * t) % 2 - 1) * (limit - 2 * radius)) // 2 * 2
                    for s, r, limit in zip(start, speed, (self.height, self.width), strict=True)
                )
                _paste(y, skin, inside, top, left)
                _paste(u, skin[::2, ::2] // 8 + 118, inside[::2, ::2], top // 2, left // 2)
                _paste(v, 140 - skin[::2, ::2] // 10, inside[::2, ::2], top // 2, left // 2)
            return self._grained(Planes(y, u, v), t)

        return draw

    def text(self) -> Draw:
        """A page of glyph-like tiles that scrolls: sharp edges, exact motion."""
        height, width = self._size(2.0)
        cell = max(self.height // 60, 4)
        ink = self._rng.random((height // cell + 1, width // cell + 1)) < 0.42  # noqa: PLR2004 - like a page of print
        ink[::4] = ink[:, ::9] = False
        luma = np.repeat(np.repeat(ink, cell, axis=0), cell, axis=1)[:height, :width]
        paper = 0.82 + 0.08 * self._noise(height, width, finest=4)
        texture = self._coloured(np.where(luma, np.float32(0.12), paper).astype(np.float32), tint=6)
        return lambda t: self._grained(self._window(texture, 0.01 * t, 0.07 * t), t)

    def tunnel(self) -> Draw:
        """A flight along a textured wall, as in games."""
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        rows -= self.height / 2
        columns -= self.width / 2
        far = np.hypot(rows, columns) + self.height / 12
        depth = (48 * self.height / far).astype(np.uint8)
        angle = ((np.arctan2(rows, columns) / (2 * np.pi)) * 512).astype(np.uint8)
        wall = _levels(30 + 190 * self._noise(256, 256, finest=2))
        shade = np.clip(far / (self.height * 0.5), 0.25, 1).astype(np.float32)
        flat = np.full((self.height // 2, self.width // 2), 128, np.uint8)
        index = depth.astype(np.uint16) * 256 + angle
        dark = (shade * 255).astype(np.uint16)

        def draw(t: float) -> Planes:
            turned = np.roll(wall, (-int(9 * t), int(2 * t)), axis=(0, 1)).ravel()
            luma = ((turned[index] * dark) >> 8).astype(np.uint8)
            return self._grained(Planes(luma, flat + np.uint8(6), flat - np.uint8(8)), t)

        return draw

    def crowd(self) -> Draw:
        """Hundreds of small things, each on its way."""
        height, width = self._size(1.1)
        back = self._coloured(0.15 + 0.6 * self._noise(height, width, finest=2, rough=0.65))
        size = max(self.height // 40, 4) // 2 * 2
        count = 150
        places = self._rng.random((count, 2)) * (self.height - size, self.width - size)
        speeds = self._rng.uniform(-0.04, 0.04, (count, 2)) * self.height
        tones = self._rng.integers(20, 230, (count, size, size)).astype(np.uint8)

        def draw(t: float) -> Planes:
            picture = self._window(back, 0.03 * t, 0.02 * t)
            y = picture.y.copy()
            for place, speed, tone in zip(places, speeds, tones, strict=True):
                top, left = ((place + speed * t) % (self.height - size, self.width - size)).astype(int)
                y[top : top + size, left : left + size] = tone
            return self._grained(Planes(y, picture.u, picture.v), t)

        return draw

    def still(self) -> Draw:
        """A title card: nothing moves but the grain, as in a pause."""
        height, width = self._size(1.0)
        texture = self._coloured(0.15 + 0.5 * self._noise(height, width, finest=2))
        texture.y[height // 3 : height // 2, width // 5 : width * 4 // 5] = 200
        return lambda t: self._grained(texture, t, hold=True)

    def marker(self) -> Draw:
        """What the bench's model finds: as detailed as the others, and magenta as no other scene is."""
        height, width = self._size(1.4)
        texture = self._coloured(0.25 + 0.4 * self._noise(height, width, finest=6))
        magenta = Planes(texture.y, _levels(texture.u + 50.0), _levels(texture.v + 60.0))
        return lambda t: self._grained(self._window(magenta, 0.05 * t, 0.1), t)

    # --- cameras -----------------------------------------------------------------------------------------------------

    def _window(self, texture: Planes, across: float, down: float) -> Planes:
        """The part of a texture at these shares of a picture's size, repeated beyond its edge by reflection."""
        room_y, room_x = texture.y.shape[0] - self.height, texture.y.shape[1] - self.width
        top, left = _bounce(down * self.height, room_y - 2), _bounce(across * self.width, room_x - 2)
        half_height, half_width = self.height // 2, self.width // 2
        return Planes(
            _between(texture.y, top, left, self.height, self.width),
            _between(texture.u, top / 2, left / 2, half_height, half_width),
            _between(texture.v, top / 2, left / 2, half_height, half_width),
        )

    def _zoomed(self, texture: Planes, share: float) -> Planes:
        """The middle of a texture, `share` of a picture wide, at a picture's size."""
        planes = []
        for plane, height, width in zip(
            texture,
            (self.height, self.height // 2, self.height // 2),
            (self.width, self.width // 2, self.width // 2),
            strict=True,
        ):
            rows = ((np.arange(height) - height / 2) * share + plane.shape[0] / 2).astype(np.intp)
            columns = ((np.arange(width) - width / 2) * share + plane.shape[1] / 2).astype(np.intp)
            planes.append(plane[np.clip(rows, 0, plane.shape[0] - 1)][:, np.clip(columns, 0, plane.shape[1] - 1)])
        return Planes(*planes)

    def _grained(self, picture: Planes, t: float, *, hold: bool = False) -> Planes:
        """Add film grain: one of a few tiles, shifted, so that two frames never share it."""
        number = 0 if hold else round(t * 25)
        tile = self._grain[number % _GRAIN_TILES]
        top, left = (number * 37) % 64, (number * 23) % 64
        grain = tile[top : top + self.height, left : left + self.width]
        luma = np.clip(picture.y.astype(np.int16) + grain, 16, 235).astype(np.uint8)
        return Planes(luma, picture.u, picture.v)


_SHOTS_PER_MINUTE: Final = 18
_SCENES: Final = ("landscape", "balls", "text", "fractal", "zoom", "crowd", "plasma", "tunnel", "still")


class Programme:
    """What is shown when: about 18 cuts a minute between scenes, some of which come back, as in edited footage."""

    def __init__(self, width: int, height: int, *, seconds: float, seed: int = 1) -> None:
        """Draw all textures of a programme of so many seconds."""
        studio = Studio(width, height, seed=seed)
        order = random.Random(seed)  # noqa: S311 - a programme, not a secret
        count = max(round(seconds * _SHOTS_PER_MINUTE / 60), 1)
        names = list(_SCENES)
        while len(names) < count:
            names.append(order.choice(_SCENES))
        lengths = [order.uniform(0.5, 1.5) for _ in range(count)]
        whole = sum(lengths)
        made: dict[str, Draw] = {}
        self._shots: list[tuple[float, Draw]] = []
        begin = 0.0
        for name, length in zip(names, lengths, strict=False):
            if name not in made:
                made[name] = getattr(studio, name)()
            self._shots.append((begin, made[name]))
            begin += seconds * length / whole
        self._marker = studio.marker()

    @property
    def cuts(self) -> int:
        """Cuts in one showing, the one at its end included."""
        return len(self._shots)

    def picture(self, t: float) -> Planes:
        """The picture at `t` seconds."""
        begin, draw = next(shot for shot in reversed(self._shots) if shot[0] <= t)
        return draw(t - begin)

    def marker(self, t: float) -> Planes:
        """The marker scene, `t` seconds after its beginning."""
        return self._marker(t)


def _levels(values: NDArray[np.floating]) -> Plane:
    levels: Plane = np.clip(values, 0, 255).astype(np.uint8)
    return levels


def _bounce(at: float, room: int) -> float:
    """A place from 0 to `room` that turns back at the ends."""
    if room <= 0:
        return 0.0
    return abs((at + room) % (2 * room) - room)


def _between(plane: Plane, top: float, left: float, height: int, width: int) -> Plane:
    """A window between pixels: cameras do not move by whole ones, and decoders work for that."""
    row, down = int(top), int(256 * (top % 1))
    column, across = int(left), int(256 * (left % 1))
    part = plane[row : row + height + 1, column : column + width + 1]
    lines = _mixed(part[:, :-1], part[:, 1:], across)
    return _mixed(lines[:-1], lines[1:], down)


def _mixed(one: Plane, other: Plane, share: int) -> Plane:
    """Two planes mixed, `share` parts in 256 of the other."""
    if not share:
        return one
    return ((one.astype(np.uint16) * np.uint16(256 - share) + other * np.uint16(share)) >> np.uint16(8)).astype(
        np.uint8
    )


def _paste(plane: Plane, what: Plane, inside: NDArray[np.bool_], top: int, left: int) -> None:
    height, width = inside.shape
    part = plane[top : top + height, left : left + width]
    part[inside] = what[inside]


def _enlarged(grid: Shades, height: int, width: int, cell: int) -> Shades:
    """A random grid, enlarged by bilinear interpolation with smoothed steps."""
    rows, row_share = _steps(height, cell)
    columns, column_share = _steps(width, cell)
    lines = grid[:, columns] * (1 - column_share) + grid[:, columns + 1] * column_share
    share = row_share[:, None]
    made: Shades = lines[rows] * (1 - share) + lines[rows + 1] * share
    return made


def _steps(count: int, cell: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    at = np.arange(count, dtype=np.float32) / cell
    whole = at.astype(np.intp)
    share = at - whole
    return whole, (share * share * (3 - 2 * share)).astype(np.float32)


def _mandelbrot(height: int, width: int, limit: int = 48) -> Shades:
    """Counts of steps until escape, from 0 to 1, around a place rich in detail."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    scale = np.float32(0.012 / height)
    c = ((columns - width / 2) * scale - 0.7436) + 1j * ((rows - height / 2) * scale + 0.1318)
    c = c.astype(np.complex64)
    z = np.zeros_like(c)
    counts = np.zeros((height, width), np.float32)
    for _ in range(limit):
        z = np.where(np.abs(z) < 2, z * z + c, z)  # noqa: PLR2004 - beyond 2 it escapes
        counts += np.abs(z) < 2  # noqa: PLR2004
    made: Shades = (counts % 16) / np.float32(15)
    return made
