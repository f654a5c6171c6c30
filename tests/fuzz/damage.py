"""How bytes are spoiled: cut off, flipped, overwritten, put together from pieces, or never anything at all."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_MOST = 4000


@st.composite
def spoiled(draw: st.DrawFn, originals: Sequence[bytes]) -> bytes:
    """One of these with something done to it, or bytes of its own."""
    kind = draw(st.sampled_from(["cut", "flip", "insert", "repeat", "own", "whole"]))
    original = draw(st.sampled_from(list(originals)))
    if kind == "own" or not original:
        return draw(st.binary(max_size=_MOST))
    data = bytearray(original)
    if kind == "cut":
        start = draw(st.integers(0, len(data)))
        return bytes(data[start : draw(st.integers(start, len(data)))])
    if kind == "flip":
        # Heads say what the rest means, so most of the damage is done there.
        places = st.one_of(st.integers(0, min(len(data), 600) - 1), st.integers(0, len(data) - 1))
        for _ in range(draw(st.integers(1, 12))):
            data[draw(places)] = draw(st.integers(0, 255))
    elif kind == "insert":
        at = draw(st.integers(0, len(data)))
        data[at:at] = draw(st.binary(max_size=400))
    elif kind == "repeat":
        start = draw(st.integers(0, len(data) - 1))
        data += data[start : start + draw(st.integers(1, 2000))] * draw(st.integers(1, 8))
    return bytes(data)
