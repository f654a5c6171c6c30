"""What is to be seen in a picture: nothing, or nothing new. Pure."""

from __future__ import annotations

from streamwatch.domain.evasion import Glance
from streamwatch.evasion.base import Shown
from streamwatch.evasion.lasting import Run

PLAIN = 0.98
"""Share of a picture of one colour (FFmpeg's blackdetect asks for as much): what is left over, a clock or a logo, is no
scene. Photographs of people dimmed to a tenth reach 0.71, to a twentieth most stay under it."""

BLACK_LUMA = 16.0
"""Mean brightness of 255 up to which a plain picture is called black (blackdetect: a tenth): what broadcasters whose
levels are wrong send as black is up to 16."""

BLACK_S = 20.0
"""A fade to black takes 3 s; two looks at the usual gap of 10 s may fall into one that is held."""
SOLID_S = 30.0
"""Titles and changes of scene are shorter."""
FROZEN_S = 60.0
"""A still title in a programme is shorter; encoders that hang stay so."""
_LOOKS = 3
_FROZEN_LOOKS = 4

MOVED = 2
"""Places that turned round in a picture which moves; see `CLEAR` in `detectors/glance.py` for what was measured."""
DIMMED = 3.0
"""Levels of mean brightness or spread by which different pictures differ. Measured: re-encoding alone, 1.7."""
TELLING = 8
"""Clear places without which a picture tells nothing of movement."""

SMALLEST = 64
"""Pixels of the shorter side: the lowest rung of public ladders has 144 lines (YouTube's 256 x 144); less than half of
it serves no viewer."""
SHOWS_NOTHING = 32
"""Pixels of the shorter side under which people, too, recognise next to nothing: at 32 x 32 they still name the scene
(Torralba, Fergus, Freeman, "80 million tiny images", 2008)."""
LARGEST = 8192
"""Pixels of a side: the most that level 6.2 of H.264 and HEVC is made for."""
LONGEST = 4.0
"""Times the shorter side: cinema ends at 2.8, the widest screens (32:9) at 3.6, a telephone held upright at 2.3."""


def plain(glance: Glance) -> str:
    """`black`, `one colour`, or nothing where there is a picture in it."""
    if glance.plain < PLAIN:
        return ""
    return "black" if glance.luma <= BLACK_LUMA else "one colour"


def odd_size(width: int, height: int) -> bool:
    """Whether no viewer is served by such a picture; False where its size is not known."""
    short, long = min(width, height), max(width, height)
    return short > 0 and (short < SMALLEST or long > LARGEST or long > short * LONGEST)


def nothing_to_see(shown: Shown) -> str:
    """Why the stream cannot be seen by this picture, for people; nothing where it can."""
    if min(shown.width, shown.height) < SHOWS_NOTHING:
        return f"pictures of {shown.width} x {shown.height}: too small to show anything"
    found = plain(shown.glance)
    return f"the picture is {'of one colour' if found == 'one colour' else found}" if found else ""


def same(one: Glance, other: Glance) -> bool:
    """Whether both are the same picture, encoded twice."""
    clear = one.sure & other.sure
    return (
        clear.bit_count() >= TELLING
        and ((one.hash ^ other.hash) & clear).bit_count() < MOVED
        and abs(one.luma - other.luma) <= DIMMED
        and abs(one.spread - other.spread) <= DIMMED
    )


class Pictures:
    """The looks of one session."""

    def __init__(self) -> None:
        self.black = Run(BLACK_S, _LOOKS)
        self.solid = Run(SOLID_S, _LOOKS)
        self.frozen = Run(FROZEN_S, _FROZEN_LOOKS)
        self._still: Glance | None = None
        """The picture that later ones are held against."""
        self._newest = float("-inf")

    @property
    def seen(self) -> bool:
        """Whether there was a picture yet."""
        return self._newest > float("-inf")

    def shown(self, shown: Shown) -> None:
        """Take a look; one that is older than what was seen (a look-back) tells nothing of how long it lasts."""
        if shown.arrival <= self._newest:
            return
        self._newest = shown.arrival
        found = plain(shown.glance)
        self.black.saw(shown.arrival, holds=found == "black")
        self.solid.saw(shown.arrival, holds=found == "one colour")
        # An empty picture does not move either; one name for it is enough.
        goes_on = not found and self._still is not None and same(self._still, shown.glance)
        if not goes_on:
            self.frozen.saw(shown.arrival, holds=False)
            self._still = None if found else shown.glance
        self.frozen.saw(shown.arrival, holds=not found)
